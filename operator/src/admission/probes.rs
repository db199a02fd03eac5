//! The ports at which the kubelet asks after a pod: those of its probes and of its lifecycle hooks.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Lifecycle, LifecycleHandler, PodSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::containers::RESERVED;

/// The ports of a pod's own containers. One by a name that no port of its container has is none.
pub(super) fn ports(spec: &PodSpec) -> BTreeSet<u16> {
    let all = spec.init_containers.iter().flatten().chain(&spec.containers);
    all.filter(|container| !container.name.starts_with(RESERVED)).flat_map(of_container).collect()
}

fn of_container(container: &Container) -> impl Iterator<Item = u16> {
    let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    let probes = probes.into_iter().flatten().flat_map(of_probe);
    let hooks = container.lifecycle.iter().flat_map(|Lifecycle { post_start, pre_stop, .. }| [post_start, pre_stop]);
    let hooks = hooks.flatten().flat_map(of_hook);
    probes.chain(hooks).filter_map(|port| number(container, &port))
}

fn of_probe(probe: &Probe) -> Vec<IntOrString> {
    let http = probe.http_get.iter().map(|http| http.port.clone());
    let tcp = probe.tcp_socket.iter().map(|tcp| tcp.port.clone());
    let grpc = probe.grpc.iter().map(|grpc| IntOrString::Int(grpc.port));
    http.chain(tcp).chain(grpc).collect()
}

fn of_hook(hook: &LifecycleHandler) -> Vec<IntOrString> {
    let http = hook.http_get.iter().map(|http| http.port.clone());
    http.chain(hook.tcp_socket.iter().map(|tcp| tcp.port.clone())).collect()
}

fn number(container: &Container, port: &IntOrString) -> Option<u16> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = |port: &&k8s_openapi::api::core::v1::ContainerPort| port.name.as_ref() == Some(name);
            // the kubelet takes a number in quotes for one
            let declared = container.ports.iter().flatten().find(named).map(|port| port.container_port);
            declared.or_else(|| name.parse().ok())?
        }
    };
    u16::try_from(number).ok().filter(|number| *number != 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_probe_and_hook_names_its_port_and_ours_do_not_count() {
        let spec = json!({
            "initContainers": [
                {"name": "shekara-proxy", "livenessProbe": {"httpGet": {"port": 15020}}},
                {"name": "helper", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}}}
            ],
            "containers": [{
                "name": "app", "ports": [{"name": "http", "containerPort": 2}],
                "readinessProbe": {"httpGet": {"port": "http"}}, "livenessProbe": {"grpc": {"port": 3}},
                "lifecycle": {"postStart": {"httpGet": {"port": 4}}, "preStop": {"tcpSocket": {"port": "5"}}}
            }, {"name": "other", "readinessProbe": {"httpGet": {"port": "http"}}, "livenessProbe": {"exec": {"command": ["true"]}}}]
        });
        let spec: PodSpec = serde_json::from_value(spec).unwrap();
        assert_eq!(ports(&spec), [1, 2, 3, 4, 5].into());
    }
}
