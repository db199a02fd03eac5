//! The proof goes on while the pod runs: whoever has the rights of the node may change the packet filter of a pod that has started.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::context::Context;
use crate::random;
use crate::verify;

/// Between two proofs at most.
const EVERY: Duration = Duration::from_secs(10);

/// Before the next proof after one that failed.
const SOON: Duration = Duration::from_secs(1);

/// So many proofs in a row must fail before it counts: one may fail because the sidecar had no time or no file descriptor left.
const FAILURES: u32 = 2;

/// Whether the packet filter is still proven to leave no other way out.
#[derive(Debug, Default)]
pub struct Proven {
    fails: AtomicBool,
    news: Notify,
}

impl Proven {
    /// Whether the last proofs have failed.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.fails.load(Ordering::Acquire)
    }

    /// Waits until it is otherwise than before; what came since the last wait counts.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether this is news.
    fn set(&self, fails: bool) -> bool {
        let news = self.fails.swap(fails, Ordering::AcqRel) != fails;
        if news {
            self.news.notify_one();
        }
        news
    }
}

/// Proves it again and again.
///
/// # Errors
/// When the proof cannot be tried at all.
pub async fn keep_proving(context: Arc<Context>) -> anyhow::Result<Infallible> {
    let mut failures = 0;
    loop {
        sleep(if (1..FAILURES).contains(&failures) { SOON } else { random::jittered(EVERY) }).await;
        let outcome = spawn_blocking(verify::again).await.context("the proof ended early")?;
        failures = if outcome.is_ok() { 0 } else { FAILURES.min(failures + 1) };
        let fails = failures >= FAILURES;
        context.metrics.filter_proven.set((!fails).into());
        match outcome {
            Err(error) if context.proven.set(fails) => {
                tracing::error!(%error, "the packet filter is not proven any more: the pod has to be replaced");
            }
            Err(error) => tracing::debug!(%error, "a proof failed"),
            Ok(()) if context.proven.set(false) => tracing::warn!("the packet filter is proven again"),
            Ok(()) => {}
        }
    }
}
