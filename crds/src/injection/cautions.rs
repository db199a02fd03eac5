//! What admission says of a covered pod that it admits all the same.

use k8s_openapi::api::core::v1::{Container, PodSpec, ProjectedVolumeSource};
use serde_json::Value;

use super::containers::RESERVED;

/// Whether users other than the owner and the group of a file may read it.
const OTHERS_READ: i32 = 0o004;

/// What may surprise whoever makes this pod, each with the field.
///
/// The kubelet gives tokens of the service account to the user of the containers where all have the same one (`FsUserFrom` of
/// Kubernetes, `pkg/volume/util/util.go`); the sidecar is another. Where the pod says `fsGroup`, their group reads them instead.
#[must_use]
pub fn cautions(pod: &Value) -> Vec<String> {
    // what cannot be read is refused elsewhere
    let spec = pod.get("spec").and_then(|spec| serde_json::from_value::<PodSpec>(spec.clone()).ok()).unwrap_or_default();
    let grouped = spec.security_context.as_ref().is_some_and(|context| context.fs_group.is_some());
    if grouped || one_user(&spec).is_none_or(|user| user == 0) {
        return vec![];
    }
    let volumes = spec.volumes.iter().flatten().enumerate().filter(|(_, volume)| !volume.name.starts_with(RESERVED));
    let hidden = volumes.filter(|(_, volume)| volume.projected.as_ref().is_some_and(is_hidden_token));
    let caution = |(index, _)| {
        format!(
            "spec.volumes[{index}].projected.defaultMode: beside the sidecar, which is another user, the containers may not read the token \
             there; say spec.securityContext.fsGroup, or a mode that others may read"
        )
    };
    hidden.map(caution).collect()
}

/// The user as whom all containers run that are not ours, where it is one and they say so.
fn one_user(spec: &PodSpec) -> Option<i64> {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let user = |container: &Container| container.security_context.as_ref().and_then(|context| context.run_as_user).or(of_pod);
    let own = spec.init_containers.iter().flatten().chain(&spec.containers).filter(|one| !one.name.starts_with(RESERVED));
    let mut users = own.map(user);
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}

fn is_hidden_token(volume: &ProjectedVolumeSource) -> bool {
    let has_token = volume.sources.iter().flatten().any(|source| source.service_account_token.is_some());
    has_token && volume.default_mode.is_some_and(|mode| mode & OTHERS_READ == 0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// A change of a pod whose containers are one user and whose token others may not read, and whether it is still told of.
    #[rstest]
    #[case::as_it_is(json!([]), true)]
    #[case::ours_stand_there(json!([{"op": "add", "path": "/initContainers/0", "value": {"name": "shekara-proxy", "securityContext": {"runAsUser": 0}}}]), true)]
    #[case::a_group(json!([{"op": "add", "path": "/securityContext/fsGroup", "value": 1}]), false)]
    #[case::others_may_read(json!([{"op": "replace", "path": "/volumes/0/projected/defaultMode", "value": 0o444}]), false)]
    #[case::by_default(json!([{"op": "remove", "path": "/volumes/0/projected/defaultMode"}]), false)]
    #[case::no_token(json!([{"op": "replace", "path": "/volumes/0/projected/sources", "value": [{"configMap": {"name": "c"}}]}]), false)]
    #[case::it_never_was_theirs(json!([{"op": "add", "path": "/containers/0/securityContext", "value": {"runAsUser": 2000}}]), false)]
    #[case::an_image_may_say(json!([{"op": "remove", "path": "/securityContext/runAsUser"}]), false)]
    #[case::root_reads_all(json!([{"op": "replace", "path": "/securityContext/runAsUser", "value": 0}]), false)]
    fn a_token_that_the_sidecar_takes_from_its_user_is_told_of(#[case] change: Value, #[case] told: bool) {
        let mut spec = json!({
            "securityContext": {"runAsUser": 1000}, "initContainers": [{"name": "migrate"}], "containers": [{"name": "app"}],
            "volumes": [{"name": "t", "projected": {"defaultMode": 0o440, "sources": [{"serviceAccountToken": {"path": "token"}}]}}]
        });
        json_patch::patch(&mut spec, &serde_json::from_value::<json_patch::Patch>(change).unwrap()).unwrap();
        let said = cautions(&json!({"spec": spec}));
        assert_eq!(said.len(), usize::from(told), "{said:?}");
        // the API server cuts longer ones
        assert!(said.iter().all(|said| said.starts_with("spec.volumes[0].") && said.len() <= 256), "{said:?}");
    }
}
