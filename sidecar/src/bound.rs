//! Places of which there is a bounded number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many places.
#[derive(Debug)]
pub struct Bound {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// A place, for as long as it is kept.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Bound {
    /// A number of places, all of them free.
    #[must_use]
    pub fn new(most: u32) -> Self {
        Self { taken: Arc::default(), most: usize::try_from(most).unwrap_or(usize::MAX) }
    }

    /// Takes a place, if one is free.
    #[must_use]
    pub fn take(&self) -> Option<Place> {
        let place = Place(self.taken.clone());
        // the place gives itself back if it is one too many
        (self.taken.fetch_add(1, Ordering::Relaxed) < self.most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_places_and_each_can_be_given_back() {
        let bound = Bound::new(2);
        let (first, second) = (bound.take(), bound.take());
        assert!(first.is_some() && second.is_some() && bound.take().is_none() && bound.take().is_none());
        drop(first);
        let third = bound.take();
        assert!(third.is_some() && bound.take().is_none());
    }
}
