//! What a covered pod may not have: each way round the packet filter that a field of a pod opens, by name.

use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use shekara_policy::exchange::AUDIENCE;
use shekara_policy::ports;

use super::containers::{RESERVED, TOKEN_VOLUME};
use super::refusal::Faults;

/// The capabilities that an application may add: none of them reaches the network, the node or another container.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_RESOURCE",
];

/// Containers of other meshes, which set packet filters of their own.
const MESHES: &[&str] = &[
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "linkerd-proxy",
    "linkerd-init",
    "kuma-sidecar",
    "kuma-init",
    "consul-dataplane",
    "consul-connect-inject-init",
];

const WITHOUT: &str = "remove the field";

/// The faults of a pod's spec outside its containers, but for the volumes that are ours.
pub(super) fn spec(spec: &PodSpec, ours: &[Option<usize>], faults: &mut Faults) {
    let shares = |what: &str| format!("it would share {what} of the node, where no packet filter of its own holds; {WITHOUT}");
    faults.when(spec.host_network == Some(true), "spec.hostNetwork", shares("the network"));
    faults.when(spec.host_pid == Some(true), "spec.hostPID", shares("the processes"));
    faults.when(spec.host_ipc == Some(true), "spec.hostIPC", shares("the memory"));
    let together = format!("an application could take over the process of the sidecar; {WITHOUT}");
    faults.when(spec.share_process_namespace == Some(true), "spec.shareProcessNamespace", together);
    let system = spec.os.as_ref().map(|os| os.name.as_str());
    let windows = "there is no packet filter for Windows; run the workload on Linux";
    faults.when(system.is_some_and(|name| name != "linux"), "spec.os.name", windows);
    let selected = spec.node_selector.iter().flatten().find(|(label, _)| *label == "kubernetes.io/os");
    faults.when(selected.is_some_and(|(_, name)| name != "linux"), "spec.nodeSelector[kubernetes.io/os]", windows);
    let profile = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    unconfined(profile.map(|profile| profile.type_.as_str()), "spec", faults);
    let volumes = spec.volumes.iter().flatten().enumerate();
    for (index, volume) in volumes.filter(|(index, _)| !ours.contains(&Some(*index))) {
        self::volume(volume, &format!("spec.volumes[{index}]"), faults);
    }
}

/// The faults of a container that is not ours, in a pod with so many endpoints that are listed for datagrams.
pub(super) fn container(container: &Container, field: &str, datagrams: usize, faults: &mut Faults) {
    let name = container.name.as_str();
    let reserved = format!(
        "names that begin with {RESERVED} are kept for the sidecar, and this is not the container that would be injected; rename it"
    );
    faults.when(name.starts_with(RESERVED), format!("{field}.name"), reserved);
    let mesh =
        format!("{name:?} is of another mesh, whose packet filter would lead round the sidecar; leave the mesh out of this pod");
    faults.when(MESHES.contains(&name), format!("{field}.name"), mesh);
    security(container, &format!("{field}.securityContext"), faults);
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let given = port.host_port.is_some_and(|port| port != 0);
        let sentence = "a port of the node leads into the pod past what a Service is judged by; use a Service";
        faults.when(given, format!("{field}.ports[{index}].hostPort"), sentence);
        let number = u16::try_from(port.container_port).unwrap_or_default();
        let taken = match port.protocol.as_deref() {
            None | Some("TCP") => ports::is_tcp(number),
            Some("UDP") => ports::is_udp(number, datagrams),
            Some(_) => false,
        };
        let sentence = format!("port {number} is the sidecar's; let the application listen at another one");
        faults.when(taken, format!("{field}.ports[{index}].containerPort"), sentence);
    }
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let sentence = format!("the token of the sidecar is for the sidecar alone; {WITHOUT}");
        faults.when(mount.name == TOKEN_VOLUME, format!("{field}.volumeMounts[{index}].name"), sentence);
    }
}

fn security(container: &Container, field: &str, faults: &mut Faults) {
    let Some(context) = &container.security_context else { return };
    let privileged = format!("a privileged container can change any packet filter; {WITHOUT}");
    faults.when(context.privileged == Some(true), format!("{field}.privileged"), privileged);
    let added = context.capabilities.iter().flat_map(|capabilities| capabilities.add.iter().flatten());
    for (index, capability) in added.enumerate() {
        let sentence = format!("{capability} is not a capability that a covered container may add; {WITHOUT}");
        faults.when(!is_harmless(capability), format!("{field}.capabilities.add[{index}]"), sentence);
    }
    let mount = format!("an unmasked /proc lets a container change the network's settings; {WITHOUT}");
    faults.when(context.proc_mount.as_deref().is_some_and(|mount| mount != "Default"), format!("{field}.procMount"), mount);
    let profile = context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
    unconfined(profile, field.trim_end_matches(".securityContext"), faults);
}

fn unconfined(profile: Option<&str>, field: &str, faults: &mut Faults) {
    let sentence = "without seccomp a container may open sockets that no packet filter sees; use RuntimeDefault";
    faults.when(profile == Some("Unconfined"), format!("{field}.securityContext.seccompProfile.type"), sentence);
}

/// Only names as the API writes them: what a runtime makes of another spelling differs from one to the next.
fn is_harmless(capability: &str) -> bool {
    CAPABILITIES.contains(&capability)
}

fn volume(volume: &Volume, field: &str, faults: &mut Faults) {
    let path = format!("what is written to the node's file system is out of the pod, and so are the sockets there; {WITHOUT}");
    faults.when(volume.host_path.is_some(), format!("{field}.hostPath"), path);
    let reserved = format!("names that begin with {RESERVED} are kept for the sidecar; rename it");
    faults.when(volume.name.starts_with(RESERVED), format!("{field}.name"), reserved);
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for (index, source) in sources.enumerate() {
        let audience = source.service_account_token.as_ref().and_then(|token| token.audience.as_deref());
        let sentence = format!("a token of the audience {AUDIENCE} speaks for the sidecar; {WITHOUT}");
        let place = format!("{field}.projected.sources[{index}].serviceAccountToken.audience");
        faults.when(audience == Some(AUDIENCE), place, sentence);
    }
    let known = volume.config_map.is_some()
        || volume.csi.is_some()
        || volume.downward_api.is_some()
        || volume.empty_dir.is_some()
        || volume.ephemeral.is_some()
        || volume.host_path.is_some()
        || volume.image.is_some()
        || volume.persistent_volume_claim.is_some()
        || volume.projected.is_some()
        || volume.secret.is_some();
    let sentence = "a volume of this kind is mounted by the node, outside the pod's network; use a PersistentVolumeClaim";
    faults.when(!known, field, sentence);
}
