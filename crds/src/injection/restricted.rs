//! What a pod may not have beside a sidecar that is known by its user: whatever lets a container be that user.

use std::num::NonZeroU32;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::refusal::Faults;

/// The one capability that PodSecurity `restricted` lets a container add.
const ADDED: &str = "NET_BIND_SERVICE";

/// The faults of the pod's own containers, each with its path; `sidecar` is the user by whom the sidecar is known.
pub(super) fn containers<'c>(
    spec: &PodSpec,
    own: impl Iterator<Item = (String, &'c Container)>,
    sidecar: NonZeroU32,
    faults: &mut Faults,
) {
    let pod = spec.security_context.as_ref();
    let is_sidecar = |user: Option<i64>| user == Some(i64::from(sidecar.get()));
    let taken = "it is the user of the sidecar, and so could leave the pod as the sidecar does; choose another one";
    faults.when(is_sidecar(pod.and_then(|pod| pod.run_as_user)), "spec.securityContext.runAsUser", taken);
    for (path, container) in own {
        let context = container.security_context.as_ref();
        let path = format!("{path}.securityContext");
        let user = context.and_then(|context| context.run_as_user);
        faults.when(is_sidecar(user), format!("{path}.runAsUser"), taken);
        let escalates = context.and_then(|context| context.allow_privilege_escalation) != Some(false);
        let sentence =
            "in a restricted namespace a container could become the user of the sidecar by a setuid file; set it to false";
        faults.when(escalates, format!("{path}.allowPrivilegeEscalation"), sentence);
        let capabilities = context.and_then(|context| context.capabilities.as_ref());
        let mut dropped = capabilities.into_iter().flat_map(|capabilities| capabilities.drop.iter().flatten());
        let sentence = "in a restricted namespace a container with SETUID could become the user of the sidecar; drop ALL";
        faults.when(!dropped.any(|name| name == "ALL"), format!("{path}.capabilities.drop"), sentence);
        let added = capabilities.into_iter().flat_map(|capabilities| capabilities.add.iter().flatten());
        for (index, name) in added.enumerate().filter(|(_, name)| *name != ADDED) {
            let sentence = format!("{name} is not a capability that a container of a restricted namespace may add; remove it");
            faults.when(true, format!("{path}.capabilities.add[{index}]"), sentence);
        }
        let of_pod = pod.and_then(|pod| pod.run_as_non_root);
        let not_root = context.and_then(|context| context.run_as_non_root).or(of_pod) == Some(true);
        let sentence = "in a restricted namespace no container may be root, which is above the sidecar; set it to true";
        faults.when(!not_root, format!("{path}.runAsNonRoot"), sentence);
    }
}
