//! Awaiting conditions: the one place where time is let pass.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often something is looked at that is to stay as it is.
const SLOWLY: Duration = Duration::from_millis(500);

/// What a look at a condition saw.
pub enum Seen<T> {
    /// It holds.
    Yes(T),
    /// It does not hold yet; what was seen in its place, for the message when time is up.
    NotYet(String),
}

impl<T> Seen<T> {
    /// [`Seen::Yes`] where there is a value, else what was seen in its place.
    pub fn some_or(value: Option<T>, instead: impl Debug) -> Self {
        value.map_or_else(|| Self::NotYet(format!("{instead:?}")), Self::Yes)
    }
}

/// Looks until the condition holds, and fails with what was seen last when it does not within `limit`. An error of a look is
/// final where it is not turned into [`Seen::NotYet`].
///
/// # Errors
/// When time is up, or a look fails.
pub async fn until<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Result<Seen<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        let last = match look().await? {
            Seen::Yes(value) => return Ok(value),
            Seen::NotYet(last) => last,
        };
        if begin.elapsed() >= limit {
            bail!("not within {} s: {what}; last seen: {last}", limit.as_secs());
        }
        sleep(INTERVAL).await;
    }
}

/// Looks until what is seen has not changed for `stretch`, and gives how long after the first look it changed last. Fails when
/// that does not come about within `limit`: something goes on changing.
///
/// # Errors
/// When time is up, or a look fails.
pub async fn still<T: PartialEq + Debug>(
    what: &str,
    stretch: Duration,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<Duration> {
    let begin = Instant::now();
    let (mut before, mut changed) = (look().await?, Instant::now());
    while changed.elapsed() < stretch {
        if begin.elapsed() >= limit {
            bail!("not for {} s on end within {} s: {what}; last seen: {before:?}", stretch.as_secs(), limit.as_secs());
        }
        sleep(SLOWLY).await;
        let now = look().await?;
        if now != before {
            (before, changed) = (now, Instant::now());
        }
    }
    Ok(changed.duration_since(begin))
}

/// The time by the clock that pods of a cluster on this machine read too, in seconds.
///
/// # Errors
/// When the clock is set before 1970.
pub fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_until_it_holds_and_says_what_it_saw_last() {
        let mut looks = 0;
        let mut look = async || {
            looks += 1;
            Ok(if looks < 5 { Seen::NotYet(format!("look {looks}")) } else { Seen::Yes(looks) })
        };
        assert_eq!(until("five looks", Duration::from_secs(1), &mut look).await.unwrap(), 5);
        let never = until::<()>("a miracle", Duration::from_secs(1), async || Ok(Seen::NotYet("none".into()))).await;
        assert_eq!(never.unwrap_err().to_string(), "not within 1 s: a miracle; last seen: none");
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_become_still_is_told_from_what_goes_on() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let until_the_fourth = async || Ok(begin.elapsed().as_secs().min(4));
        let changed = still("four seconds pass", 10 * second, 30 * second, until_the_fourth).await.unwrap();
        assert_eq!((changed.as_secs(), begin.elapsed().as_secs()), (4, 14));
        // once in nine seconds is not still for ten
        let begin = Instant::now();
        let for_ever = async || Ok(begin.elapsed().as_secs() / 9);
        let never = still("no time passes", 10 * second, 30 * second, for_ever).await.unwrap_err().to_string();
        assert_eq!(never, "not for 10 s on end within 30 s: no time passes; last seen: 3");
        assert!(begin.elapsed() < 31 * second);
    }
}
