//! Pods whose packet filter the node was to set and did not, such as those that came to a new node before its plugin did. Their proof
//! fails, so nothing of them has started, and nothing can be put right in them: they are replaced.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, Preconditions};
use shekara_policy::packet_filter::ANNOTATION;
use tracing::{info, warn};

use crate::watch::{PodSummary, Proof};

/// How old such a pod is at least when it is replaced: the next one meets the same plugin.
const OLD_ENOUGH: Duration = Duration::from_secs(10);

/// Between two of a holding.
const PAUSE: Duration = Duration::from_secs(30);

/// Deletes the oldest of them, which its owner then makes again; how long it is until the next look, if any is needed.
pub(super) async fn replace(client: &Client, pods: &[&PodSummary], now: Timestamp) -> Option<Duration> {
    let missed: Vec<&PodSummary> = pods.iter().copied().filter(|pod| is_missed(pod)).collect();
    let oldest = missed.iter().min_by_key(|pod| pod.created())?;
    let age = Duration::try_from(now.duration_since(oldest.created())).unwrap_or_default();
    if let Some(rest) = OLD_ENOUGH.checked_sub(age).filter(|rest| !rest.is_zero()) {
        return Some(rest);
    }
    let (namespace, pod) = (&oldest.namespace, &oldest.name);
    let parameters = DeleteParams {
        preconditions: Some(Preconditions { uid: Some(oldest.uid.clone()), resource_version: None }),
        ..DeleteParams::default()
    };
    match Api::<Pod>::namespaced(client.clone(), namespace).delete(pod, &parameters).await {
        Ok(_) => info!(namespace, pod, "a pod is replaced that got no packet filter from its node"),
        Err(kube::Error::Api(answer)) if [404, 409].contains(&answer.code) => {}
        Err(problem) => warn!(namespace, pod, %problem, "a pod that got no packet filter from its node cannot be replaced"),
    }
    Some(PAUSE)
}

/// Whether the proof of a pod that the node was to close has failed, and somebody makes another one in its place.
fn is_missed(pod: &PodSummary) -> bool {
    let asked = pod.injected && pod.annotations.contains_key(ANNOTATION);
    asked && !pod.ended && pod.owner.is_some() && matches!(pod.proof, Proof::Failed(_))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::watch::Owner;

    fn missed() -> PodSummary {
        PodSummary {
            injected: true,
            annotations: [(ANNOTATION.to_owned(), "{}".to_owned())].into(),
            owner: Some(Owner::default()),
            proof: Proof::Failed(1),
            ..PodSummary::default()
        }
    }

    #[rstest]
    #[case::that_sets_its_own(PodSummary { annotations: [].into(), ..missed() })]
    #[case::without_an_owner(PodSummary { owner: None, ..missed() })]
    #[case::that_has_yet_to_prove(PodSummary { proof: Proof::Pending, ..missed() })]
    #[case::that_is_proven(PodSummary { proof: Proof::Passed, ..missed() })]
    #[case::that_has_ended(PodSummary { ended: true, ..missed() })]
    fn no_other_pod_is_replaced(#[case] pod: PodSummary) {
        assert!(is_missed(&missed()) && !is_missed(&pod));
    }
}
