//! The time, which never goes back: what has ended stays ended, whatever somebody does to the clock on the wall.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// The highest time seen, which goes on by itself: a clock that is set back, once or for good, stops nothing.
#[derive(Debug)]
pub struct Clock(Mutex<(Timestamp, Instant)>);

impl Default for Clock {
    fn default() -> Self {
        Self(Mutex::new((Timestamp::now(), Instant::now())))
    }
}

impl Clock {
    /// The time.
    pub fn now(&self) -> Timestamp {
        self.at(Timestamp::now(), Instant::now())
    }

    /// The later of what the wall says and of what was seen with the time that has passed since.
    fn at(&self, wall: Timestamp, monotonic: Instant) -> Timestamp {
        let mut seen = self.0.lock();
        let passed = SignedDuration::try_from(monotonic.saturating_duration_since(seen.1)).unwrap_or(SignedDuration::MAX);
        let now = wall.max(seen.0.saturating_add(passed).unwrap_or(Timestamp::MAX));
        *seen = (now, monotonic.max(seen.1));
        now
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
        let (wall, monotonic) = (Timestamp::from_second(1_000_000).unwrap(), Instant::now());
        let clock = Clock(Mutex::new((wall, monotonic)));
        let second = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let passed = |seconds| monotonic + Duration::from_secs(seconds);
        assert_eq!(clock.at(second(10), passed(10)), second(10));
        assert_eq!(clock.at(second(-5000), passed(20)), second(20));
        assert_eq!(clock.at(second(-5000), passed(3620)), second(3620));
        assert_eq!(clock.at(second(9000), passed(3621)), second(9000));
        assert_eq!(clock.at(second(9001), passed(3621)), second(9001));
    }
}
