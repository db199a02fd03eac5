//! Pods that somebody makes by hand from one that admission covered.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// The containers of the project, which admission puts first.
const OURS: usize = 3;

/// A pod as somebody would make it by hand who has seen a covered one: the same marks and containers, the sidecar's included, without
/// what the cluster adds.
///
/// # Errors
/// When the pod has no sidecar.
pub fn copy(pod: &Pod, name: &str) -> Result<Pod> {
    let mut spec = pod.spec.clone().context("the pod has no spec")?;
    ensure!(spec.init_containers.as_ref().is_some_and(|init| init.len() >= OURS), "the pod has no sidecar");
    // the cluster mounts its own token again
    let given = |name: &str| name.starts_with("kube-api-access");
    spec.volumes.iter_mut().for_each(|volumes| volumes.retain(|volume| !given(&volume.name)));
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        container.volume_mounts.iter_mut().for_each(|mounts| mounts.retain(|mount| !given(&mount.name)));
    }
    spec.node_name = None;
    let marks = pod.metadata.annotations.iter().flatten().filter(|(name, _)| name.starts_with("shekara.dev/"));
    let marks = marks.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut copy = Pod { spec: Some(spec), ..Pod::default() };
    copy.metadata.name = Some(name.to_owned());
    copy.metadata.labels.clone_from(&pod.metadata.labels);
    copy.metadata.annotations = Some(marks);
    Ok(copy)
}

/// The pod with another variable in each of the first three containers.
///
/// # Errors
/// When the pod has no sidecar.
pub fn with_variable(pod: &Pod, variable: &Value) -> Result<Pod> {
    let mut pod = serde_json::to_value(pod)?;
    for index in 0..OURS {
        let container = pod.pointer_mut(&format!("/spec/initContainers/{index}")).and_then(Value::as_object_mut);
        let container = container.context("the pod has no sidecar")?;
        let variables = container.entry("env").or_insert_with(|| json!([]));
        variables.as_array_mut().context("env is no list")?.push(variable.clone());
    }
    Ok(serde_json::from_value(pod)?)
}

/// The pod with another value of a variable of the first three containers.
///
/// # Errors
/// When none of them has it.
pub fn with_value(pod: &Pod, name: &str, value: &str) -> Result<Pod> {
    let mut pod = pod.clone();
    let ours = pod.spec.iter_mut().flat_map(|spec| spec.init_containers.iter_mut().flatten()).take(OURS);
    let mut variables = ours.flat_map(|container| container.env.iter_mut().flatten());
    let variable = variables.find(|variable| variable.name == name).with_context(|| format!("no container has {name}"))?;
    variable.value = Some(value.to_owned());
    Ok(pod)
}
