//! The containers that are put into a covered pod, and how they are told from others that bear their names.
//!
//! Every default of the API server is written out, so that what comes back from it can be compared.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};
use shekara_policy::Limits;
use shekara_policy::packet_filter::PacketFilter;
use shekara_policy::probes::{HOOK, PORT, Probes};
use shekara_policy::signed::{Fingerprint, Stamp};

use super::files::{ENTRY, file_name};
use super::resources::Room;
use super::setting::{SIDECAR_USER, Setting};
use crate::pods::{HOLDINGS_VARIABLE, INIT, OBSERVE_VARIABLE, PROXY, VERIFY};

/// What the names of our containers and volumes begin with. Nobody else's may.
pub(super) const RESERVED: &str = "shekara-";
/// The volume with the token by which the sidecar shows which pod it is in.
pub(super) const TOKEN_VOLUME: &str = "shekara-token";
/// The variable of the proxy with the fingerprint of the root key.
pub const ROOT_VARIABLE: &str = "SHEKARA_ROOT";
/// The variable of the proxy with the UIDs of its holdings and the lowest serials.
pub const DOCUMENTS_VARIABLE: &str = "SHEKARA_DOCUMENTS";
/// The variable of the proxy with the lowest version of the key set.
const KEY_SET_VARIABLE: &str = "SHEKARA_KEY_SET";
/// The variable of packet filter and proxy with the addresses and ports that are open for datagrams; absent where none is.
const DATAGRAMS_VARIABLE: &str = "SHEKARA_UDP";
/// The variable of the proxy with what it asks the application in the kubelet's place; absent where that is nothing.
pub(super) const PROBES_VARIABLE: &str = "SHEKARA_PROBES";
/// The variable of the proxy with the addresses of the pod's node, which the kubelet fills in; absent where there are no hooks.
const NODE_VARIABLE: &str = "SHEKARA_NODE";
/// The variable of the proxy with the user by whom the packet filter knows it; absent where it knows it by a mark.
const USER_VARIABLE: &str = "SHEKARA_USER";
/// The volume with the signed documents as they were last written beside the holdings.
pub(super) const FILES_VOLUME: &str = "shekara-policy";

/// Where the API server's own admission mounts the token of the service account.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const FILES_FOLDER: &str = "/var/run/shekara.dev/policy";
const TOKEN_FOLDER: &str = "/var/run/secrets/shekara.dev";
const TOKEN_SECONDS: u32 = 3600;
/// The field with the profile of AppArmor.
const PROFILE: &str = "appArmorProfile";
/// The user of the proof: like an application, neither root nor the owner of anything.
const NOBODY: u32 = 65532;
/// How long the sidecar may take to its first document before the kubelet starts it again, in seconds.
const START: u32 = 300;

/// What container runtimes give to root, but for NET_RAW, which marks need: a container that may add nothing can keep it.
const WITHOUT_NET_RAW: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What admission needs to know to build the containers.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sidecar's image.
    pub image: String,
    /// When nodes pull it.
    pub pull_policy: String,
    /// The resources of each container, before they are fitted to the pod and its namespace.
    pub resources: ResourceRequirements,
    /// Who sets the packet filter, and by what it knows the sidecar.
    pub setting: Setting,
    /// What the namespace asks of containers.
    pub room: Room,
    /// What the sidecar logs.
    pub log: String,
    /// What the sidecar holds at once.
    pub limits: Limits,
    /// `host:port` of the policy API.
    pub policy_api: String,
    /// The certificate of the authority that signs the policy API's, in PEM.
    pub authority: String,
    /// The resolvers of the cluster.
    pub resolvers: Vec<SocketAddr>,
    /// What the pod trusts for life.
    pub root: Fingerprint,
    /// The version of the key set of the moment: no older one counts.
    pub key_set: u64,
    /// The UID of the pod's namespace.
    pub namespace_uid: String,
    /// Its holdings, each with the serial of the document of the moment: no older one counts.
    pub stamps: Vec<Stamp>,
    /// Until when all of them observe.
    pub observe_until: Option<Timestamp>,
    /// The addresses and ports that their documents list for datagrams, each of which gets a port of its own.
    pub datagrams: Vec<SocketAddr>,
}

/// Our containers, in their order. `asked` is what the kubelet asks the sidecar for; with `profiled` they say that they have the runtime's
/// own profile of AppArmor, since the pod would give them another. Elsewhere they do not say it: a node without AppArmor starts no
/// container that does.
pub(super) fn containers(settings: &Settings, holdings: &BTreeSet<String>, asked: &Probes, profiled: bool) -> Vec<Value> {
    let rest = [proxy(settings, holdings, asked), verify(settings)];
    let mut containers: Vec<Value> = match settings.setting {
        Setting::Init => [init(settings)].into_iter().chain(rest).collect(),
        Setting::Node | Setting::NodeByUser => rest.into(),
    };
    for security in containers.iter_mut().filter(|_| profiled).filter_map(|container| container.get_mut("securityContext")) {
        set(security, PROFILE, own_profile());
    }
    containers
}

