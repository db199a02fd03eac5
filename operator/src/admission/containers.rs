//! The containers that are put into a covered pod, and how they are told from others that bear their names.
//!
//! Every default of the API server is written out, so that what comes back from it can be compared.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};
pub(crate) use shekara_crds::pods::{HOLDINGS_VARIABLE, INIT, PROXY, VERIFY};

/// What the names of our containers and volumes begin with. Nobody else's may.
pub(crate) const RESERVED: &str = "shekara-";
/// The volume with the token by which the sidecar shows which pod it is in.
pub(crate) const TOKEN_VOLUME: &str = "shekara-token";

/// Where the API server's own admission mounts the token of the service account.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const TOKEN_FOLDER: &str = "/var/run/secrets/shekara.dev";
const TOKEN_SECONDS: u32 = 3600;
/// The port of the sidecar's metrics, readiness and liveness on the pod's address.
const ADMIN_PORT: u16 = 15020;
/// The user of the proof: like an application, neither root nor the owner of anything.
const NOBODY: u32 = 65532;
/// How long the sidecar may take to its first document before the kubelet starts it again, in seconds.
const START: u32 = 300;

/// What admission needs to know to build the containers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) image: String,
    pub(crate) pull_policy: String,
    pub(crate) resources: ResourceRequirements,
    pub(crate) log: String,
    /// `host:port` of the policy API.
    pub(crate) policy_api: String,
    /// The certificate of the authority that signs the policy API's, in PEM.
    pub(crate) authority: String,
    pub(crate) resolvers: Vec<SocketAddr>,
}

/// The three containers, in their order.
pub(super) fn containers(settings: &Settings, holdings: &BTreeSet<String>) -> [Value; 3] {
    [init(settings), proxy(settings, holdings), verify(settings)]
}

/// The volume with the token, which only the proxy mounts.
pub(super) fn token_volume() -> Value {
    let token = json!({"audience": shekara_policy::exchange::AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": "token"});
    json!({"name": TOKEN_VOLUME, "projected": {"defaultMode": 0o644, "sources": [{"serviceAccountToken": token}]}})
}

/// Whether a container of a pod is this one of ours. What the API server and its own admission add or settle is no difference,
/// nor are the holdings, which an earlier call of the webhook may have seen otherwise.
pub(super) fn same(container: &Value, ours: &Value) -> bool {
    canonical(container) == canonical(ours)
}

fn init(settings: &Settings) -> Value {
    let mut container = base(settings, INIT, "init", &root(&["NET_ADMIN"]));
    set(&mut container, "terminationMessagePolicy", json!("FallbackToLogsOnError"));
    container
}

fn proxy(settings: &Settings, holdings: &BTreeSet<String>) -> Value {
    let mut container = base(settings, PROXY, "run", &root(&["NET_RAW"]));
    let resolvers: Vec<String> = settings.resolvers.iter().map(ToString::to_string).collect();
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
            {"name": "SHEKARA_RESOLVERS", "value": resolvers.join(",")},
            {"name": "SHEKARA_TOKEN", "value": format!("{TOKEN_FOLDER}/token")},
            {"name": "SHEKARA_GEO", "value": "/geo"},
            {"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
            {"name": "SHEKARA_POD", "value": "$(POD_NAMESPACE)/$(POD_NAME)"},
            {"name": "SHEKARA_LOG", "value": settings.log},
            {"name": HOLDINGS_VARIABLE, "value": holdings.join(",")},
        ]),
    );
    set(&mut container, "ports", json!([{"name": "shekara-metrics", "containerPort": ADMIN_PORT, "protocol": "TCP"}]));
    set(&mut container, "startupProbe", probe("exec", json!({"command": ["/shekara-sidecar", "ready"]}), 1, START));
    // no readiness probe: flows go on by the last document while the operator is away, so the pod stays in its Services
    let live = json!({"path": "/live", "port": ADMIN_PORT, "scheme": "HTTP"});
    set(&mut container, "livenessProbe", probe("httpGet", live, 10, 6));
    set(&mut container, "volumeMounts", json!([{"name": TOKEN_VOLUME, "mountPath": TOKEN_FOLDER, "readOnly": true}]));
    container
}

fn verify(settings: &Settings) -> Value {
    let nobody = json!({"runAsUser": NOBODY, "runAsGroup": NOBODY, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]}});
    let mut container = base(settings, VERIFY, "verify", &nobody);
    set(&mut container, "terminationMessagePolicy", json!("FallbackToLogsOnError"));
    container
}

fn root(capabilities: &[&str]) -> Value {
    // runAsNonRoot is said here because the pod may say otherwise for its own containers
    json!({"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": false, "capabilities": {"drop": ["ALL"], "add": capabilities}})
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
        without(fields, "env", |variable| variable.get("name").and_then(Value::as_str) == Some(HOLDINGS_VARIABLE));
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
