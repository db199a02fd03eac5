//! Events on the workloads that own pods: that the sidecar was put in, why a pod was refused, or that an annotation made a draft.
//! Repetitions are left out and the rest is bounded in rate, so that no workload can flood the API server by way of the operator.

mod measure;

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use shekara_crds::message::EventReason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::warn;

use crate::config::Config;
use crate::metrics::{EventOutcome, Metrics};
use crate::owners::KnownWorkloads;
use crate::watch::{Owner, PodSummary};
use measure::{Measure, Measured};

/// How many notices wait at most.
const WAITING: usize = 1024;
/// The longest note that the API server takes, in bytes.
const NOTE: usize = 1024;

/// Something to tell the owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Notice {
    namespace: String,
    /// What controls the pod; the pod itself where nothing does.
    owner: Owner,
    kind: EventReason,
    sentence: String,
}

impl Notice {
    /// The sidecar is in a new pod.
    pub(crate) fn injected(pod: &PodSummary) -> Self {
        let names: Vec<&str> = pod.holdings.iter().map(String::as_str).collect();
        Self {
            namespace: pod.namespace.clone(),
            owner: pod.owner.clone().unwrap_or_else(|| Owner::pod(&pod.name, pod.uid.clone())),
            kind: EventReason::Injected,
            // the pod is not named: the pods of one owner share one event
            sentence: format!("The sidecar is in a new pod, which the data holdings cover: {}", names.join(", ")),
        }
    }

    /// A pod was refused.
    pub(crate) fn refused(namespace: &str, owner: Owner, sentence: String) -> Self {
        let sentence = format!("A pod was refused: {sentence}");
        Self { namespace: namespace.to_owned(), owner, kind: EventReason::Refused, sentence }
    }

    /// The annotation of a workload made a draft.
    pub(crate) fn drafted(namespace: &str, owner: Owner, sentence: String) -> Self {
        Self { namespace: namespace.to_owned(), owner, kind: EventReason::DraftCreated, sentence }
    }

    /// The annotation of a workload makes no draft, or says something else than the holding that covers it.
    pub(crate) fn not_drafted(namespace: &str, owner: Owner, sentence: String) -> Self {
        Self { namespace: namespace.to_owned(), owner, kind: EventReason::DraftRefused, sentence }
    }

    /// A workload was restarted, so that its pods get the sidecar.
    pub(crate) fn restarted(namespace: &str, owner: Owner, holding: &str) -> Self {
        let sentence = format!(
            "It is restarted: the DataHolding {holding} covers its pods, some of them lack the sidecar or have one that cannot be put right, and a SovereigntyStandard asks for it (spec.rollout.restartUncovered)"
        );
        Self { namespace: namespace.to_owned(), owner, kind: EventReason::Restarted, sentence }
    }

    /// A workload is not restarted, or it did not help.
    pub(crate) fn not_restarted(namespace: &str, owner: Owner, holding: &str, why: &str) -> Self {
        let sentence =
            format!("It is not restarted, although the DataHolding {holding} covers its pods and a standard asks for it: {why}");
        Self { namespace: namespace.to_owned(), owner, kind: EventReason::RestartFailed, sentence }
    }

    fn event(&self) -> Event {
        let (type_, action) = match self.kind {
            EventReason::Injected => (EventType::Normal, "Admission"),
            EventReason::Refused => (EventType::Warning, "Admission"),
            EventReason::DraftCreated => (EventType::Normal, "Draft"),
            EventReason::DraftRefused => (EventType::Warning, "Draft"),
            EventReason::Restarted => (EventType::Normal, "Restart"),
            EventReason::RestartFailed => (EventType::Warning, "Restart"),
        };
        Event {
            type_,
            reason: self.kind.code().into(),
            note: Some(cut(&self.sentence, NOTE)),
            action: action.into(),
            secondary: None,
        }
    }

    fn regarding(&self) -> ObjectReference {
        let Owner { api_version, kind, name, uid } = self.owner.clone();
        ObjectReference {
            api_version: Some(api_version),
            kind: Some(kind),
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            uid: Some(uid).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        }
    }
}

/// A text of at most this many bytes.
fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let end = text.floor_char_boundary(bytes.saturating_sub(MARK.len()));
    format!("{}{MARK}", text.get(..end).unwrap_or_default())
}

/// Where notices are handed in.
#[derive(Clone)]
pub(crate) struct Notices {
    sender: mpsc::Sender<Notice>,
    metrics: Arc<Metrics>,
}

