//! Starts every part and watches over it: if one ends, the process ends; if the process is told to stop, all of them end.

use std::future::Future;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::admission::{Admission, Distributed};
use crate::caches::Caches;
use crate::certificates::{Certificates, CertificatesError};
use crate::config::Config;
use crate::controllers::{Context as Controllers, Marked, Pace, Queues};
use crate::dispatch::Dispatcher;
use crate::documents::Documents;
use crate::drafts::keeper::Keeper as Drafter;
use crate::drafts::workloads::{self, Workloads};
use crate::keys::{Keeper, KeysError};
use crate::leadership::Election;
use crate::ledger::Ledger;
use crate::ledger::store::Store;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::policy_api::{self, PolicyApi};
use crate::policy_files::PolicyFiles;
use crate::readiness::Readiness;
use crate::signer::Signer;
use crate::trust::Trust;
use crate::{admin, events, serve};

/// The port of the policy API.
const POLICY_PORT: u16 = 8443;
/// The port of the webhook.
const WEBHOOK_PORT: u16 = 9443;
/// The port of metrics, readiness and liveness.
const ADMIN_PORT: u16 = 8080;
/// How many files are written at once: after a change of keys all of them are.
const FILE_WRITERS: usize = 4;
/// How long connections may take to end after the process was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no way to the API server.
    #[error("cannot configure the client of the API server: {0}")]
    Client(#[source] kube::Error),
    /// Two metrics with one name.
    #[error("cannot register the metrics: {0}")]
    Metrics(#[source] prometheus::Error),
    /// A port is taken.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// Signals cannot be awaited.
    #[error("cannot await signals: {0}")]
    Signals(#[source] std::io::Error),
    /// The certificate authority cannot be made or read.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// The other replicas cannot be reached.
    #[error("the way to the other replicas cannot be set up: {0}")]
    Replicas(#[from] policy_api::ForwardError),
    /// The keys cannot be made or read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A part ended.
    #[error("{part}: {problem}")]
    Part {
        /// Its name.
        part: &'static str,
        /// Why.
        problem: String,
    },
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or when any part ends by itself.
pub async fn run(config: Config) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
    let stop = CancellationToken::new();
    let mut supervisor = Supervisor::new(stop.clone());
    let starting = start(Arc::new(config), &mut supervisor);
    tokio::select! {
        started = starting => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    tokio::select! {
        ended = supervisor.first_end() => return Err(ended),
        _ = terminate.recv() => info!("told to stop"),
        _ = interrupt.recv() => info!("told to stop"),
    }
    stop.cancel();
    supervisor.drain(DRAIN).await;
    Ok(())
}

async fn start(config: Arc<Config>, supervisor: &mut Supervisor) -> Result<(), RunError> {
    let stop = supervisor.stop.clone();
    let metrics = Arc::new(Metrics::new().map_err(RunError::Metrics)?);
    let readiness = Readiness::default();
    let synced = readiness.gate("the caches");
    let bundle = readiness.gate("the certificate authority in the webhook configuration");
    supervisor.start(
        "administration port",
        serve::plain(listen(ADMIN_PORT).await?, admin::router(Arc::clone(&metrics), readiness.clone()), stop.clone()),
    );

    let client = kube::Client::try_default().await.map_err(RunError::Client)?;
    let given = config.authority_secret.is_some().then(|| readiness.gate("the Secret with the certificate authority"));
    let certificates = Certificates::establish(client.clone(), &config).await?;
    if let Some(given) = given {
        given.open();
    }
    let (keys, keeper) = Keeper::establish(client.clone(), &config, certificates.authorities()).await?;
    let caches = Arc::new(Caches::default());
    let changes = caches.follow(&client, &metrics, supervisor);
    let documents = Arc::new(Documents::default());
    let ledger = Arc::new(Ledger::default());
    let log_readers = Arc::default();
    let (election, leadership) = Election::new(client.clone(), &config);
    let (store, resumed) = Store::new(client.clone(), &config, &ledger, &caches, &metrics, leadership.clone());
    let kept = CancellationToken::new();
    supervisor.start("counts", store.run(stop.clone(), kept.clone()));
    supervisor.start("election", election.run(Arc::clone(&caches), kept));
    let peers = Arc::new(Peers::new(&config, &caches, &documents, &ledger, resumed.clone()));
    let (notices, events) = events::channel(client.clone(), &config, Arc::clone(&metrics));
    supervisor.start("events", events.run());

    let distributed = Distributed {
        authorities: certificates.authorities(),
        paths: certificates.webhook_paths(),
        keys: Arc::clone(&keys),
        documents: Arc::clone(&documents),
    };
    let admission = Arc::new(Admission::new(client.clone(), &config, &caches, distributed, notices.clone(), &metrics));
    let queues = Arc::new(Queues::default());
    let controllers = Controllers {
        client: client.clone(),
        config: Arc::clone(&config),
        caches: Arc::clone(&caches),
        documents: Arc::clone(&documents),
        keys: Arc::clone(&keys),
        ledger: Arc::clone(&ledger),
        log_readers: Arc::clone(&log_readers),
        metrics: Arc::clone(&metrics),
        queues: Arc::clone(&queues),
        notices: notices.clone(),
        admission: Arc::clone(&admission),
        pace: Pace::default(),
        marked: Marked::default(),
        resumed: resumed.clone(),
    };
    let dispatcher = Dispatcher {
        config: Arc::clone(&config),
        caches: Arc::clone(&caches),
        documents: Arc::clone(&documents),
        peers: Arc::clone(&peers),
        ledger: Arc::clone(&ledger),
        log_readers,
        signer: Arc::new(Signer::new(Arc::clone(&keys), Arc::clone(&caches))),
        keys: Arc::clone(&keys),
        queues: Arc::clone(&queues),
        notices: notices.clone(),
        resumed: resumed.clone(),
    };
    supervisor.start("dispatcher", dispatcher.run(changes, synced));
    controllers.start(supervisor);
    let annotated = Arc::new(Workloads::default());
    for kind in workloads::Kind::ALL {
        let followed = workloads::follow(kind, client.clone(), Arc::clone(&annotated), Arc::clone(&queues), resumed.clone());
        supervisor.start("annotated workloads", followed);
    }
    let drafter = Drafter::new(client.clone(), &caches, &annotated, &queues, notices.clone(), resumed.clone());
    supervisor.start("drafts", drafter.run());
    let files = Arc::new(PolicyFiles {
        client: client.clone(),
        caches: Arc::clone(&caches),
        documents: Arc::clone(&documents),
        keys: Arc::clone(&keys),
        queues: Arc::clone(&queues),
        metrics: Arc::clone(&metrics),
        resumed: resumed.clone(),
    });
    let trust = Trust {
        client: client.clone(),
        config: Arc::clone(&config),
        caches: Arc::clone(&caches),
        keys: Arc::clone(&keys),
        resumed: resumed.clone(),
    };
    supervisor.start("trust", trust.run());
    for _ in 0..FILE_WRITERS {
        supervisor.start("policy files", Arc::clone(&files).run());
    }

    let policy = PolicyApi::new(policy_api::Parts {
        client: client.clone(),
        config: Arc::clone(&config),
        caches: Arc::clone(&caches),
        documents: Arc::clone(&documents),
        peers,
        keys: Arc::clone(&keys),
        ledger,
        queues,
        metrics: Arc::clone(&metrics),
        leadership,
        resumed: resumed.clone(),
        authorities: certificates.authorities(),
        port: POLICY_PORT,
        stop: stop.clone(),
    })?;
    let tls = certificates.server_config();
    supervisor.start("policy API", serve::tls(listen(POLICY_PORT).await?, policy.router(), Arc::clone(&tls), stop.clone()));
    supervisor.start("webhook", serve::tls(listen(WEBHOOK_PORT).await?, admission.router(), tls, stop));
    supervisor.start("certificates", certificates.run(Some(bundle), resumed.clone()));
    supervisor.start("keys", keeper.run(resumed));
    Ok(())
}

/// Listens on every address, IPv4 included where the system has both.
async fn listen(port: u16) -> Result<TcpListener, RunError> {
    let every = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let failed = |source| RunError::Listen { port, source };
    match TcpListener::bind(every).await {
        Ok(listener) => Ok(listener),
        // a machine without IPv6
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await.map_err(failed),
    }
}

/// The tasks of the process, none of which ends before the process does.
pub(crate) struct Supervisor {
    tasks: JoinSet<Result<(), String>>,
    names: std::collections::HashMap<Id, &'static str>,
    stop: CancellationToken,
}

impl Supervisor {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { tasks: JoinSet::new(), names: std::collections::HashMap::new(), stop }
    }

    /// Starts a part.
    pub(crate) fn start<E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(async { part.await.map_err(|error| error.to_string()) });
        self.names.insert(handle.id(), name);
    }

    /// Waits until a part ends or panics, which is an error either way.
    pub(crate) async fn first_end(&mut self) -> RunError {
        let (id, problem) = match self.tasks.join_next_with_id().await {
            Some(Ok((id, Ok(())))) => (Some(id), "it ended".to_owned()),
            Some(Ok((id, Err(problem)))) => (Some(id), problem),
            Some(Err(panic)) => (Some(panic.id()), panic.to_string()),
            None => (None, "nothing was started".to_owned()),
        };
        RunError::Part { part: id.and_then(|id| self.names.get(&id).copied()).unwrap_or("supervisor"), problem }
    }

    /// Gives the parts that heed the stop signal time to end, and ends the others.
    async fn drain(&mut self, limit: Duration) {
        let servers = ["policy API", "webhook", "administration port", "counts", "election"];
        let mut open: std::collections::HashSet<Id> =
            self.names.iter().filter(|(_, name)| servers.contains(name)).map(|(id, _)| *id).collect();
        let all_closed = async {
            while !open.is_empty() {
                match self.tasks.join_next_with_id().await {
                    Some(Ok((id, _))) => open.remove(&id),
                    Some(Err(panic)) => open.remove(&panic.id()),
                    None => break,
                };
            }
        };
        if tokio::time::timeout(limit, all_closed).await.is_err() {
            error!("connections were still open after the time to drain them");
        }
        self.tasks.abort_all();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn problem_of(part: impl Future<Output = Result<(), String>> + Send + 'static) -> String {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.start("forever", std::future::pending::<Result<(), Infallible>>());
        supervisor.start("part", part);
        supervisor.first_end().await.to_string()
    }

    #[tokio::test]
    async fn a_part_that_ends_fails_or_panics_is_an_error_that_names_it() {
        assert_eq!(problem_of(async { Ok(()) }).await, "part: it ended");
        assert_eq!(problem_of(async { Err("broken".into()) }).await, "part: broken");
        let panicked = problem_of(async { panic!("lost") }).await;
        assert!(panicked.starts_with("part: ") && panicked.contains("panicked"), "{panicked}");
    }
}
