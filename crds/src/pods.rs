//! What a pod's object says of its cover: the containers that admission put in, how the proof ended, and which holdings it was
//! given.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStatus, Pod, PodStatus};
use kube::ResourceExt as _;

use crate::{HOLDINGS_ANNOTATION, network};

/// The container that sets the packet filter.
pub const INIT: &str = "shekara-init";
/// The container of the sidecar.
pub const PROXY: &str = "shekara-proxy";
/// The container that proves that every way out is closed.
pub const VERIFY: &str = "shekara-verify";
/// The variable of the proxy that fixes the pod's holdings: unlike an annotation it cannot change in a running pod.
pub const HOLDINGS_VARIABLE: &str = "SHEKARA_HOLDINGS";
/// The variable of all three with the first instant at which the pod enforces; absent where it does from the start.
pub const OBSERVE_VARIABLE: &str = "SHEKARA_OBSERVE_UNTIL";
/// The annotation by which a kubelet marks what it shows of a static pod.
pub const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// The reasons of ends that the kubelet did not see, to which it gives the code 137 all the same: it starts all containers of the pod
/// again (`RestartAllContainers`), or has lost this one (Kubernetes, `pkg/kubelet/kubelet_pods.go`).
const UNSEEN: [&str; 2] = ["RestartingAllContainers", "ContainerStatusUnknown"];

/// How the container that proves the packet filter ended, as the kubelet says: the application cannot forge it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// It has not ended yet.
    #[default]
    Pending,
    /// Every way out was seen closed.
    Passed,
    /// It ended with another exit code: the pod does not start.
    Failed(i32),
}

/// The sidecar among the containers of a pod; none where it was not injected.
#[must_use]
pub fn proxy(pod: &Pod) -> Option<&Container> {
    let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref());
    containers.into_iter().flatten().find(|container| container.name == PROXY)
}

/// The names of the holdings that admission put a pod into: those in its annotation and those in the proxy's environment.
#[must_use]
pub fn stamped(pod: &Pod) -> BTreeSet<String> {
    let variables = proxy(pod).into_iter().flat_map(|proxy| proxy.env.iter().flatten());
    let fixed = variables.filter(|variable| variable.name == HOLDINGS_VARIABLE).filter_map(|variable| variable.value.as_ref());
    fixed.chain(pod.annotations().get(HOLDINGS_ANNOTATION)).flat_map(|names| split(names)).collect()
}

/// Until when a pod was admitted to observe, be that over or not: its packet filter was then never proven to enforce. What any of our
/// containers was told counts, and an instant that cannot be read is over.
#[must_use]
pub fn observes_until(pod: &Pod) -> Option<Timestamp> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let ours = containers.filter(|container| [INIT, PROXY, VERIFY].contains(&container.name.as_str()));
    let variables = ours.flat_map(|container| container.env.iter().flatten());
    let told = variables.filter(|variable| variable.name == OBSERVE_VARIABLE);
    told.map(|variable| variable.value.as_deref().and_then(|value| value.parse().ok()).unwrap_or(Timestamp::MIN)).min()
}

/// The addresses of a pod; none where it shares those of its node.
#[must_use]
pub fn addresses(pod: &Pod) -> Vec<IpAddr> {
    if pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return vec![];
    }
    let listed = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    listed.filter_map(|listed| network::address(&listed.ip)).collect()
}

/// The names in a list with commas.
fn split(names: &str) -> impl Iterator<Item = String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Whether nothing of a pod runs any more, nor will.
#[must_use]
pub fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    let lists = status
        .into_iter()
        .flat_map(|status| [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses]);
    let runs = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    let deleting = pod.metadata.deletion_timestamp.is_some();
    matches!(phase, Some("Succeeded" | "Failed")) || deleting && !lists.flatten().flatten().any(runs)
}

/// Whether the kubelet has seen the proxy start, in its present run.
#[must_use]
pub fn proxy_started(status: &PodStatus) -> bool {
    let proxy = init_container(status, PROXY);
    proxy.is_some_and(|proxy| proxy.started == Some(true) && proxy.state.as_ref().is_some_and(|state| state.running.is_some()))
}

/// How often the kubelet has started the proxy again.
#[must_use]
pub fn proxy_restarts(status: &PodStatus) -> i32 {
    init_container(status, PROXY).map_or(0, |proxy| proxy.restart_count)
}

/// How the proof ended.
#[must_use]
pub fn proof(status: &PodStatus) -> Proof {
    let Some(container) = init_container(status, VERIFY) else { return Proof::Pending };
    match exit_code(container.state.as_ref()) {
        Some(0) => Proof::Passed,
        Some(code) => Proof::Failed(code),
        // between two tries the last one counts, unless it is of an earlier sandbox and was good
        None => match exit_code(container.last_state.as_ref()) {
            Some(code) if code != 0 => Proof::Failed(code),
            _ => Proof::Pending,
        },
    }
}

/// By which code a container ended, where it did and the kubelet saw it.
fn exit_code(state: Option<&ContainerState>) -> Option<i32> {
    let ended = state?.terminated.as_ref()?;
    let is_made_up = ended.reason.as_deref().is_some_and(|reason| UNSEEN.contains(&reason));
    (!is_made_up).then_some(ended.exit_code)
}

fn init_container<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    status.init_container_statuses.iter().flatten().find(|container| container.name == name)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case::good(json!({"exitCode": 0, "reason": "Completed"}), json!(null), Proof::Passed)]
    #[case::bad(json!({"exitCode": 3, "reason": "Error"}), json!(null), Proof::Failed(3))]
    #[case::bad_before(json!(null), json!({"exitCode": 3, "reason": "Error"}), Proof::Failed(3))]
    #[case::all_start_again(json!(null), json!({"exitCode": 137, "reason": "RestartingAllContainers"}), Proof::Pending)]
    #[case::lost_before(json!(null), json!({"exitCode": 137, "reason": "ContainerStatusUnknown"}), Proof::Pending)]
    #[case::lost(json!({"exitCode": 137, "reason": "ContainerStatusUnknown"}), json!(null), Proof::Pending)]
    #[case::killed(json!({"exitCode": 137, "reason": "OOMKilled"}), json!(null), Proof::Failed(137))]
    fn an_end_that_nobody_saw_says_nothing_of_the_proof(#[case] now: Value, #[case] before: Value, #[case] expected: Proof) {
        let container = json!({
            "name": VERIFY, "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"terminated": now}, "lastState": {"terminated": before}
        });
        let status = serde_json::from_value(json!({"initContainerStatuses": [container]})).unwrap();
        assert_eq!(proof(&status), expected);
    }
}