impl Notices {
    /// Hands in a notice, without waiting; where too many wait, it is dropped and counted.
    pub(crate) fn send(&self, notice: Notice) {
        if self.sender.try_send(notice).is_err() {
            self.metrics.event(EventOutcome::Dropped);
        }
    }
}

/// Publishes notices as events.
pub(crate) struct Events {
    client: Client,
    reporter: Reporter,
    notices: mpsc::Receiver<Notice>,
    metrics: Arc<Metrics>,
}

/// Nobody hands in notices any more, which should never be.
#[derive(Debug, thiserror::Error)]
#[error("no notices come any more")]
pub(crate) struct NoticesEnded;

/// A way to hand in notices, and what publishes them.
pub(crate) fn channel(client: Client, config: &Config, metrics: Arc<Metrics>) -> (Notices, Events) {
    let (sender, notices) = mpsc::channel(WAITING);
    let reporter = Reporter { controller: "shekara-operator".into(), instance: Some(config.pod_name.clone()) };
    (Notices { sender, metrics: Arc::clone(&metrics) }, Events { client, reporter, notices, metrics })
}

impl Events {
    /// Publishes as long as notices come. An event that cannot be written is counted and named in the log: nothing depends on
    /// it.
    pub(crate) async fn run(mut self) -> Result<(), NoticesEnded> {
        let known = KnownWorkloads::default();
        let mut measure = Measure::default();
        while let Some(mut notice) = self.notices.recv().await {
            notice.owner = self.workload(&known, &notice).await;
            let outcome = match measure.take(&notice, Instant::now()) {
                Measured::Repeated => EventOutcome::Repeated,
                Measured::TooMany => EventOutcome::Dropped,
                Measured::New => self.publish(&notice).await,
            };
            self.metrics.event(outcome);
        }
        Err(NoticesEnded)
    }

    async fn publish(&self, notice: &Notice) -> EventOutcome {
        // a recorder counts events of one reason as repetitions and keeps the first note, so each has its own
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        match recorder.publish(&notice.event(), &notice.regarding()).await {
            Ok(()) => EventOutcome::Sent,
            Err(problem) => {
                warn!(namespace = notice.namespace, owner = notice.owner.name, %problem, "an event could not be written");
                EventOutcome::Failed
            }
        }
    }

    /// The workload behind the owner of a pod: the Deployment of a ReplicaSet, the CronJob of a Job. Where it cannot be found
    /// the owner itself is told.
    async fn workload(&self, known: &KnownWorkloads, notice: &Notice) -> Owner {
        let (namespace, owner) = (notice.namespace.as_str(), &notice.owner);
        known.behind(&self.client, namespace, owner).await.unwrap_or_else(|problem| {
            warn!(namespace, owner = owner.name, %problem, "the workload behind an owner could not be read");
            owner.clone()
        })
    }
}

#[cfg(test)]
impl Events {
    /// The reasons and notes that wait to be published.
    pub(crate) fn waiting(&mut self) -> Vec<(String, String)> {
        let mut waiting = Vec::new();
        while let Ok(notice) = self.notices.try_recv() {
            let event = notice.event();
            waiting.push((event.reason, event.note.unwrap_or_default()));
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_warning_on_the_owner_with_a_note_that_fits() {
        let owner = Owner { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into(), uid: "u".into() };
        let notice = Notice::refused("n", owner, "ы".repeat(2000));
        let event = notice.event();
        assert_eq!(event.type_, EventType::Warning);
        assert_eq!(event.reason, "Refused");
        let note = event.note.unwrap();
        assert!(note.len() <= NOTE && note.len() > NOTE - 8 && note.ends_with('…'), "{}", note.len());
        assert_eq!(notice.regarding().uid.as_deref(), Some("u"));
    }

    #[test]
    fn the_pods_of_one_owner_share_one_notice() {
        let owner = Owner { uid: "u".into(), ..Owner::default() };
        let pod = |name: &str| PodSummary {
            name: name.into(),
            owner: Some(owner.clone()),
            holdings: ["a".into(), "b".into()].into(),
            ..PodSummary::default()
        };
        assert_eq!(Notice::injected(&pod("1")), Notice::injected(&pod("2")));
        assert!(Notice::injected(&pod("1")).event().note.unwrap().ends_with("a, b"));
    }

    #[test]
    fn a_pod_that_nothing_controls_is_told_itself() {
        let pod = PodSummary { name: "bare".into(), uid: "u".into(), ..PodSummary::default() };
        let regarding = Notice::injected(&pod).regarding();
        assert_eq!((regarding.kind.as_deref(), regarding.name.as_deref()), (Some("Pod"), Some("bare")));
    }
}
