//! What the operator counts, for Prometheus. Label values come from closed enums alone, so their number is bounded.

use prometheus::{Encoder as _, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::watch::Kind;

/// A value of a label.
pub(crate) trait Label: Copy {
    /// The stable text.
    fn text(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal,)* })*) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug, PartialEq, Eq)] pub(crate) enum $name { $($variant,)* }
        impl Label for $name {
            fn text(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        })*
    };
}

labels! {
    /// How a pod was admitted.
    Admission { Injected = "injected", Untouched = "untouched", Refused = "refused", Failed = "failed", }
    /// What became of a token.
    TokenReview { Accepted = "accepted", Rejected = "rejected", Failed = "failed", }
    /// What became of a checkpoint.
    CheckpointOutcome { Accepted = "accepted", Old = "old", Invalid = "invalid", }
    /// What became of a write to the API server.
    Write { Done = "done", Failed = "failed", }
    /// What became of an event.
    EventOutcome { Sent = "sent", Repeated = "repeated", Failed = "failed", Dropped = "dropped", }
}

impl Label for Kind {
    fn text(self) -> &'static str {
        self.as_str()
    }
}

/// All metrics of the operator.
pub(crate) struct Metrics {
    registry: Registry,
    admissions: IntCounterVec,
    token_reviews: IntCounterVec,
    checkpoints: IntCounterVec,
    status_writes: IntCounterVec,
    events: IntCounterVec,
    watch_errors: IntCounterVec,
    unreadable: IntGaugeVec,
    /// Open policy streams.
    pub(crate) streams: IntGauge,
    /// Writings of counts that failed.
    pub(crate) counts_not_kept: IntCounter,
    /// Whether this replica leads.
    pub(crate) leads: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(Opts::new(name, help).namespace("shekara_operator"), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let unreadable = IntGaugeVec::new(
            Opts::new("unreadable_objects", "Objects that the operator cannot decode").namespace("shekara_operator"),
            &["kind"],
        )?;
        let named = |name: &str, help: &str| Opts::new(name, help).namespace("shekara_operator");
        let streams = IntGauge::with_opts(named("policy_streams", "Open policy streams to sidecars"))?;
        let leads = IntGauge::with_opts(named("leads", "Whether this replica leads"))?;
        let counts_not_kept = IntCounter::with_opts(named("counts_not_kept_total", "Writings of counts that failed"))?;
        registry.register(Box::new(leads.clone()))?;
        registry.register(Box::new(counts_not_kept.clone()))?;
        registry.register(Box::new(unreadable.clone()))?;
        registry.register(Box::new(streams.clone()))?;
        Ok(Self {
            admissions: counter("admissions_total", "Pods by how they were admitted", &["outcome"])?,
            token_reviews: counter("token_reviews_total", "Token reviews asked of the API server", &["outcome"])?,
            checkpoints: counter("checkpoints_total", "Checkpoints of sidecars", &["outcome"])?,
            status_writes: counter("status_writes_total", "Status written to the API server", &["kind", "outcome"])?,
            events: counter("events_total", "Events on the owners of pods", &["outcome"])?,
            watch_errors: counter("watch_errors_total", "Watches that broke off and were begun again", &["kind"])?,
            unreadable,
            streams,
            counts_not_kept,
            leads,
            registry,
        })
    }

    pub(crate) fn admission(&self, outcome: Admission) {
        self.admissions.with_label_values(&[outcome.text()]).inc();
    }

    pub(crate) fn token_review(&self, outcome: TokenReview) {
        self.token_reviews.with_label_values(&[outcome.text()]).inc();
    }

    pub(crate) fn checkpoint(&self, outcome: CheckpointOutcome) {
        self.checkpoints.with_label_values(&[outcome.text()]).inc();
    }

    pub(crate) fn status_write(&self, kind: Kind, outcome: Write) {
        self.status_writes.with_label_values(&[kind.text(), outcome.text()]).inc();
    }

    pub(crate) fn event(&self, outcome: EventOutcome) {
        self.events.with_label_values(&[outcome.text()]).inc();
    }

    pub(crate) fn watch_error(&self, kind: Kind) {
        self.watch_errors.with_label_values(&[kind.text()]).inc();
    }

    pub(crate) fn unreadable(&self, kind: Kind, number: usize) {
        self.unreadable.with_label_values(&[kind.text()]).set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// The metrics in the text form of Prometheus.
    ///
    /// # Errors
    /// When a metric cannot be written.
    pub(crate) fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.admission(Admission::Refused);
        metrics.status_write(Kind::DataHolding, Write::Done);
        metrics.unreadable(Kind::Recipient, 2);
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        for line in [
            "shekara_operator_admissions_total{outcome=\"refused\"} 1",
            "shekara_operator_status_writes_total{kind=\"DataHolding\",outcome=\"done\"} 1",
            "shekara_operator_unreadable_objects{kind=\"Recipient\"} 2",
            "shekara_operator_policy_streams 0",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
