//! Waiting for conditions, never for time.

use std::future::Future;
use std::time::Duration;

/// Longer than anything here takes on a busy machine. Whoever waits as long has failed.
const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for the future, or fails and says for what it waited.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited {} s for {what}", PATIENCE.as_secs()))
}
