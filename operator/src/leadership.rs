//! Which replica leads, by a Lease, as client-go does it: one writes status and keeps the counts, all of them serve.
//!
//! Times on the Lease are never compared with this machine's clock: a Lease that has not changed for its whole duration, by the
//! clock of who looks at it, is up. A leader that cannot renew in time ends before another may take the Lease.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;

/// The name of the Lease.
const LEASE: &str = "shekara-operator";
/// How long the Lease lasts without being renewed.
const LASTS: Duration = Duration::from_secs(15);
/// How long a leader may fail to renew before it ends.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks.
const ROUND: Duration = Duration::from_secs(2);
/// Where the Lease says how the leader is reached by the others.
const ADDRESS: &str = "shekara.dev/address";

/// Why the process must end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeadershipLost {
    /// Another replica has the Lease.
    #[error("another replica has taken the Lease")]
    Taken,
    /// The Lease could not be renewed in time.
    #[error("the Lease could not be renewed for {} s", DEADLINE.as_secs())]
    NotRenewed,
}

/// Who leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Leader {
    /// Nobody, as far as is known.
    #[default]
    Nobody,
    /// This replica.
    Here,
    /// Another replica, at this address.
    At(IpAddr),
}

/// What a replica knows of who leads.
#[derive(Clone)]
pub(crate) struct Leadership(watch::Receiver<Leader>);

/// The part that seeks and keeps the Lease.
pub(crate) struct Election {
    leases: Api<Lease>,
    identity: String,
    address: IpAddr,
    leader: watch::Sender<Leader>,
    observed: Option<Observed>,
    renewed: Option<Instant>,
    taken: bool,
}

/// A state of the Lease, and since when it has been seen in it.
struct Observed {
    version: Option<String>,
    since: Instant,
}

/// What is to be done about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Create,
    Renew,
    Take,
    Follow,
}

impl Leadership {
    /// Who leads now.
    pub(crate) fn leader(&self) -> Leader {
        *self.0.borrow()
    }

    /// What is known in a test.
    #[cfg(test)]
    pub(crate) fn of(leader: Leader) -> Self {
        Self(watch::channel(leader).1)
    }

    /// Waits until this replica leads. It does from then on: one that loses the Lease ends.
    pub(crate) async fn here(&mut self) {
        // fails only when the election ended, and with it the process
        if self.0.wait_for(|leader| *leader == Leader::Here).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Election {
    pub(crate) fn new(client: Client, config: &Config) -> (Self, Leadership) {
        let (leader, receiver) = watch::channel(Leader::Nobody);
        let election = Self {
            leases: Api::namespaced(client, &config.namespace),
            identity: config.pod_name.clone(),
            address: config.pod_address,
            leader,
            observed: None,
            renewed: None,
            taken: false,
        };
        (election, Leadership(receiver))
    }

    /// Seeks the Lease, and keeps it once it is had; gives it back when the process is told to stop.
    ///
    /// # Errors
    /// When it is lost.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), LeadershipLost> {
        loop {
            let round = timeout(DEADLINE, self.round()).await;
            match round {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => warn!(%problem, "the Lease cannot be read or written"),
                Err(_) => warn!("the API server does not answer about the Lease"),
            }
            self.check()?;
            tokio::select! {
                () = sleep(ROUND) => {}
                () = stop.cancelled() => {
                    self.release().await;
                    return Ok(());
                }
            }
        }
    }

    async fn round(&mut self) -> Result<(), kube::Error> {
        let found = self.leases.get_opt(LEASE).await?;
        let version = found.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let unchanged = self.observed.as_ref().filter(|observed| observed.version == version).map(|observed| observed.since);
        let since = unchanged.unwrap_or_else(Instant::now);
        self.observed = Some(Observed { version, since });
        let step = step(found.as_ref(), &self.identity, since.elapsed());
        if self.renewed.is_some() && step != Step::Renew {
            // another may have led meanwhile, and what this replica knows may be old
            self.taken = true;
            return Ok(());
        }
        let written = match step {
            Step::Follow => {
                self.say(found.as_ref().and_then(address).map_or(Leader::Nobody, Leader::At));
                return Ok(());
            }
            Step::Create => self.leases.create(&PostParams::default(), &self.lease(None)).await,
            Step::Renew | Step::Take => self.leases.replace(LEASE, &PostParams::default(), &self.lease(found.as_ref())).await,
        };
        match written {
            Ok(lease) => {
                let now = Instant::now();
                self.observed = Some(Observed { version: lease.metadata.resource_version, since: now });
                self.renewed = Some(now);
                self.say(Leader::Here);
                Ok(())
            }
            // another replica was faster; the next look says who
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(problem) => Err(problem),
        }
    }

    fn say(&self, leader: Leader) {
        let changed = self.leader.send_if_modified(|before| std::mem::replace(before, leader) != leader);
        if changed {
            info!(?leader, "the leader is another one");
        }
    }

    /// Whether what was had is still had.
    fn check(&self) -> Result<(), LeadershipLost> {
        if self.taken {
            return Err(LeadershipLost::Taken);
        }
        if self.renewed.is_some_and(|renewed| renewed.elapsed() >= DEADLINE) { Err(LeadershipLost::NotRenewed) } else { Ok(()) }
    }

    /// The Lease as it is when this replica has it.
    fn lease(&self, before: Option<&Lease>) -> Lease {
        let mut lease = before.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
            ..Lease::default()
        });
        lease.metadata.annotations.get_or_insert_default().insert(ADDRESS.to_owned(), self.address.to_string());
        let spec = lease.spec.get_or_insert_default();
        let now = MicroTime(Timestamp::now());
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |transitions| transitions.saturating_add(1)));
            spec.acquire_time = Some(now.clone());
        }
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = i32::try_from(LASTS.as_secs()).ok();
        spec.renew_time = Some(now);
        lease
    }

    /// Lets another replica have the Lease at once.
    async fn release(&self) {
        if self.renewed.is_none() {
            return;
        }
        let release = async {
            let mut lease = self.leases.get(LEASE).await?;
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                self.leases.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        match timeout(ROUND, release).await {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => warn!(%problem, "the Lease cannot be given back, and runs out instead"),
            Err(_) => warn!("the Lease cannot be given back in time, and runs out instead"),
        }
    }
}

