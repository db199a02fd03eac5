//! Claims that covered pods mount: each is marked with the holdings, so that no other pod mounts it later, and pods of others that mount one
//! now are named.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::json;
use shekara_crds::{DataHolding, HOLDINGS_ANNOTATION};
use tracing::warn;

use crate::watch::PodSummary;

/// Under this name the operator owns the mark.
const FIELD_MANAGER: &str = "shekara-operator";

/// The claims that are known to be marked, by namespace and holding.
#[derive(Default)]
pub(crate) struct Marked(Mutex<BTreeMap<(String, String), BTreeSet<String>>>);

impl Marked {
    /// Marks the claims that these pods of a holding mount, each once. What cannot be marked now is tried again with the next visit.
    pub(super) async fn mark(&self, client: &Client, holding: &DataHolding, pods: &[&PodSummary]) {
        let key = (holding.namespace().unwrap_or_default(), holding.name_any());
        // pods that have ended too: nobody may have led while they ran
        let covered = pods.iter().filter(|pod| pod.injected && (pod.is_of(holding) || pod.holdings.contains(&key.1)));
        let mounted: BTreeSet<&String> = covered.flat_map(|pod| &pod.claims).collect();
        let unmarked: Vec<&String> = {
            let mut known = self.0.lock();
            if mounted.is_empty() {
                known.remove(&key);
                return;
            }
            let known = known.entry(key.clone()).or_default();
            // another claim of the name comes after the last pod that mounts this one
            known.retain(|claim| mounted.contains(claim));
            mounted.into_iter().filter(|claim| !known.contains(*claim)).collect()
        };
        for claim in unmarked {
            match mark(client, &key.0, claim, &key.1).await {
                Ok(()) => drop(self.0.lock().entry(key.clone()).or_default().insert(claim.clone())),
                Err(problem) => warn!(namespace = key.0, claim, %problem, "a claim of covered pods could not be marked"),
            }
        }
    }
}

async fn mark(client: &Client, namespace: &str, name: &str, holding: &str) -> Result<(), kube::Error> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    // one that is gone is mounted by nobody for long
    let Some(claim) = api.get_opt(name).await? else { return Ok(()) };
    let mut holdings: BTreeSet<&str> =
        claim.annotations().get(HOLDINGS_ANNOTATION).map(|names| names.split(',').collect()).unwrap_or_default();
    if !holdings.insert(holding) {
        return Ok(());
    }
    let names: Vec<&str> = holdings.into_iter().collect();
    let patch = json!({"metadata": {
        // whoever marked it meanwhile is not overwritten
        "uid": claim.uid(), "resourceVersion": claim.resource_version(), "annotations": {HOLDINGS_ANNOTATION: names.join(",")},
    }});
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    api.patch(name, &parameters, &Patch::Merge(patch)).await.map(drop)
}

/// The pods that no sidecar is in and that mount a claim of pods in scope, each with the claim; but those in scope themselves, which are
/// named as bare.
pub(super) fn shared(holding: &DataHolding, pods: &[&PodSummary]) -> BTreeSet<(String, String)> {
    let mounted: BTreeSet<&String> = pods.iter().filter(|pod| pod.is_of(holding)).flat_map(|pod| &pod.claims).collect();
    let others = pods.iter().filter(|pod| !pod.ended && !pod.injected && !pod.is_of(holding));
    let claims = |pod: &&&PodSummary| {
        let pod = **pod;
        pod.claims
            .iter()
            .filter(|claim| mounted.contains(claim))
            .map(|claim| (pod.name.clone(), claim.clone()))
            .collect::<Vec<_>>()
    };
    others.flat_map(|pod| claims(&pod)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::fixtures::{ApiServer, caches, covered_pod, holding};
    use crate::watch::Key;

    const PATH: &str = "/api/v1/namespaces/cameras/persistentvolumeclaims/faces";

    fn claim(holdings: Option<&str>) -> Value {
        let annotations = holdings.map(|names| json!({HOLDINGS_ANNOTATION: names}));
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "faces", "uid": "u", "resourceVersion": "1", "annotations": annotations}})
    }

    fn pod(phase: &str) -> Value {
        let mut pod = covered_pod("1", "a", "faces");
        pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "faces"}}]);
        pod["status"]["phase"] = json!(phase);
        pod
    }

    async fn mark(marked: &Marked, client: &Client, pods: &[Value]) {
        let caches = caches(&[&[holding("faces", "a")], pods].concat());
        let holding = caches.holdings.get(&Key::new("cameras", "faces")).unwrap();
        let pods = caches.pods.in_namespace("cameras");
        marked.mark(client, &holding, &pods.iter().map(|(_, pod)| &**pod).collect::<Vec<_>>()).await;
    }

    #[tokio::test]
    async fn a_claim_is_marked_once_and_the_marks_of_others_stay() {
        let (server, client) = ApiServer::start(vec![(PATH.to_owned(), claim(Some("plates")))]).await;
        let marked = Marked::default();
        mark(&marked, &client, &[pod("Running")]).await;
        mark(&marked, &client, &[pod("Running")]).await;
        assert_eq!(server.object(PATH)["metadata"]["annotations"][HOLDINGS_ANNOTATION], "faces,plates");
        assert_eq!((server.asked(&format!("GET {PATH}")), server.asked(&format!("PATCH {PATH}"))), (1, 1));
        // another claim of the name, after the last pod
        mark(&marked, &client, &[]).await;
        server.put(PATH, claim(None));
        mark(&marked, &client, &[pod("Running")]).await;
        assert_eq!(server.object(PATH)["metadata"]["annotations"][HOLDINGS_ANNOTATION], "faces");
    }

    #[tokio::test]
    async fn the_claim_of_a_pod_that_has_ended_is_marked_too() {
        let (server, client) = ApiServer::start(vec![(PATH.to_owned(), claim(None))]).await;
        mark(&Marked::default(), &client, &[pod("Succeeded")]).await;
        assert_eq!(server.object(PATH)["metadata"]["annotations"][HOLDINGS_ANNOTATION], "faces");
    }

    #[tokio::test]
    async fn a_claim_that_is_gone_is_no_trouble() {
        let (server, client) = ApiServer::start(vec![]).await;
        mark(&Marked::default(), &client, &[pod("Running")]).await;
        assert_eq!(server.asked(&format!("PATCH {PATH}")), 0);
    }
}
