//! The controllers: one pipeline a kind, from what the caches hold to the status of an object, written only when it differs.

mod apply;
mod conditions;
pub(crate) mod holding;
mod recipient;
mod standard;
mod unreadable;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};
use tracing::warn;

use crate::admission::Admission;
use crate::caches::Caches;
use crate::config::Config;
use crate::documents::Documents;
use crate::events::Notices;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::ledger::store::Resumed;
use crate::log_readers::LogReaders;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::run::Supervisor;
use crate::watch::Key;
use apply::ApplyError;
pub(crate) use holding::claims::Marked;
pub(crate) use holding::restart::Pace;

/// How often the status of one object is written at most.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many holdings are visited at once.
const WORKERS: usize = 4;

/// The objects whose status is to be looked at.
pub(crate) struct Queues {
    pub(crate) holdings: Queue<Key>,
    pub(crate) recipients: Queue<Key>,
    pub(crate) standards: Queue<Key>,
    /// The holdings whose file is to be looked at.
    pub(crate) files: Queue<Key>,
    /// The holdings whose document may count less than it does.
    pub(crate) documents: Queue<Key>,
    /// The namespaces in which a draft may be missing.
    pub(crate) drafts: Queue<String>,
}

/// What every controller stands on.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) config: Arc<Config>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) log_readers: Arc<LogReaders>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) notices: Notices,
    pub(crate) admission: Arc<Admission>,
    pub(crate) pace: Pace,
    pub(crate) marked: Marked,
    pub(crate) resumed: Resumed,
}

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Line {
    Holdings,
    Recipients,
    Standards,
}

/// What a visit asks for.
enum Visited {
    /// Nothing before the next change.
    Done,
    /// Another visit after this time, when something will be otherwise.
    Again(Duration),
    /// The object is gone.
    Gone,
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            holdings: Queue::new(INTERVAL),
            recipients: Queue::new(INTERVAL),
            standards: Queue::new(INTERVAL),
            files: Queue::new(INTERVAL),
            documents: Queue::new(INTERVAL),
            drafts: Queue::new(INTERVAL),
        }
    }
}

impl Context {
    /// Starts every controller.
    pub(crate) fn start(self, supervisor: &mut Supervisor) {
        let context = Arc::new(self);
        for _ in 0..WORKERS {
            supervisor.start("controller of holdings", work(Arc::clone(&context), Line::Holdings));
        }
        supervisor.start("controller of recipients", work(Arc::clone(&context), Line::Recipients));
        supervisor.start("controller of standards", work(context, Line::Standards));
    }
}

/// Visits what is asked for, one after another. A visit that fails is tried again with growing pauses.
async fn work(context: Arc<Context>, line: Line) -> Result<(), Infallible> {
    let queue = match line {
        Line::Holdings => &context.queues.holdings,
        Line::Recipients => &context.queues.recipients,
        Line::Standards => &context.queues.standards,
    };
    // one replica writes: the one that knows what was counted
    context.resumed.clone().wait().await;
    loop {
        let key = queue.next().await;
        let visited = visit(&context, line, &key).await;
        queue.done(&key);
        match visited {
            Ok(Visited::Done) => queue.succeeded(&key),
            Ok(Visited::Again(delay)) => {
                queue.succeeded(&key);
                queue.push_after(key, delay);
            }
            Ok(Visited::Gone) => queue.forget(&key),
            Err(problem) => {
                warn!(object = %key, %problem, "a status could not be written; it is tried again");
                queue.retry(key);
            }
        }
    }
}

async fn visit(context: &Context, line: Line, key: &Key) -> Result<Visited, ApplyError> {
    let caches = &context.caches;
    match line {
        Line::Holdings => match caches.holdings.unreadable(key) {
            None => holding::visit(context, key).await,
            Some(problem) => unreadable::visit::<DataHolding>(context, key, &problem).await,
        },
        Line::Recipients => match caches.recipients.unreadable(key) {
            None => recipient::visit(context, key).await,
            Some(problem) => unreadable::visit::<Recipient>(context, key, &problem).await,
        },
        Line::Standards => match caches.standards.unreadable(key) {
            None => standard::visit(context, key).await,
            Some(problem) => unreadable::visit::<SovereigntyStandard>(context, key, &problem).await,
        },
    }
}
