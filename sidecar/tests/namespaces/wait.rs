//! Waiting for conditions, never for time.

use std::future::Future;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine. Whoever waits as long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for the future, or fails and says for what it waited.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    as_long_as(PATIENCE, what, future).await
}

/// The same for what takes longer.
pub(crate) async fn as_long_as<T>(longest: Duration, what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(longest, future).await.unwrap_or_else(|_| panic!("waited {} s for {what}", longest.as_secs()))
}

/// Waits in this thread until the condition holds, or fails and says for what it waited.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited {} s for {what}", PATIENCE.as_secs());
        thread::sleep(Duration::from_millis(5));
    }
}