/// What to do about a Lease that has been unchanged for so long.
fn step(lease: Option<&Lease>, identity: &str, unchanged: Duration) -> Step {
    let Some(lease) = lease else { return Step::Create };
    let spec = lease.spec.as_ref();
    match spec.and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty()) {
        Some(holder) if holder == identity => Step::Renew,
        Some(_) => {
            let lasts = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
            if unchanged >= lasts.map_or(LASTS, Duration::from_secs) { Step::Take } else { Step::Follow }
        }
        None => Step::Take,
    }
}

fn address(lease: &Lease) -> Option<IpAddr> {
    lease.metadata.annotations.as_ref()?.get(ADDRESS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::response::{IntoResponse as _, Response};
    use axum::routing::{get, post};
    use axum::{Json, Router};
    use futures::FutureExt as _;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::*;
    use crate::fixtures::config;
    use crate::serve;

    fn lease(holder: Option<&str>, seconds: Option<i32>) -> Lease {
        let spec =
            LeaseSpec { holder_identity: holder.map(str::to_owned), lease_duration_seconds: seconds, ..LeaseSpec::default() };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_nobodys_or_up_and_kept_when_it_is_ours() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        assert_eq!(step(None, "a", short), Step::Create);
        assert_eq!(step(Some(&lease(None, None)), "a", short), Step::Take);
        assert_eq!(step(Some(&lease(Some(""), None)), "a", short), Step::Take);
        assert_eq!(step(Some(&lease(Some("a"), Some(15))), "a", long), Step::Renew);
        assert_eq!(step(Some(&lease(Some("b"), Some(15))), "a", short), Step::Follow);
        assert_eq!(step(Some(&lease(Some("b"), Some(15))), "a", long), Step::Take);
        assert_eq!(step(Some(&lease(Some("b"), Some(-1))), "a", short), Step::Follow);
        assert_eq!(step(Some(&lease(Some("b"), Some(120))), "a", long), Step::Follow);
    }

    /// An API server with one Lease, which keeps its optimistic lock.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<(u64, Option<Value>)>>);

    impl Server {
        fn answer(&self, write: Option<Value>) -> Response {
            let mut state = self.0.lock().unwrap();
            let Some(mut lease) = write else {
                let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404});
                return state
                    .1
                    .clone()
                    .map_or((StatusCode::NOT_FOUND, Json(missing)).into_response(), |lease| Json(lease).into_response());
            };
            let version =
                |lease: Option<&Value>| lease.and_then(|lease| lease["metadata"]["resourceVersion"].as_str().map(str::to_owned));
            if version(state.1.as_ref()) != version(Some(&lease)) {
                let conflict = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "conflict", "reason": "Conflict", "code": 409});
                return (StatusCode::CONFLICT, Json(conflict)).into_response();
            }
            state.0 += 1;
            lease["metadata"]["resourceVersion"] = json!(state.0.to_string());
            state.1 = Some(lease.clone());
            Json(lease).into_response()
        }

        async fn start(&self, tasks: &mut JoinSet<()>) -> Client {
            let path = "/apis/coordination.k8s.io/v1/namespaces/shekara-system/leases";
            let read = async |State(server): State<Self>| server.answer(None);
            let write = async |State(server): State<Self>, Json(lease): Json<Value>| server.answer(Some(lease));
            let router = Router::new()
                .route(path, post(write))
                .route(&format!("{path}/{LEASE}"), get(read).put(write))
                .with_state(self.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            tasks.spawn(serve::plain(listener, router, CancellationToken::new()).map(|_| ()));
            Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
        }
    }

    fn replica(client: &Client, name: &str) -> (Election, Leadership) {
        let mut config = config();
        config.pod_name = name.to_owned();
        config.pod_address = "10.244.0.9".parse().unwrap();
        Election::new(client.clone(), &config)
    }

    #[tokio::test]
    async fn one_leads_the_other_follows_and_takes_over_when_the_lease_is_given_back() {
        let (server, mut tasks) = (Server::default(), JoinSet::new());
        let client = server.start(&mut tasks).await;
        let ((mut first, one), (mut second, other)) = (replica(&client, "a"), replica(&client, "b"));
        first.round().await.unwrap();
        second.round().await.unwrap();
        assert_eq!((one.leader(), other.leader()), (Leader::Here, Leader::At("10.244.0.9".parse().unwrap())));
        first.round().await.unwrap();
        first.check().unwrap();
        first.release().await;
        second.round().await.unwrap();
        assert_eq!(other.leader(), Leader::Here);
        first.round().await.unwrap();
        assert!(matches!(first.check(), Err(LeadershipLost::Taken)));
    }

    #[tokio::test]
    async fn who_cannot_renew_in_time_ends() {
        let (server, mut tasks) = (Server::default(), JoinSet::new());
        let client = server.start(&mut tasks).await;
        let (mut first, _) = replica(&client, "a");
        first.round().await.unwrap();
        first.renewed = Instant::now().checked_sub(DEADLINE);
        assert!(matches!(first.check(), Err(LeadershipLost::NotRenewed)));
    }
}
