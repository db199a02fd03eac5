//! Workloads that ran before their holding: where a standard asks for it they are restarted, one after the other, and none whose pods a
//! PodDisruptionBudget keeps, as long as it does.
//!
//! Closes 14 (what was there before) of the threat model.

use std::fmt::Debug;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shekara_crds::{COVERED_LABEL, RESTARTED_ANNOTATION};
use shekara_e2e::holdings::with;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

const DEPLOYED: &str = "deployed";
const STATEFUL: &str = "stateful";
const ON_NODES: &str = "on-nodes";
/// The Deployment that a budget keeps.
const KEPT: &str = "kept";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    start::<Deployment>(scenario, DEPLOYED, json!({"replicas": 2})).await?;
    start::<StatefulSet>(scenario, STATEFUL, json!({"replicas": 2, "serviceName": "none"})).await?;
    start::<DaemonSet>(scenario, ON_NODES, json!({})).await?;
    start::<Deployment>(scenario, KEPT, json!({"replicas": 1})).await?;
    let budget: PodDisruptionBudget = serde_json::from_value(json!({
        "metadata": {"name": KEPT}, "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"workload": KEPT}}}
    }))?;
    let budgets = scenario.api::<PodDisruptionBudget>();
    budgets.create(&PostParams::default(), &budget).await?;

    let rollout = json!({"restartUncovered": true, "maxConcurrent": 1});
    scenario.standard_with(with(scenario.standard_spec(), "/rollout", rollout)?).await?;
    scenario.holding(&[]).await?;
    for name in [DEPLOYED, STATEFUL, ON_NODES] {
        covered(scenario, name).await?;
    }
    one_after_the_other(scenario).await?;
    for pod in pods(scenario, KEPT).await? {
        ensure!(!is_covered(&pod) && restarted(&pod).is_none(), "a pod was replaced that a budget keeps");
    }
    budgets.delete(KEPT, &DeleteParams::default()).await?;
    covered(scenario, KEPT).await?;
    let mut all = 0;
    for name in [DEPLOYED, STATEFUL, ON_NODES, KEPT] {
        all += pods(scenario, name).await?.len();
    }
    scenario.enforcing(i64::try_from(all)?).await?;
    Ok(())
}

/// Starts a workload whose pods the holding will cover, and waits until they are ready.
async fn start<K>(scenario: &Scenario, name: &str, more: Value) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let workload = scenario.client_manifest(name, Cover::Covered)?;
    let made: K = workload.owned_by(&K::kind(&()), |template| {
        let mut spec = json!({"selector": workload.selector(), "template": template});
        if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        spec
    })?;
    scenario.api::<K>().create(&PostParams::default(), &made).await.with_context(|| format!("{name} is refused"))?;
    let names = until(&format!("pods of {name}"), START, async || {
        let names: Vec<String> = pods(scenario, name).await?.iter().map(ResourceExt::name_any).collect();
        Ok(Seen::some_or((!names.is_empty()).then(|| names.clone()), names))
    })
    .await?;
    for pod in names {
        Client::ready(&scenario.api(), &pod).await?;
    }
    ensure!(
        pods(scenario, name).await?.iter().all(|pod| !is_covered(pod)),
        "a pod of {name} is covered by no holding and has a sidecar"
    );
    Ok(())
}

async fn pods(scenario: &Scenario, name: &str) -> Result<Vec<Pod>> {
    let list = ListParams::default().labels(&format!("workload={name}"));
    Ok(scenario.api::<Pod>().list(&list).await?.items)
}

fn is_covered(pod: &Pod) -> bool {
    pod.labels().contains_key(COVERED_LABEL)
}

/// When the workload of a pod was restarted.
fn restarted(pod: &Pod) -> Option<&String> {
    pod.annotations().get(RESTARTED_ANNOTATION)
}

/// Waits until a workload has no pod but covered ones that are ready.
async fn covered(scenario: &Scenario, name: &str) -> Result<()> {
    until(&format!("{name} is restarted"), START, async || {
        let pods = pods(scenario, name).await?;
        let done = !pods.is_empty() && pods.iter().all(|pod| is_covered(pod) && restarted(pod).is_some());
        Ok(Seen::some_or(done.then_some(()), pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>()))
    })
    .await?;
    for pod in pods(scenario, name).await? {
        Client::ready(&scenario.api(), &pod.name_any()).await?;
    }
    Ok(())
}

/// The pods of each workload were there before the next workload was restarted.
async fn one_after_the_other(scenario: &Scenario) -> Result<()> {
    let mut turns = Vec::new();
    for name in [DEPLOYED, STATEFUL, ON_NODES] {
        for pod in pods(scenario, name).await? {
            let at: jiff::Timestamp = restarted(&pod).context("not restarted")?.parse()?;
            let created = pod.creation_timestamp().context("created at no time")?.0;
            turns.push((at, created, name));
        }
    }
    turns.sort();
    for pair in turns.windows(2) {
        let [(at, created, name), (next, _, other)] = pair else { continue };
        ensure!(at == next || created <= next, "{other} was restarted at {next}, before a pod of {name} was made at {created}");
    }
    Ok(())
}
