//! Which pods are in scope of a holding, and which of them are proven protected.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::{Coverage, UncoveredPod};
use shekara_policy::Reason;
use shekara_policy::exchange::{FilterProof, Standing};

use crate::ledger::Heard;
use crate::watch::{PodSummary, Proof};

/// How many uncovered pods are named.
const NAMED: usize = 16;

/// The state of a pod in scope, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// It has no sidecar.
    Bare,
    /// It was admitted with another root key or for another holding of the name, and obeys nothing that is signed now; or it was
    /// admitted to observe, and the holding enforces; or its packet filter was seen to leave a way out.
    RestartNeeded,
    /// Its sidecar refuses what it is given, goes by a document that was not confirmed or has ended, or cannot prove its packet filter
    /// any more.
    Stale,
    /// Its sidecar enforces another document than the present.
    Outdated,
    /// The proof or the first document of its sidecar is outstanding, and nothing leaves.
    Starting,
    /// Its sidecar records the verdicts of the present document and lets flows pass, as the holding declares.
    Observing,
    /// Its sidecar enforces the present document, and the packet filter is proven.
    Enforcing,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Enforcing, Self::Observing, Self::Starting, Self::Outdated, Self::Stale, Self::RestartNeeded, Self::Bare];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bare => "Bare",
            Self::RestartNeeded => "RestartNeeded",
            Self::Stale => "Stale",
            Self::Outdated => "Outdated",
            Self::Starting => "Starting",
            Self::Observing => "Observing",
            Self::Enforcing => "Enforcing",
        }
    }
}

/// The pods in scope.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Each with its state, the worst first.
    pub(super) pods: Vec<Surveyed>,
    /// How many sidecars enforce the present document.
    pub(super) loaded: usize,
    /// How many sidecars run, are proven, and have not said anything since the operator started.
    pub(super) unheard: usize,
}

/// What is known of the signatures that pods obey.
pub(super) struct Trust {
    /// The fingerprint of the root key.
    pub(super) root: String,
    /// Until when the holding observes.
    pub(super) observe_until: Option<Timestamp>,
    pub(super) now: Timestamp,
}

impl Trust {
    /// The state of a pod, given what it would be if every signature were obeyed and what its sidecar said last, and why it is so.
    fn look(&self, holding: &DataHolding, pod: &PodSummary, state: State, heard: Option<&Heard>) -> (State, Option<Why>) {
        let (name, uid) = (holding.name_any(), holding.uid().unwrap_or_default());
        let other = pod.trust.stamps.iter().any(|stamp| stamp.name == name && stamp.uid != uid);
        if state == State::Bare {
            return (state, None);
        }
        if pod.trust.root != self.root || other {
            return (State::RestartNeeded, None);
        }
        match heard {
            Some(Heard { filter: FilterProof::Open, .. }) => (State::RestartNeeded, Some(Why::Open)),
            Some(Heard { filter: FilterProof::Unproven, .. }) => (State::Stale, Some(Why::Unproven)),
            Some(Heard { standing, refused, .. })
                if state != State::Starting && (*standing == Standing::Unconfirmed || refused.is_some()) =>
            {
                (State::Stale, refused.map(Why::Refused))
            }
            _ if state == State::Observing => match pod.trust.observes_until.min(self.observe_until) {
                Some(until) if self.now < until => (state, Some(Why::Observes(until))),
                _ => (State::RestartNeeded, Some(Why::Observed)),
            },
            _ => (state, None),
        }
    }
}

/// What is known of a pod's state besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Its sidecar refused what it was given last.
    Refused(Reason),
    /// It observes until then.
    Observes(Timestamp),
    /// It was admitted to observe, and does so no more.
    Observed,
    /// Its packet filter was seen to leave a way out.
    Open,
    /// Its packet filter is proven no more.
    Unproven,
}

/// A pod in scope.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Surveyed {
    pub(super) state: State,
    pub(super) name: String,
    /// The exit code of a proof that failed.
    pub(super) failed: Option<i32>,
    pub(super) why: Option<Why>,
}

impl Survey {
    /// Looks at the pods of the holding's namespace, given the digest of its present document and what each sidecar said last.
    pub(super) fn of<'a>(
        holding: &DataHolding,
        digest: &str,
        pods: impl Iterator<Item = &'a PodSummary>,
        heard: impl Fn(&PodSummary) -> Option<Heard>,
        trust: &Trust,
    ) -> Self {
        let mut survey = Self::default();
        for pod in pods.filter(|pod| pod.is_of(holding)) {
            let heard = heard(pod);
            survey.loaded += usize::from(heard.as_ref().is_some_and(|heard| heard.enforces(digest)));
            survey.unheard += usize::from(pod.is_proven() && heard.is_none());
            let (state, why) = trust.look(holding, pod, state(pod, heard.as_ref(), digest), heard.as_ref());
            let failed = if let Proof::Failed(code) = pod.proof { Some(code) } else { None };
            survey.pods.push(Surveyed { state, name: pod.name.clone(), failed, why });
        }
        survey.pods.sort();
        survey
    }

    /// How many pods are in a state.
    pub(super) fn count(&self, state: State) -> usize {
        self.pods.iter().filter(|pod| pod.state == state).count()
    }

    /// When the first pod observes no more.
    pub(super) fn observes_until(&self) -> Option<Timestamp> {
        let until = |pod: &Surveyed| if let Some(Why::Observes(until)) = pod.why { Some(until) } else { None };
        self.pods.iter().filter_map(until).min()
    }

    pub(super) fn outdated(&self) -> usize {
        self.count(State::Outdated)
    }

    /// Those in a state.
    pub(super) fn in_state(&self, state: State) -> impl Iterator<Item = &Surveyed> {
        self.pods.iter().filter(move |pod| pod.state == state)
    }

    /// What the status says of it.
    pub(super) fn coverage(&self) -> Coverage {
        let (in_scope, covered) = (self.pods.len(), self.count(State::Enforcing));
        let states = State::ALL.into_iter().map(|state| (state.as_str().to_owned(), count(self.count(state))));
        let states: BTreeMap<String, i64> = states.filter(|(_, pods)| *pods > 0).collect();
        let uncovered = self.pods.iter().filter(|pod| pod.state != State::Enforcing).take(NAMED);
        Coverage {
            in_scope: count(in_scope),
            covered: count(covered),
            summary: format!("{covered}/{in_scope}"),
            states,
            uncovered: uncovered
                .map(|pod| UncoveredPod { name: pod.name.clone(), state: pod.state.as_str().to_owned() })
                .collect(),
        }
    }

    /// Whether more pods are uncovered than are named.
    pub(super) fn is_cut(&self) -> bool {
        self.pods.len() - self.count(State::Enforcing) > NAMED
    }
}

/// The state of a pod, given what its sidecar said last and the digest of the holding's present document.
pub(crate) fn state(pod: &PodSummary, heard: Option<&Heard>, digest: &str) -> State {
    let present = heard.map(|heard| heard.enforces(digest));
    match (pod.injected, pod.is_proven(), present) {
        (false, _, _) => State::Bare,
        (true, true, _) if heard.is_some_and(|heard| heard.filter == FilterProof::Open) => State::RestartNeeded,
        (true, true, _) if heard.is_some_and(|heard| !heard.filter.holds()) => State::Stale,
        (true, true, Some(true)) if pod.trust.observes_until.is_some() => State::Observing,
        (true, true, Some(true)) => State::Enforcing,
        (true, true, Some(false)) => State::Outdated,
        (true, false, _) | (true, _, None) => State::Starting,
    }
}

/// A number as status holds it.
pub(super) fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
