//! Places of which there is a bounded number.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Open files that no flow takes, at least: for listeners, questions, the policy API, and the probes, without whose answers the
/// kubelet starts the sidecar anew and cuts off every flow.
const OTHER_FILES: u64 = 64;

/// So many places, which its clones share.
#[derive(Clone, Debug)]
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

/// How many flows there may be at once in each direction with so many open files, where the platform allows `most`. Each takes two
/// sockets.
#[must_use]
pub fn flows_within(open_files: Option<u64>, most: u32) -> u32 {
    let enough = |files: u64| u32::try_from(files.saturating_sub(OTHER_FILES.max(files / 8)) / 4).unwrap_or(most).min(most);
    open_files.map_or(most, enough)
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
    fn flows_leave_open_files_for_everything_else() {
        for (open_files, flows) in [(None, 8192), (Some(40_000), 8192), (Some(4096), 896), (Some(100), 9), (Some(64), 0)] {
            assert_eq!(flows_within(open_files, 8192), flows, "{open_files:?}");
        }
    }

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