/// The runtime's own profile of AppArmor.
fn own_profile() -> Value {
    json!({"type": "RuntimeDefault"})
}

/// What the node is asked for, where it sets the packet filter.
pub(super) fn packet_filter(settings: &Settings) -> Option<PacketFilter> {
    match settings.setting {
        Setting::Init => None,
        Setting::Node | Setting::NodeByUser => Some(PacketFilter {
            user: settings.setting.user(),
            observe_until: settings.observe_until,
            datagrams: settings.datagrams.clone(),
        }),
    }
}

/// The volume with the token, which only the proxy mounts.
pub(super) fn token_volume() -> Value {
    let token = json!({"audience": shekara_policy::exchange::AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"});
    json!({"name": TOKEN_VOLUME, "projected": {"defaultMode": 0o644, "sources": [{"serviceAccountToken": token}]}})
}

/// The volume with the documents of these holdings, which only the proxy mounts: whole, so that what is written later arrives, and
/// optional, so that nothing waits for it.
pub(super) fn files_volume(holdings: &BTreeSet<String>) -> Value {
    let source = |holding: &String| {
        let items = json!([{"key": ENTRY, "path": format!("{holding}.json")}]);
        json!({"configMap": {"name": file_name(holding), "items": items, "optional": true}})
    };
    json!({"name": FILES_VOLUME, "projected": {"defaultMode": 0o644, "sources": holdings.iter().map(source).collect::<Vec<_>>()}})
}

/// Whether a container of a pod is this one of ours. What the API server and its own admission add or settle is no difference,
/// nor are the holdings, their documents and the probes, which an earlier call of the webhook may have seen otherwise.
pub(super) fn same(container: &Value, ours: &Value) -> bool {
    canonical(container) == canonical(ours)
}

fn init(settings: &Settings) -> Value {
    let mut container = base(settings, INIT, "init", &root(&["NET_ADMIN"]));
    set(&mut container, "terminationMessagePolicy", json!("FallbackToLogsOnError"));
    tell_observe(settings, &mut container);
    tell_datagrams(settings, &mut container);
    container
}

fn proxy(settings: &Settings, holdings: &BTreeSet<String>, asked: &Probes) -> Value {
    let security = match settings.setting {
        Setting::Init => root(&["NET_RAW"]),
        Setting::Node => {
            json!({"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "capabilities": {"drop": WITHOUT_NET_RAW}})
        }
        Setting::NodeByUser => nobody(SIDECAR_USER),
    };
    let mut container = base(settings, PROXY, "run", &security);
    let resolvers: Vec<String> = settings.resolvers.iter().map(ToString::to_string).collect();
    let stamps: Vec<String> = settings.stamps.iter().map(ToString::to_string).collect();
    let holdings: Vec<&str> = holdings.iter().map(String::as_str).collect();
    let field = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    let probe = json!({"timeoutSeconds": 5, "successThreshold": 1});
    let probe = |check: &str, how: Value, period: u32, failures: u32| {
        let mut probe = probe.clone();
        set(&mut probe, check, how);
        set(&mut probe, "periodSeconds", json!(period));
        set(&mut probe, "failureThreshold", json!(failures));
        probe
    };
    set(&mut container, "restartPolicy", json!("Always"));
    set(
        &mut container,
        "env",
        json!([
            {"name": "SHEKARA_POLICY_API", "value": settings.policy_api},
            {"name": "SHEKARA_POLICY_CA", "value": settings.authority},
            {"name": ROOT_VARIABLE, "value": settings.root.to_string()},
            {"name": "SHEKARA_NAMESPACE_UID", "value": settings.namespace_uid},
            {"name": DOCUMENTS_VARIABLE, "value": stamps.join(",")},
            {"name": KEY_SET_VARIABLE, "value": settings.key_set.to_string()},
            {"name": "SHEKARA_FILES", "value": FILES_FOLDER},
            {"name": "SHEKARA_RESOLVERS", "value": resolvers.join(",")},
            {"name": "SHEKARA_TOKEN", "value": format!("{TOKEN_FOLDER}/token")},
            {"name": "SHEKARA_GEO", "value": "/geo"},
            {"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
            {"name": "SHEKARA_POD", "value": "$(POD_NAMESPACE)/$(POD_NAME)"},
            {"name": "SHEKARA_LOG", "value": settings.log},
            {"name": "SHEKARA_LIMITS", "value": json!(settings.limits).to_string()},
            {"name": HOLDINGS_VARIABLE, "value": holdings.join(",")},
        ]),
    );
    tell_observe(settings, &mut container);
    tell_datagrams(settings, &mut container);
    tell_probes(asked, &mut container);
    if let Some(user) = settings.setting.user() {
        tell(&mut container, USER_VARIABLE, &user.to_string());
    }
    set(&mut container, "ports", json!([{"name": "shekara-metrics", "containerPort": PORT, "protocol": "TCP"}]));
    set(&mut container, "startupProbe", probe("exec", json!({"command": ["/shekara-sidecar", "ready"]}), 1, START));
    // no readiness probe: flows go on by the last document while the operator is away, so the pod stays in its Services
    let live = json!({"path": "/live", "port": PORT, "scheme": "HTTP"});
    set(&mut container, "livenessProbe", probe("httpGet", live, 10, 6));
    set(
        &mut container,
        "volumeMounts",
        json!([
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true},
            {"name": FILES_VOLUME, "mountPath": FILES_FOLDER, "readOnly": true},
        ]),
    );
    container
}

fn verify(settings: &Settings) -> Value {
    let mut container = base(settings, VERIFY, "verify", &nobody(NOBODY));
    set(&mut container, "terminationMessagePolicy", json!("FallbackToLogsOnError"));
    tell_observe(settings, &mut container);
    container
}

/// Packet filter, proxy and proof must agree on it.
fn tell_observe(settings: &Settings, container: &mut Value) {
    if let Some(until) = settings.observe_until {
        tell(container, OBSERVE_VARIABLE, &until.to_string());
    }
}

/// Packet filter and proxy must agree on it.
fn tell_datagrams(settings: &Settings, container: &mut Value) {
    if !settings.datagrams.is_empty() {
        let endpoints: Vec<String> = settings.datagrams.iter().map(ToString::to_string).collect();
        tell(container, DATAGRAMS_VARIABLE, &endpoints.join(","));
    }
}

/// What cannot be written is refused before.
fn tell_probes(asked: &Probes, container: &mut Value) {
    if !asked.0.is_empty() {
        tell(container, PROBES_VARIABLE, &asked.to_json().unwrap_or_default());
    }
    if asked.0.keys().any(|path| path.starts_with(HOOK)) {
        let node = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIPs"}});
        add(container, json!({"name": NODE_VARIABLE, "valueFrom": node}));
    }
}

fn tell(container: &mut Value, name: &str, value: &str) {
    add(container, json!({"name": name, "value": value}));
}

fn add(container: &mut Value, variable: Value) {
    match container.get_mut("env").and_then(Value::as_array_mut) {
        Some(variables) => variables.push(variable),
        None => set(container, "env", json!([variable])),
    }
}

fn root(capabilities: &[&str]) -> Value {
    // runAsNonRoot is said here because the pod may say otherwise for its own containers
    json!({"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "capabilities": {"drop": ["ALL"], "add": capabilities}})
}

fn nobody(user: u32) -> Value {
    json!({"runAsUser": user, "runAsGroup": user, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}})
}

fn base(settings: &Settings, name: &str, command: &str, security: &Value) -> Value {
    let mut security = security.clone();
    set(&mut security, "privileged", json!(false));
    set(&mut security, "allowPrivilegeEscalation", json!(false));
    set(&mut security, "readOnlyRootFilesystem", json!(true));
    set(&mut security, "seccompProfile", json!({"type": "RuntimeDefault"}));
    json!({
        "name": name,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "command": ["/shekara-sidecar", command],
        "resources": settings.resources,
        "securityContext": security,
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    })
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn canonical(container: &Value) -> Value {
    let mut container = container.clone();
    if let Some(fields) = container.as_object_mut() {
        // quantities are rewritten, limits are set by LimitRanges, and one admission plugin pulls every image always: none of
        // it decides what runs, and ours replaces it
        for settled in ["resources", "resizePolicy", "imagePullPolicy"] {
            fields.remove(settled);
        }
        without(fields, "volumeMounts", |mount| mount.get("mountPath").and_then(Value::as_str) == Some(API_TOKEN));
        let settled_by_us = [HOLDINGS_VARIABLE, DOCUMENTS_VARIABLE, KEY_SET_VARIABLE, OBSERVE_VARIABLE, DATAGRAMS_VARIABLE];
        let of_the_pod = [NODE_VARIABLE, PROBES_VARIABLE];
        let changing = [&settled_by_us[..], &of_the_pod].concat();
        without(fields, "env", |variable| changing.iter().any(|name| variable.get("name").is_some_and(|found| found == name)));
        // of a pod that named a profile when it was seen before
        let security = fields.get_mut("securityContext").and_then(Value::as_object_mut);
        if let Some(security) = security.filter(|security| security.get(PROFILE) == Some(&own_profile())) {
            security.remove(PROFILE);
        }
    }
    container
}

/// Drops some entries of a list, and the list when nothing is left of it.
fn without(fields: &mut serde_json::Map<String, Value>, name: &str, dropped: impl Fn(&Value) -> bool) {
    let Some(list) = fields.get_mut(name).and_then(Value::as_array_mut) else { return };
    list.retain(|entry| !dropped(entry));
    if list.is_empty() {
        fields.remove(name);
    }
}
