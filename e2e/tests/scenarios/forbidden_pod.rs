//! A pod that a holding covers and that could lead round its packet filter is refused, and the field is named; the same pod is
//! created where no holding covers it, unless it looks like one that is covered. The owner of a refused pod has an event that says why.
//!
//! Closes 10, 27 (a look-alike), 30 (the node's file system and ports) and 36 (a foreign projected volume) of the threat model.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

/// What is for covered pods alone, as admission makes them.
const RESERVED: [&str; 2] = ["spec.initContainers[0].name", "spec.volumes[0].projected.sources[0].serviceAccountToken.audience"];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.holding(&[]).await?;
    for (pointer, value, field) in cases() {
        let answer = refusal(scenario, Cover::Covered, pointer, value.clone()).await?;
        let answer = answer.with_context(|| format!("a covered pod with {pointer} {value} is not refused"))?;
        ensure!(answer.contains(field), "{pointer} {value}: the answer does not name {field}: {answer}");
        match refusal(scenario, Cover::Free, pointer, value.clone()).await? {
            Some(said) if RESERVED.contains(&field) => {
                ensure!(said.contains("shekara-reserved-names"), "{pointer} {value}: another answer: {said}");
            }
            None if RESERVED.contains(&field) => bail!("{pointer} {value} is for covered pods, and another was created with it"),
            Some(said) => bail!("{pointer} {value} is refused in a pod that no holding covers: {said}"),
            None => {}
        }
    }
    told(scenario).await
}

/// Where a pod is changed, how, and the field that the answer names.
fn cases() -> Vec<(&'static str, Value, &'static str)> {
    let look_alike = json!([{"name": "shekara-proxy", "image": "anything", "restartPolicy": "Always"}]);
    let token =
        json!([{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "shekara", "path": "token"}}]}}]);
    let security = "/spec/containers/0/securityContext";
    vec![
        ("/spec/hostNetwork", json!(true), "spec.hostNetwork"),
        ("/spec/hostPID", json!(true), "spec.hostPID"),
        ("/spec/hostIPC", json!(true), "spec.hostIPC"),
        ("/spec/shareProcessNamespace", json!(true), "spec.shareProcessNamespace"),
        (security, json!({"privileged": true}), "spec.containers[0].securityContext.privileged"),
        (security, json!({"capabilities": {"add": ["NET_ADMIN"]}}), "spec.containers[0].securityContext.capabilities.add[0]"),
        (security, json!({"capabilities": {"add": ["NET_RAW"]}}), "spec.containers[0].securityContext.capabilities.add[0]"),
        (security, json!({"capabilities": {"add": ["SYS_ADMIN"]}}), "spec.containers[0].securityContext.capabilities.add[0]"),
        (security, json!({"seccompProfile": {"type": "Unconfined"}}), "spec.containers[0].securityContext.seccompProfile.type"),
        ("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), "spec.containers[0].ports[0].hostPort"),
        ("/spec/volumes/0", json!({"name": "authority", "hostPath": {"path": "/"}}), "spec.volumes[0].hostPath"),
        ("/spec/volumes/0", json!({"name": "authority", "nfs": {"server": "192.0.2.1", "path": "/"}}), "spec.volumes[0]"),
        ("/spec/volumes", token, "spec.volumes[0].projected.sources[0].serviceAccountToken.audience"),
        ("/spec/initContainers", look_alike, "spec.initContainers[0].name"),
    ]
}

/// Asks for the pod, without keeping it. Gives the refusal, or nothing where it would be created.
async fn refusal(scenario: &Scenario, cover: Cover, pointer: &str, value: Value) -> Result<Option<String>> {
    let idle = scenario.client_manifest("odd", cover)?.pod()?;
    let mut pod = serde_json::to_value(idle)?;
    if pointer == "/spec/volumes" {
        // nothing mounts what was there
        pod = with(pod, "/spec/containers/0/volumeMounts", json!([]))?;
    }
    let pod: Pod = serde_json::from_value(with(pod, pointer, value)?)?;
    match scenario.api::<Pod>().create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(status.message)),
        Err(error) => bail!("{pointer}: another answer: {error}"),
    }
}

/// What owns a refused pod has an event.
async fn told(scenario: &Scenario) -> Result<()> {
    let workload = scenario.client_manifest("refused", Cover::Covered)?;
    let template = with(workload.template(), "/spec/hostNetwork", json!(true))?;
    let deployment: Deployment =
        workload.owned_by("Deployment", |_| json!({"selector": workload.selector(), "template": template}))?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await?;
    let api = scenario.api::<Event>();
    until("the event of the refusal", CONDITION, async || {
        let events = api.list(&ListParams::default()).await?.items;
        let told = events.iter().any(|event| {
            let note = event.message.as_deref().unwrap_or_default();
            event.reason.as_deref() == Some("Refused") && note.contains("spec.hostNetwork")
        });
        let others: Vec<_> = events.iter().map(|event| (&event.reason, &event.message)).collect();
        Ok(Seen::some_or(told.then_some(()), others))
    })
    .await
}
