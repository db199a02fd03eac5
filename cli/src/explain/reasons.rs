//! Why a pod is covered or not, and what a person can do about it: sentences, from the facts alone.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use shekara_crds::pods::{self, MIRROR_ANNOTATION};
use shekara_crds::{COVERED_LABEL, DATA_ANNOTATION, DataHolding, HOLDING_ANNOTATION, PROTECT_LABEL, cover};

use crate::cover::{Claim, Covered, Sidecar};
use crate::inventory::workload;

/// Sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reasons {
    /// Why it is as it is.
    pub(super) why: Vec<String>,
    /// What can be done.
    pub(super) act: Vec<String>,
}

impl Reasons {
    fn why(&mut self, sentence: impl Into<String>) {
        self.why.push(sentence.into());
    }

    fn act(&mut self, sentence: impl Into<String>) {
        self.act.push(sentence.into());
    }
}

/// The reasons; `state` is the worst state of the pod in its holdings, `labels` are those of its namespace where they are known.
pub(super) fn reasons(
    covered: &Covered<'_>,
    state: &str,
    labels: Option<&BTreeMap<String, String>>,
    holdings: &[&DataHolding],
) -> Reasons {
    let mut reasons = Reasons::default();
    if covered.pod.annotations().contains_key(MIRROR_ANNOTATION) {
        reasons.why("It is a static pod, which the kubelet runs without asking: it cannot be covered.");
        reasons.act("Run the workload by a Deployment or another kind that creates pods through the API server.");
    } else if covered.sidecar == Sidecar::Ended {
        reasons.why("All of its containers have ended.");
    } else if covered.sidecar == Sidecar::Absent {
        absent(&mut reasons, covered, labels, holdings);
    } else {
        present(&mut reasons, covered, state);
    }
    reasons
}

fn present(reasons: &mut Reasons, covered: &Covered<'_>, state: &str) {
    let (pod, namespace) = (covered.pod.name_any(), &covered.namespace);
    let stamped = pods::stamped(covered.pod);
    reasons.why(format!("Admission put the sidecar in, for {}.", named(&stamped)));
    for bound in &covered.bound {
        let name = bound.holding.name_any();
        match Claim::of(bound.holding, covered.pod) {
            Claim::None => {
                reasons.why(format!("The holding {name} does not claim it any more; the sidecar obeys it until the pod ends."));
            }
            _ if !stamped.contains(&name) => {
                reasons.why(format!("The holding {name} claims it since; the sidecar obeys it as well."));
            }
            _ => {}
        }
    }
    for name in covered.missing() {
        reasons.why(format!("The holding {name} does not exist any more, so nothing leaves the pod."));
        reasons.act(format!("Create the holding {name} again, or delete the pod."));
    }
    let log = |container: &str| format!("kubectl --namespace {namespace} logs {pod} --container {container}");
    match (covered.sidecar, state) {
        (Sidecar::ProofFailed(code), _) => {
            reasons.why(format!(
                "The proof saw a way out that is open (exit code {code}), so the pod does not start; nothing leaves it."
            ));
            reasons.act(format!("Read which way is open: {}", log(pods::VERIFY)));
        }
        (Sidecar::Starting, _) => {
            reasons.why("The sidecar or its proof has not finished its start; nothing leaves before.");
            reasons.act(format!("If that lasts: {}", log(pods::PROXY)));
        }
        (_, "Outdated") => {
            reasons.why("Its sidecar enforces an earlier document than the present one.");
            reasons.act(format!("If that lasts, see whether it reaches the policy API: {}", log(pods::PROXY)));
        }
        (_, "Observing") => {
            reasons.why("It observes: its sidecar records verdicts, and flows pass until the holding enforces.");
            reasons.act(format!("See what Enforce would stop: {} | kubectl shekara propose --records -", log(pods::PROXY)));
        }
        (_, "RestartNeeded") => {
            reasons.why(
                "It was admitted with another root key, or to observe, or its packet filter was seen to leave a way out, so it is not as a pod that is admitted now would be.",
            );
            reasons.act(again(covered));
        }
        (_, super::view::GONE) => {}
        (_, "Enforcing") => reasons.why("The packet filter is proven, and the sidecar enforces the present document."),
        _ => reasons
            .why("The packet filter is proven; the status of the holding does not say which document the sidecar enforces."),
    }
}

fn absent(reasons: &mut Reasons, covered: &Covered<'_>, labels: Option<&BTreeMap<String, String>>, holdings: &[&DataHolding]) {
    let (pod, namespace) = (covered.pod, &covered.namespace);
    let unlabelled = BTreeMap::new();
    let protected = labels.map(cover::is_protected);
    let (of, annotations) = (pod.labels(), pod.annotations());
    match cover::covering(labels.unwrap_or(&unlabelled), of, annotations, holdings.iter().copied()) {
        Err(missing) => {
            reasons.why(format!("It asks for a holding by its annotation {HOLDING_ANNOTATION}, and {missing}."));
            return;
        }
        Ok(names) if !names.is_empty() => {
            reasons.why(format!(
                "{} covers it, but it has no sidecar: it was created before, or past admission.",
                capital(&named(&names))
            ));
            reasons.act(again(covered));
            return;
        }
        Ok(_) => {}
    }
    let claiming: BTreeSet<String> =
        holdings.iter().filter(|holding| holding.claims(of, annotations)).map(|holding| holding.name_any()).collect();
    match (protected, claiming.is_empty()) {
        (_, true) => {
            reasons.why(format!("No holding of the namespace {namespace} claims it, so nobody judges what it sends."));
            if let Some(data) = annotations.get(DATA_ANNOTATION) {
                reasons.why(format!(
                    "Its annotation {DATA_ANNOTATION} says that it holds {data}: the operator makes a draft of that, or an event of its workload says why not."
                ));
            }
            reasons.act(format!(
                "If it holds biometric or vehicle data, select its labels in a DataHolding, or annotate its template with {HOLDING_ANNOTATION}: NAME. Otherwise nothing is to be done."
            ));
        }
        (Some(_), false) => {
            reasons.why(format!(
                "{} claims it, but the namespace {namespace} is not labelled {PROTECT_LABEL}=true.",
                capital(&named(&claiming))
            ));
            reasons.act(format!("kubectl label namespace {namespace} {PROTECT_LABEL}=true"));
            reasons.act(again(covered));
        }
        (None, false) => {
            reasons.why(format!(
                "{} claims it, and it has no sidecar. Whether the namespace is labelled {PROTECT_LABEL}=true is not known.",
                capital(&named(&claiming))
            ));
            reasons.act(again(covered));
        }
    }
    if of.contains_key(COVERED_LABEL) {
        reasons.why(format!("Its label {COVERED_LABEL} says that it is covered, and it is not."));
    }
}

/// How the pod is created again, through admission.
fn again(covered: &Covered<'_>) -> String {
    let namespace = &covered.namespace;
    match workload(covered.pod) {
        (kind, name) if ["Deployment", "StatefulSet", "DaemonSet"].contains(&kind.as_str()) => {
            format!("kubectl --namespace {namespace} rollout restart {}/{name}", kind.to_lowercase())
        }
        (kind, name) if kind == "Pod" => format!("Create the pod {name} again: nothing else does."),
        (kind, name) => format!(
            "kubectl --namespace {namespace} delete pod {}, and the {kind} {name} creates it again.",
            covered.pod.name_any()
        ),
    }
}

fn named(names: &BTreeSet<String>) -> String {
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    match list.as_slice() {
        [] => "no holding".into(),
        [one] => format!("the holding {one}"),
        several => format!("the holdings {}", several.join(", ")),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
