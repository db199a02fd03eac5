//! Which replica leads, by a Lease, as client-go does it: one writes status and keeps the counts, all of them serve.
//!
//! Times on the Lease are never compared with this machine's clock: a Lease that has not changed for its whole duration, by the
//! clock of who looks at it, is up. A leader that cannot renew in time ends before another may take the Lease.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::caches::Caches;
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
    pub(crate) async fn run(mut self, caches: Arc<Caches>, stop: CancellationToken) -> Result<(), LeadershipLost> {
        // who knows nothing yet must not keep the Lease from who does
        tokio::select! {
            () = caches.wait_until_synced() => {}
            () = stop.cancelled() => return Ok(()),
        }
        loop {
            // a leader has until its time is up, and not a moment more
            let until = self.renewed.unwrap_or_else(Instant::now) + DEADLINE;
            let round = timeout_at(until, self.round()).await;
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
        // another replica counts from when it sees the change, which is not before it was asked for
        let now = Instant::now();
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
mod tests;
