//! What tests of several modules need: a configuration, caches with objects, and a client without a cluster.

mod api_server;

use std::sync::Arc;

pub(crate) use api_server::ApiServer;
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use shekara_policy::signed::{SignedDocument, SigningKey};
use tokio::time::Instant;

use crate::caches::Caches;
use crate::config::Config;
use crate::documents::Published;
use crate::watch::{Cache, Cached};

pub(crate) fn config() -> Config {
    let variables = [
        ("POD_NAMESPACE", "shekara-system"),
        ("POD_NAME", "shekara-operator-0"),
        ("POD_IP", "10.244.0.2"),
        ("SHEKARA_SIDECAR_IMAGE", "shekara-sidecar:test"),
        ("SHEKARA_CLUSTER_NETWORKS", "10.244.0.0/16"),
    ];
    let read = |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned());
    Config::read(read).unwrap()
}

/// A client of an API server that is not there. Needs a runtime.
pub(crate) fn client() -> kube::Client {
    kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap()
}

/// Caches that have listed these objects, with a DNS Service.
pub(crate) fn caches(objects: &[Value]) -> Caches {
    let dns = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"}, "spec": {"clusterIPs": ["10.96.0.10"]}});
    let of = |kind: &str| objects.iter().chain([&dns]).filter(|object| object["kind"] == kind).cloned().collect::<Vec<_>>();
    let caches = Caches::default();
    list(&caches.holdings, of("DataHolding"));
    list(&caches.recipients, of("Recipient"));
    list(&caches.standards, of("SovereigntyStandard"));
    list(&caches.namespaces, of("Namespace"));
    list(&caches.services, of("Service"));
    list(&caches.slices, of("EndpointSlice"));
    list(&caches.nodes, of("Node"));
    list(&caches.pods, of("Pod"));
    list(&caches.policy_files, of("ConfigMap"));
    caches
}

fn list<V: Cached>(cache: &Cache<V>, objects: Vec<Value>) {
    cache.take(Event::Init);
    for object in objects {
        cache.take(Event::InitApply(serde_json::from_value(object).unwrap()));
    }
    cache.take(Event::InitDone);
}

/// Takes an object as the watch would.
pub(crate) fn apply<V: Cached>(cache: &Cache<V>, object: Value) {
    cache.take(Event::Apply(serde_json::from_value(object).unwrap()));
}

/// Takes a deletion as the watch would.
pub(crate) fn delete<V: Cached>(cache: &Cache<V>, object: Value) {
    cache.take(Event::Delete(serde_json::from_value(object).unwrap()));
}

pub(crate) fn namespace(name: &str, labels: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A holding of the pods with this value of the label `app`.
pub(crate) fn holding(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding",
        "metadata": {"name": name, "namespace": "cameras", "uid": format!("uid-of-{name}"), "generation": 1},
        "spec": {
            "title": "Street video", "controller": {"name": "Akimat", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": app}},
            "data": [{"category": "biometric.face"}], "transfers": [{"recipient": "clinic", "data": ["biometric.face"]}]
        }
    })
}

/// A pod with this value of the label `app`, whose sidecar runs and is proven.
pub(crate) fn covered_pod(name: &str, app: &str, holdings: &str) -> Value {
    let proxy = json!({"name": "shekara-proxy", "image": "i", "env": [{"name": "SHEKARA_HOLDINGS", "value": holdings}]});
    let status = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": true, "restartCount": 0, "started": true, "state": state});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "cameras", "uid": format!("uid-of-{name}"), "labels": {"app": app}},
        "spec": {"containers": [], "initContainers": [proxy], "serviceAccountName": "default"},
        "status": {"phase": "Running", "initContainerStatuses": [
            status("shekara-proxy", json!({"running": {}})),
            status("shekara-verify", json!({"terminated": {"exitCode": 0}}))
        ]}
    })
}

/// A document of a holding that was published under this digest, signed by nobody in particular.
pub(crate) fn published(name: &str, app: &str, digest: &str) -> Published {
    let document = json!({
        "version": 1, "holding": {"namespace": "cameras", "name": name, "uid": format!("uid-of-{name}")}, "data": [], "standards": [], "routes": [],
        "inCluster": [], "cluster": {"networks": [], "domain": "cluster.local", "resolvers": []}
    });
    let document = serde_json::from_value(document).unwrap();
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    let signed = SignedDocument::sign(&document, "", 1, Timestamp::UNIX_EPOCH, Timestamp::MAX, &key).unwrap();
    Published {
        holding: Arc::new(serde_json::from_value(holding(name, app)).unwrap()),
        document,
        digest: digest.to_owned(),
        signed: Arc::new(signed),
        since: Instant::now(),
    }
}
