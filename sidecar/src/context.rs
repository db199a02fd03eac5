//! What the tasks of the proxy share.

use std::io::Write;
use std::sync::Arc;

use shekara_policy::{Flow, Judge, Verdict, decide};
use tokio::sync::watch;

use crate::clock::Clock;
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
use crate::policy::Enforced;
use crate::readiness::Readiness;
use crate::record::Records;
use crate::sink::Sink;

/// One of each, for as long as the process lives.
pub struct Context {
    /// What was configured.
    pub config: Config,
    /// The time, which never goes back.
    pub clock: Clock,
    /// The documents that were put in force last; [`Self::enforced`] says whether they still are.
    pub policy: watch::Receiver<Arc<Enforced>>,
    /// The countries of addresses.
    pub geo: Geo,
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
            clock: Clock::default(),
            readiness: Readiness::default(),
            policy,
            forwarder: Forwarder::new(dialler.clone()),
            dialler,
            waiting: Waiting::default(),
            resolved: Resolved::default(),
            pins: Pins::default(),
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

    /// Judges a flow by the documents in force, at this moment.
    #[must_use]
    pub fn decide(&self, flow: &Flow) -> Verdict {
        let enforced = self.enforced();
        let verdict = decide(Judge { documents: &enforced.documents, geo: &self.geo, now: self.clock.now() }, flow);
        match verdict {
            Verdict::Deny(denial) => Verdict::Deny(enforced.explained(denial)),
            allowed @ Verdict::Allow(_) => allowed,
        }
    }

    /// What is still missing before the pod may start, in words; `None` when it may.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        self.readiness.missing(&self.enforced())
    }
}
