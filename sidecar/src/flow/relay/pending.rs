//! What receivers have not taken yet. All flows together keep little of it: where much is kept, less is read at a time.

use std::cell::Cell;

/// What is read at a time, as long as little is kept.
pub(super) const BUFFER: usize = 128 * 1024;

/// What is read at a time where much is kept.
const SCARCE: usize = 2 * 1024;

/// What all flows together keep before that is much.
const MUCH: usize = 4 * 1024 * 1024;

thread_local! {
    /// What all flows of this thread keep: the proxy has one thread.
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

/// How much is to be read at a time now.
pub(super) fn at_a_time() -> usize {
    if KEPT.get() < MUCH { BUFFER } else { SCARCE }
}

/// Bytes that are kept with their flow, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Pending(Vec<u8>);

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let before = self.0.capacity();
        self.0.extend_from_slice(bytes);
        self.account(before);
    }

    /// Forgets the first bytes, and the room for them where enough of it is free.
    pub(super) fn take(&mut self, taken: usize) {
        let before = self.0.capacity();
        self.0.drain(..taken.min(self.0.len()));
        if self.0.len() <= before / 2 {
            self.0.shrink_to_fit();
        }
        self.account(before);
    }

    fn account(&self, before: usize) {
        KEPT.set((KEPT.get() + self.0.capacity()).saturating_sub(before));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        KEPT.set(KEPT.get().saturating_sub(self.0.capacity()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_much_is_kept_less_is_read_until_it_has_gone() {
        assert_eq!(at_a_time(), BUFFER);
        let mut kept: Vec<Pending> = Vec::new();
        while at_a_time() == BUFFER {
            let mut pending = Pending::default();
            pending.push(&[7; BUFFER]);
            kept.push(pending);
        }
        assert!(kept.len() <= MUCH / BUFFER, "{}", kept.len());
        let mut last = kept.pop().unwrap();
        last.take(BUFFER - 1);
        assert_eq!((last.bytes(), at_a_time()), (&[7][..], BUFFER));
        drop((kept, last));
        assert_eq!(KEPT.get(), 0);
    }
}
