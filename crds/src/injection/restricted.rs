//! What a pod may not have beside a sidecar that is known by its user: whatever lets a container be that user.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::refusal::Faults;
use super::setting::SIDECAR_USER;

/// The one capability that PodSecurity `restricted` lets a container add.
const ADDED: &str = "NET_BIND_SERVICE";

/// The faults of the pod's own containers, each with its path.
pub(super) fn containers<'c>(spec: &PodSpec, own: impl Iterator<Item = (String, &'c Container)>, faults: &mut Faults) {
    let of_pod = spec.security_context.as_ref();
    for (path, container) in own {
        let context = container.security_context.as_ref();
        let path = format!("{path}.securityContext");
        let user = context.and_then(|context| context.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user));
        let unsaid = "in a restricted namespace the sidecar is told from others by its user, and an image may say any: say here or in \
            spec.securityContext.runAsUser which user it is";
        faults.when(user.is_none(), format!("{path}.runAsUser"), unsaid);
        let root = "in a restricted namespace no container may be root, which is above the sidecar; say another user";
        faults.when(user == Some(0), format!("{path}.runAsUser"), root);
        let taken = "it is the user of the sidecar, who may leave the pod; say another one";
        faults.when(user == Some(SIDECAR_USER.into()), format!("{path}.runAsUser"), taken);
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
    }
}
