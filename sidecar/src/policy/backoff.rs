//! How long to wait before the next try.

use std::time::Duration;

use crate::random::jittered;

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// A wait that doubles with each failure, with jitter, so that a returning operator is not met by all pods at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST * 2 }
    }

    /// The wait before the next try: 100 to 200 ms at first, 2.5 to 5 s in the end.
    pub(super) fn after_failure(&mut self) -> Duration {
        let wait = jittered(self.next);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    pub(super) fn after_success(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.after_failure()).collect();
        assert!(waits.iter().all(|wait| (SHORTEST..=LONGEST).contains(wait)), "{waits:?}");
        assert!(waits[0] <= SHORTEST * 2 && waits[19] >= LONGEST / 2);
        backoff.after_success();
        assert!(backoff.after_failure() <= SHORTEST * 2);
    }
}
