//! What the tasks of the proxy share.

use std::sync::Arc;

use jiff::Timestamp;
use shekara_policy::{Judge, Verdict};
use tokio::sync::watch;

use crate::config::Config;
use crate::dns::forward::Forwarder;
use crate::dns::pins::Pins;
use crate::flow::dial::Dialler;
use crate::flow::registry::Registry;
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
    /// The documents in force.
    pub policy: watch::Receiver<Arc<Enforced>>,
    /// The countries of addresses.
    pub geo: Geo,
    /// How sockets to the outside are made.
    pub dialler: Dialler,
    /// Who asks the resolvers.
    pub forwarder: Forwarder,
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
    /// The documents in force at this moment.
    #[must_use]
    pub fn enforced(&self) -> Arc<Enforced> {
        self.policy.borrow().clone()
    }

    /// Judges a flow by the documents in force, at this moment.
    #[must_use]
    pub fn decide(&self, flow: &shekara_policy::Flow) -> Verdict {
        let enforced = self.enforced();
        shekara_policy::decide(Judge { documents: &enforced.documents, geo: &self.geo, now: Timestamp::now() }, flow)
    }
}
