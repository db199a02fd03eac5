//! What the tasks of the proxy share.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use shekara_policy::decide::is_inside;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, Judge, Reason, Verdict, decide};
use tokio::sync::watch;

use crate::config::Config;
use crate::dns::forward::Forwarder;
use crate::dns::pins::Pins;
use crate::dns::respond::Waiting;
use crate::flow::dial::Dialler;
use crate::flow::registry::Registry;
use crate::flow::resolve::Resolved;
use crate::geo::Geo;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::policy::Enforced;
use crate::readiness::Readiness;
use crate::record::Records;
use crate::sink::Sink;
use crate::spending::Spending;

/// One of each, for as long as the process lives.
pub struct Context {
    /// What was configured.
    pub config: Config,
    /// The documents in force.
    pub policy: watch::Receiver<Arc<Enforced>>,
    /// The countries of addresses.
    pub geo: Geo,
    /// Who is at the addresses inside the cluster that are used.
    pub peers: Peers,
    /// How sockets to the outside are made.
    pub dialler: Dialler,
    /// Who asks the resolvers.
    pub forwarder: Forwarder,
    /// The questions that wait for a resolver.
    pub waiting: Waiting,
    /// What names were resolved to lately.
    pub resolved: Resolved,
    /// The names that this pod was answered addresses for.
    pub pins: Pins,
    /// What has left by bounded routes.
    pub spending: Spending,
    /// The flows that live now.
    pub registry: Registry,
    /// The totals for checkpoints.
    pub ledger: Ledger,
    /// The lines on standard output.
    pub records: Records,
    /// The numbers for Prometheus.
    pub metrics: Metrics,
    /// The UDP that went nowhere.
    pub sink: Sink,
    /// Whether the pod may start.
    pub readiness: Readiness,
}

impl Context {
    /// Everything at its beginning. `output` takes the records.
    ///
    /// # Errors
    /// When the geo table must not be used, or the metrics or the thread of the records cannot be made.
    pub fn new(
        config: Config,
        policy: watch::Receiver<Arc<Enforced>>,
        dialler: Dialler,
        output: impl Write + Send + 'static,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        Ok(Self {
            geo: Geo::open(&config.geo)?,
            readiness: Readiness::new(policy.clone()),
            policy,
            peers: Peers::default(),
            forwarder: Forwarder::new(dialler.clone()),
            dialler,
            waiting: Waiting::default(),
            resolved: Resolved::default(),
            pins: Pins::default(),
            spending: Spending::default(),
            registry: Registry::default(),
            ledger: Ledger::default(),
            records: Records::new(output, metrics.records_lost.clone())?,
            metrics,
            sink: Sink::default(),
            config,
        })
    }

    /// The documents in force at this moment.
    #[must_use]
    pub fn enforced(&self) -> Arc<Enforced> {
        self.policy.borrow().clone()
    }

    /// Judges a flow by the documents in force, at this moment.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Verdict {
        self.judge(|judge| decide(judge, flow))
    }

    /// Judges by the documents in force, at this moment.
    pub fn judge<T>(&self, decide: impl FnOnce(Judge<'_>) -> T) -> T {
        let enforced = self.enforced();
        decide(Judge { documents: &enforced.documents, geo: &self.geo, peers: &self.peers, now: Timestamp::now() })
    }

    /// Has it known who is at those of the addresses that are inside the cluster, as far as the operator says it in time.
    ///
    /// # Errors
    /// When the pod uses as many addresses as it may.
    pub async fn know(&self, addresses: &[IpAddr], port: u16) -> Result<(), Reason> {
        let addresses = addresses.iter().map(|ip| Address::new(*ip));
        let inside: Vec<SocketAddr> = self.judge(|judge| {
            let inside = addresses.filter(|address| is_inside(judge, *address));
            inside.map(|address| SocketAddr::new(address.ip(), port)).collect()
        });
        if inside.is_empty() {
            return Ok(());
        }
        self.peers.know(&inside, || self.registry.destinations()).await
    }

    /// The same for a flow that is to begin: it also needs something left of every bound.
    #[must_use]
    pub fn admit(&self, flow: &Flow) -> Verdict {
        match self.decide(flow) {
            Verdict::Allow(grant) => match self.spending.spent(&grant.budgets, Timestamp::now()) {
                Some(denial) => Verdict::Deny(Denial { country: grant.country, ..denial }),
                None => Verdict::Allow(grant),
            },
            denied @ Verdict::Deny(_) => denied,
        }
    }
}
