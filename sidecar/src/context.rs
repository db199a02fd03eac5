//! What the tasks of the proxy share.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use shekara_policy::decide::{chosen_below, chosen_in_cluster, is_inside};
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Address, Flow, HostName, Inflow, Judge, PolicyDocument, Reason, Verdict, decide, decide_inbound};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bound::{Bound, flows_within};
use crate::clock::Clock;
use crate::config::Config;
use crate::dns::forward::Forwarder;
use crate::dns::labels::Labels;
use crate::dns::pins::Pins;
use crate::flow::dial::Dialler;
use crate::flow::registry::{Registry, Subject};
use crate::flow::resolve::Resolved;
use crate::geo::Countries;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::policy::Enforced;
use crate::probes;
use crate::proof::{self, again::Proven};
use crate::readiness::Readiness;
use crate::record::Records;
use crate::sink::Sink;
use crate::spending::Spending;

/// One of each, for as long as the process lives.
pub struct Context {
    /// What was configured.
    pub config: Config,
    /// The time, which never goes back.
    pub clock: Clock,
    /// The documents that were put in force last; [`Self::enforced`] says whether they still are.
    pub policy: watch::Receiver<Arc<Enforced>>,
    /// The countries of addresses.
    pub geo: Countries,
    /// Who is at the addresses inside the cluster that are used.
    pub peers: Peers,
    /// How sockets to the outside are made.
    pub dialler: Dialler,
    /// Who asks the resolvers.
    pub forwarder: Forwarder,
    /// The TCP flows that the pod began.
    pub flows: Bound,
    /// Those of clients, as many as of the others: neither can use up the places of the other.
    pub inflows: Bound,
    /// Those of them that have not reached their destination.
    pub half_open: Bound,
    /// The associations of UDP.
    pub associations: Bound,
    /// The questions that wait for a resolver.
    pub waiting: Bound,
    /// The proofs that are answered: an application that uses all places of flows is proven nonetheless.
    pub proofs: Bound,
    /// The probes under way for others than the node.
    pub probes: Bound,
    /// What applications have said in names below wildcards and in those of the cluster.
    pub labels: Labels,
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
    /// Whether the packet filter is still proven.
    pub proven: Proven,
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
        let flows = flows_within(getrlimit(Resource::Nofile).current, config.limits.flows);
        Ok(Self {
            geo: Countries::open(&config.geo)?,
            clock: Clock::default(),
            readiness: Readiness::default(),
            policy,
            peers: Peers::default(),
            forwarder: Forwarder::new(dialler.clone()),
            dialler,
            flows: Bound::new(flows),
            inflows: Bound::new(flows),
            half_open: Bound::new(config.limits.half_open),
            associations: Bound::new(config.limits.associations),
            waiting: Bound::new(config.limits.questions),
            proofs: Bound::new(proof::AT_ONCE),
            proven: Proven::default(),
            probes: Bound::new(probes::AT_ONCE),
            labels: Labels::default(),
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

    /// The documents in force at this moment: none past the end of one of them.
    #[must_use]
    pub fn enforced(&self) -> Arc<Enforced> {
        let enforced = self.policy.borrow().clone();
        match enforced.not_after() {
            Some(end) if self.clock.now() >= end => Arc::new(enforced.past_its_end()),
            _ => enforced,
        }
    }

    /// Whether denials are recorded at this moment and do not hold: all documents say so, and so was the pod admitted.
    #[must_use]
    pub fn observes(&self) -> bool {
        self.observes_until().is_some_and(|until| self.clock.now() < until)
    }

    /// The first instant at which denials hold; none where they do whatever the time.
    #[must_use]
    pub fn observes_until(&self) -> Option<Timestamp> {
        // a pod that was admitted to enforce needs no look at its documents, and this is asked for every flow
        let admitted = self.config.observe_until?;
        PolicyDocument::observed_until(&self.enforced().documents).map(|declared| declared.min(admitted))
    }

    /// Judges a flow by the documents in force, at this moment.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Verdict {
        self.explained(self.judge(|judge| decide(judge, flow)))
    }

    /// The same for a flow of a client.
    #[must_use]
    pub fn decide_inbound(&self, flow: &Inflow) -> Verdict {
        self.explained(self.judge(|judge| decide_inbound(judge, flow)))
    }

    /// Judges a flow that lives.
    #[must_use]
    pub fn decide_again(&self, subject: &Subject) -> Verdict {
        match subject {
            Subject::Out(flow) => self.decide(flow),
            Subject::In(flow) => self.decide_inbound(flow),
        }
    }

    fn explained(&self, verdict: Verdict) -> Verdict {
        match verdict {
            Verdict::Deny(denial) => Verdict::Deny(self.enforced().explained(denial)),
            allowed @ Verdict::Allow(_) => allowed,
        }
    }

    /// Judges by the documents in force, at this moment.
    pub fn judge<T>(&self, decide: impl FnOnce(Judge<'_>) -> T) -> T {
        let enforced = self.enforced();
        decide(Judge { documents: &enforced.documents, geo: &self.geo, peers: &self.peers, now: self.clock.now() })
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

    /// Counts what the application has said in a name of its choice, before anybody is asked for the name: the label below a listed
    /// wildcard, or a name of the cluster.
    ///
    /// # Errors
    /// When more was said below the same wildcard, or in names of the cluster, than an hour allows.
    pub fn spell(&self, name: &HostName) -> Result<(), Reason> {
        let enforced = self.enforced();
        let (limits, now) = (self.config.limits, Instant::now());
        let (new, number, bytes) = if let Some(said) = chosen_in_cluster(&enforced.documents, name) {
            let new = self.labels.take_in_cluster(said, limits, now);
            (new, &self.metrics.cluster_names, &self.metrics.cluster_name_bytes)
        } else if let Some(parent) = chosen_below(&enforced.documents, name) {
            (self.labels.take(parent, name, limits, now), &self.metrics.labels, &self.metrics.label_bytes)
        } else {
            return Ok(());
        };
        let new = new.ok_or(Reason::TooManyLabels)?;
        number.inc_by(u64::from(new > 0));
        bytes.inc_by(new);
        Ok(())
    }

    /// The same for a flow that is to begin: it also needs something left of every bound, unless the pod observes, which bounds
    /// nothing.
    #[must_use]
    pub fn admit(&self, flow: &Flow) -> Verdict {
        match self.decide(flow) {
            Verdict::Allow(grant) if self.observes() => Verdict::Allow(Grant { budgets: vec![], ..grant }),
            Verdict::Allow(grant) => match self.spending.spent(&grant.budgets, self.clock.now()) {
                Some(denial) => Verdict::Deny(Denial { country: grant.country, ..denial }),
                None => Verdict::Allow(grant),
            },
            denied @ Verdict::Deny(_) => denied,
        }
    }

    /// What is still missing before the pod may start, in words; `None` when it may.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        self.readiness.missing(&self.enforced())
    }
}
