//! The proof goes on while the pod runs: whoever has the rights of the node may change the packet filter of a pod that has started.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::exchange::FilterProof;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

use crate::context::Context;
use crate::random;
use crate::verify::{self, VerifyError, Witness};

/// Between two proofs at most.
const EVERY: Duration = Duration::from_secs(10);

/// Before the next proof after one that failed.
const SOON: Duration = Duration::from_secs(1);

/// So many proofs in a row must show a way open before it counts.
const OPEN: u32 = 2;

/// So many must fail otherwise: the sidecar may have no time, no file descriptor and no port left for a while.
const UNPROVEN: u32 = 6;

/// As much as an attempt needs.
const STACK: usize = 256 * 1024;

/// What the last proofs have shown, and the one that is under way.
#[derive(Debug, Default)]
pub struct Proven {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    filter: FilterProof,
    /// The ports from which the proof that is under way has asked.
    asking: BTreeSet<u16>,
}

impl Proven {
    /// What they have shown.
    #[must_use]
    pub fn filter(&self) -> FilterProof {
        self.state.lock().filter
    }

    /// Whether the sidecar itself asks from this port: such a question is answered whatever an application takes.
    #[must_use]
    pub fn asks_from(&self, port: u16) -> bool {
        self.state.lock().asking.contains(&port)
    }

    /// Waits until they show something else than before; what came since the last wait counts.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether this is news.
    fn set(&self, filter: FilterProof) -> bool {
        let before = std::mem::replace(&mut self.state.lock().filter, filter);
        if before != filter {
            self.news.notify_one();
        }
        before != filter
    }
}

impl Witness for Context {
    fn asks_from(&self, port: u16) {
        self.proven.state.lock().asking.insert(port);
    }

    fn sends(&self, nonce: &str) {
        self.sink.expect(nonce.as_bytes());
    }
}

/// What a row of proofs shows.
#[derive(Debug, Default)]
struct Row {
    open: u32,
    failed: u32,
}

impl Row {
    /// Takes the next.
    fn take(&mut self, outcome: &Result<(), VerifyError>) -> FilterProof {
        match outcome {
            Ok(()) => *self = Self::default(),
            Err(VerifyError::Open(_)) => (self.open, self.failed) = (self.open.saturating_add(1), self.failed.saturating_add(1)),
            Err(_) => (self.open, self.failed) = (0, self.failed.saturating_add(1)),
        }
        match self {
            Self { open, .. } if *open >= OPEN => FilterProof::Open,
            Self { failed, .. } if *failed >= UNPROVEN => FilterProof::Unproven,
            _ => FilterProof::Closed,
        }
    }

    /// When the next proof is due.
    fn pause(&self) -> Duration {
        if (1..UNPROVEN).contains(&self.failed) { SOON } else { random::jittered(EVERY) }
    }
}

/// Proves it again and again.
pub async fn keep_proving(context: Arc<Context>) -> Infallible {
    let mut row = Row::default();
    loop {
        sleep(row.pause()).await;
        let outcome = prove(&context).await;
        context.proven.state.lock().asking.clear();
        // what was open stays so until it is seen closed
        let filter = match (row.take(&outcome), context.proven.filter()) {
            (FilterProof::Closed, before) if outcome.is_err() => before,
            (FilterProof::Unproven, FilterProof::Open) => FilterProof::Open,
            (filter, _) => filter,
        };
        let news = context.proven.set(filter);
        context.metrics.filter(filter);
        match (&outcome, filter) {
            (Err(error), FilterProof::Open) if news => {
                tracing::error!(%error, "the packet filter leaves a way out: the pod has to be replaced");
            }
            (Err(error), FilterProof::Unproven) if news => {
                tracing::error!(%error, "the packet filter is not proven any more");
            }
            (Err(error), _) => tracing::debug!(%error, "a proof failed"),
            (Ok(()), _) if news => tracing::warn!("the packet filter is proven again"),
            (Ok(()), _) => {}
        }
    }
}

/// On a thread of its own, since it waits for the answers of this one.
async fn prove(context: &Arc<Context>) -> Result<(), VerifyError> {
    let (told, outcome) = oneshot::channel();
    let witness = Arc::clone(context);
    let prover = move || drop(told.send(verify::again(&*witness)));
    if let Err(error) = thread::Builder::new().name("proof".into()).stack_size(STACK).spawn(prover) {
        return Err(VerifyError::Unproven(vec![format!("no thread can be had: {error}")]));
    }
    outcome.await.unwrap_or_else(|_| Err(VerifyError::Unproven(vec!["the proof ended early".to_owned()])))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// What proofs show, `+` closed, `?` unproven, `!` open, and what follows.
    #[rstest]
    #[case("", FilterProof::Closed)]
    #[case("!", FilterProof::Closed)]
    #[case("!!", FilterProof::Open)]
    #[case("!+!", FilterProof::Closed)]
    #[case("?????", FilterProof::Closed)]
    #[case("??????", FilterProof::Unproven)]
    #[case("!?????", FilterProof::Unproven)]
    #[case("?????+?", FilterProof::Closed)]
    #[case("!!+", FilterProof::Closed)]
    fn one_that_fails_is_not_enough(#[case] proofs: &str, #[case] expected: FilterProof) {
        let mut row = Row::default();
        let mut last = FilterProof::Closed;
        for proof in proofs.chars() {
            last = row.take(&match proof {
                '+' => Ok(()),
                '!' => Err(VerifyError::Open(vec![])),
                _ => Err(VerifyError::Unproven(vec![])),
            });
        }
        assert_eq!(last, expected);
    }
}
