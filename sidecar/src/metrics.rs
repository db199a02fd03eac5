//! What the sidecar counts, for Prometheus. Label values come from closed enums alone, so their number is bounded.

use prometheus::{Encoder as _, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use shekara_policy::exchange::{FilterProof, Standing};
use shekara_policy::record::Direction;
use shekara_policy::signed::Held;
use shekara_policy::{Protocol, Reason};

/// A value of a label.
trait Label: Copy {
    /// The stable text.
    fn text(self) -> &'static str;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {
        $($(#[$doc])* #[derive(Clone, Copy, Debug, PartialEq, Eq)] pub enum $name { $($(#[$variant_doc])* $variant,)* }
        impl Label for $name {
            fn text(self) -> &'static str { match self { $(Self::$variant => $text,)* } }
        })*
    };
}

labels! {
    /// What became of a DNS question.
    QuestionOutcome {
        /// A resolver answered it, or it has no data by rule.
        Answered = "answered",
        /// It was not asked.
        Denied = "denied",
        /// No resolver answered.
        Failed = "failed",
    }
    /// What became of an event of the policy stream.
    PolicyOutcome {
        /// Its documents are in force.
        Accepted = "accepted",
        /// It could not be read or has a document that cannot be obeyed.
        Rejected = "rejected",
        /// The stream ended or could not be opened.
        Disconnected = "disconnected",
    }
    /// What became of a checkpoint.
    CheckpointOutcome {
        /// The operator took it.
        Accepted = "accepted",
        /// It could not be delivered; the next one says the same and more.
        Failed = "failed",
    }
}

/// What is counted of the flows of one direction.
#[derive(Debug)]
pub struct Flows {
    /// Flows that are open.
    pub live: IntGauge,
    /// Bytes from the pod.
    pub bytes_out: IntCounter,
    /// Bytes to the pod.
    pub bytes_in: IntCounter,
}

/// All metrics of the sidecar.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    flows: IntCounterVec,
    inbound_flows: IntCounterVec,
    outbound: Flows,
    inbound: Flows,
    questions: IntCounterVec,
    policy_events: IntCounterVec,
    checkpoints: IntCounterVec,
    refusals: IntCounterVec,
    policy_confirmed: IntGauge,
    policy_documents: IntGauge,
    policy_serial: IntGauge,
    policy_not_after: IntGauge,
    /// The version of the key set that is known.
    pub policy_key_set: IntGauge,
    /// UDP packets that reached the sink.
    pub datagrams_denied: IntCounter,
    /// Labels that applications chose below listed wildcards.
    pub labels: IntCounter,
    /// The bytes of those labels.
    pub label_bytes: IntCounter,
    /// Names of the cluster that applications asked for and that no document lists.
    pub cluster_names: IntCounter,
    /// The bytes of those names, without the cluster's domain.
    pub cluster_name_bytes: IntCounter,
    /// Questions that were asked of the resolvers.
    pub questions_asked: IntCounter,
    /// Tables of countries that were refused while another one was in use.
    pub geo_refused: IntCounter,
    /// Records that standard output did not take in time.
    pub records_lost: IntCounter,
    filter_proven: IntGauge,
    filter_open: IntGauge,
    /// 1 while the policy stream is open.
    pub policy_connected: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |name: &str, help: &str| Opts::new(name, help).namespace("shekara");
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<IntCounterVec, prometheus::Error> {
            let counter = IntCounterVec::new(opts(name, help), labels)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counter = |name: &str, help: &str| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::with_opts(opts(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::with_opts(opts(name, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let filter_proven = gauge("filter_proven", "1 while the packet filter is proven to leave no other way out")?;
        // nothing starts before the first proof
        filter_proven.set(1);
        let bytes = counters("bytes_total", "Bytes that flows have carried that the pod began", &["direction"])?;
        let inbound_bytes = counters("inbound_bytes_total", "Bytes that flows of clients have carried", &["direction"])?;
        Ok(Self {
            flows: counters(
                "flows_total",
                "Flows that the pod began by protocol and verdict",
                &["protocol", "verdict", "reason"],
            )?,
            inbound_flows: counters("inbound_flows_total", "Flows of clients by verdict", &["verdict", "reason"])?,
            outbound: Flows {
                live: gauge("live_flows", "Flows that are open and that the pod began")?,
                bytes_out: bytes.with_label_values(&["out"]),
                bytes_in: bytes.with_label_values(&["in"]),
            },
            inbound: Flows {
                live: gauge("live_inbound_flows", "Flows of clients that are open")?,
                bytes_out: inbound_bytes.with_label_values(&["out"]),
                bytes_in: inbound_bytes.with_label_values(&["in"]),
            },
            questions: counters("dns_questions_total", "DNS questions by what became of them", &["outcome"])?,
            policy_events: counters("policy_events_total", "Events of the policy stream", &["outcome"])?,
            checkpoints: counters("checkpoints_total", "Checkpoints by what became of them", &["outcome"])?,
            refusals: counters("policy_refusals_total", "Documents and key sets that were refused", &["reason"])?,
            policy_confirmed: gauge("policy_confirmed", "1 while the documents are those that the operator sent last")?,
            policy_documents: gauge("policy_documents", "Documents that were put in force last")?,
            policy_serial: gauge("policy_serial", "The highest serial of those documents")?,
            policy_not_after: gauge("policy_not_after_seconds", "When the first of those documents ends, in seconds since 1970")?,
            policy_key_set: gauge("policy_key_set", "The version of the key set that is known")?,
            datagrams_denied: counter("datagrams_denied_total", "UDP packets that went nowhere")?,
            labels: counter("dns_labels_total", "Distinct labels of each hour that were chosen below listed wildcards")?,
            label_bytes: counter("dns_label_bytes_total", "The bytes of those labels")?,
            cluster_names: counter("dns_cluster_names_total", "Distinct names of the cluster of each hour that nobody lists")?,
            cluster_name_bytes: counter("dns_cluster_name_bytes_total", "The bytes of those names")?,
            questions_asked: counter("dns_questions_asked_total", "DNS questions that were asked of the resolvers")?,
            geo_refused: counter("geo_refused_total", "Tables of countries that were refused, upon which the earlier one stays")?,
            records_lost: counter("records_lost_total", "Records that standard output did not take in time")?,
            filter_proven,
            filter_open: gauge("filter_open", "1 while the packet filter was seen to leave a way out")?,
            policy_connected: gauge("policy_connected", "1 while the policy stream is open")?,
            registry,
        })
    }

    /// Counts a flow that was allowed, or denied for a reason, which an observed one passed in spite of.
    pub fn flow(&self, direction: Direction, protocol: Protocol, reason: Option<Reason>, observed: bool) {
        let verdict = match reason {
            None => "allow",
            Some(_) if observed => "observe",
            Some(_) => "deny",
        };
        let reason = reason.map_or("", Reason::code);
        match direction {
            Direction::Outbound => self.flows.with_label_values(&[protocol.as_str(), verdict, reason]).inc(),
            Direction::Inbound => self.inbound_flows.with_label_values(&[verdict, reason]).inc(),
        }
    }

    /// What is counted of the flows of a direction.
    #[must_use]
    pub fn of(&self, direction: Direction) -> &Flows {
        match direction {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }

    /// How many flows are open, in both directions.
    #[must_use]
    pub fn live_flows(&self) -> i64 {
        self.outbound.live.get() + self.inbound.live.get()
    }

    /// Counts a DNS question.
    pub fn question(&self, outcome: QuestionOutcome) {
        self.questions.with_label_values(&[outcome.text()]).inc();
    }

    /// Counts an event of the policy stream.
    pub fn policy_event(&self, outcome: PolicyOutcome) {
        self.policy_events.with_label_values(&[outcome.text()]).inc();
    }

    /// Counts a checkpoint.
    pub fn checkpoint(&self, outcome: CheckpointOutcome) {
        self.checkpoints.with_label_values(&[outcome.text()]).inc();
    }

    /// Shows what the last proofs of the packet filter have shown.
    pub fn filter(&self, filter: FilterProof) {
        self.filter_proven.set(filter.holds().into());
        self.filter_open.set((filter == FilterProof::Open).into());
    }

    /// Counts something signed that was refused.
    pub fn refused(&self, reason: Reason) {
        self.refusals.with_label_values(&[reason.code()]).inc();
    }

    /// Shows which documents are in force.
    pub fn documents(&self, held: &[Held], standing: Standing) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.policy_confirmed.set((standing == Standing::Confirmed).into());
        self.policy_documents.set(number(held.len() as u64));
        self.policy_serial.set(number(held.iter().map(|held| held.serial).max().unwrap_or_default()));
        let end = held.iter().map(|held| held.not_after.as_second()).min();
        self.policy_not_after.set(end.unwrap_or_default());
    }

    /// Every metric in the text form of Prometheus.
    ///
    /// # Errors
    /// When a metric cannot be written, which none of these leads to.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_written() {
        let metrics = Metrics::new().unwrap();
        metrics.flow(Direction::Outbound, Protocol::Tls, None, false);
        metrics.flow(Direction::Outbound, Protocol::Dns, Some(Reason::UnlistedQuestion), false);
        metrics.flow(Direction::Inbound, Protocol::Tcp, Some(Reason::InboundUnlisted), true);
        metrics.question(QuestionOutcome::Denied);
        metrics.of(Direction::Outbound).bytes_out.inc_by(7);
        let text = metrics.render().unwrap();
        for line in [
            "shekara_flows_total{protocol=\"TLS\",reason=\"\",verdict=\"allow\"} 1",
            "shekara_flows_total{protocol=\"DNS\",reason=\"UnlistedQuestion\",verdict=\"deny\"} 1",
            "shekara_inbound_flows_total{reason=\"InboundUnlisted\",verdict=\"observe\"} 1",
            "shekara_dns_questions_total{outcome=\"denied\"} 1",
            "shekara_bytes_total{direction=\"out\"} 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
