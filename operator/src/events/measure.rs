//! Which notices are told: none twice in a while, and not too many at all.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Notice;

/// How long a notice counts as told.
const WHILE: Duration = Duration::from_secs(300);
/// How many may be told at once after a quiet time.
const BURST: u32 = 50;
/// How long it takes until one more may be told.
const PACE: Duration = Duration::from_millis(200);
/// How many notices are remembered at most.
const REMEMBERED: usize = 10_000;

/// What was told, and how many may be.
#[derive(Default)]
pub(super) struct Measure {
    told: HashMap<Notice, Instant>,
    /// The instant at which the burst will be whole again.
    whole: Option<Instant>,
}

/// What becomes of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// It is told.
    New,
    /// It was told a short time ago.
    Repeated,
    /// Too many were told.
    TooMany,
}

impl Measure {
    pub(super) fn take(&mut self, notice: &Notice, now: Instant) -> Measured {
        if self.told.get(notice).is_some_and(|told| now < *told + WHILE) {
            return Measured::Repeated;
        }
        let whole = self.whole.map_or(now, |whole| whole.max(now)) + PACE;
        if whole > now + PACE * BURST {
            return Measured::TooMany;
        }
        self.whole = Some(whole);
        if self.told.len() >= REMEMBERED {
            self.told.retain(|_, told| now < *told + WHILE);
            if self.told.len() >= REMEMBERED {
                self.told.clear();
            }
        }
        self.told.insert(notice.clone(), now);
        Measured::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Owner;

    fn notice(sentence: &str) -> Notice {
        Notice::refused("n", Owner::pod("p", "u".into()), sentence.into())
    }

    #[test]
    fn a_notice_is_told_again_after_a_while_alone() {
        let (mut measure, now) = (Measure::default(), Instant::now());
        assert_eq!(measure.take(&notice("a"), now), Measured::New);
        assert_eq!(measure.take(&notice("a"), now + WHILE / 2), Measured::Repeated);
        assert_eq!(measure.take(&notice("b"), now + WHILE / 2), Measured::New);
        assert_eq!(measure.take(&notice("a"), now + WHILE), Measured::New);
    }

    #[test]
    fn a_flood_is_cut_and_the_pace_comes_back() {
        let (mut measure, now) = (Measure::default(), Instant::now());
        let told = (0..500).filter(|number| measure.take(&notice(&number.to_string()), now) == Measured::New).count();
        assert_eq!(told, 50);
        assert_eq!(measure.take(&notice("later"), now), Measured::TooMany);
        assert_eq!(measure.take(&notice("later"), now + PACE), Measured::New);
        assert_eq!(measure.take(&notice("last"), now + PACE), Measured::TooMany);
    }
}
