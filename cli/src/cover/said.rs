//! What the status of a holding says of a pod. Whether a sidecar enforces the present document is told to the operator alone, and the
//! status is where it passes that on.

use k8s_openapi::api::core::v1::Pod;
use shekara_crds::{DataHolding, pods};

use super::Sidecar;

/// Whether the operator takes a pod for one that enforces a holding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Enforces {
    Yes,
    No,
    /// That is not said, and why.
    Unsaid(String),
}

/// Whether a pod that a holding covers enforces it, as far as its object and the holding's status say.
pub(crate) fn enforces(pod: &Pod, holding: &DataHolding) -> Enforces {
    // what the kubelet and admission say needs no status
    if Sidecar::of(pod) != Sidecar::Proven || pods::observes_until(pod).is_some() {
        return Enforces::No;
    }
    let unsaid = |why: &str| Enforces::Unsaid(why.to_owned());
    let Some(status) = &holding.status else { return unsaid("it has none yet") };
    let seen = status.conditions.iter().find(|condition| condition.type_ == "Enforcing");
    if seen.is_none_or(|seen| seen.observed_generation != holding.metadata.generation) {
        return unsaid("it is of an earlier declaration");
    }
    match said_state(pod, holding) {
        Some("Enforcing") => Enforces::Yes,
        Some("Starting") => Enforces::No,
        // a sidecar that is about to load a document, or that doubts one, may still be taken for what it enforced last; and what the
        // status says of a bare pod, it says of an earlier one of the name
        Some(state) => unsaid(&format!("it says {state}")),
        None => unsaid("it names fewer pods than are uncovered, or counts none"),
    }
}

/// The state of a proven pod by the status of its holding; none where the status does not say it.
pub(crate) fn said_state<'a>(pod: &Pod, holding: &'a DataHolding) -> Option<&'a str> {
    let coverage = holding.status.as_ref()?.coverage.as_ref()?;
    let name = pod.metadata.name.as_deref();
    if let Some(named) = coverage.uncovered.iter().find(|uncovered| Some(uncovered.name.as_str()) == name) {
        return Some(&named.state);
    }
    // the list is bounded: only where it is whole do those that are not in it enforce
    let whole = i64::try_from(coverage.uncovered.len()).is_ok_and(|named| named == coverage.in_scope - coverage.covered);
    (whole && coverage.covered > 0).then_some("Enforcing")
}

#[cfg(test)]
mod tests;
