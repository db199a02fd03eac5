//! The Secret with the root key is lost for good, and the operator makes another root. Pods of before go on by their last document,
//! live flows among them, and are shown to need a restart; once they have been replaced the holding is enforced under the new root.
//! Nothing is cut off in a pod that was not replaced yet.
//!
//! Closes 26 of the threat model for the loss of the keys.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_e2e::clients::curl;
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, program, within, without_operator};
use shekara_e2e::holdings::{CONDITION, condition};
use shekara_e2e::live::{ECHO_PORT, LiveFlow};
use shekara_e2e::measure;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::rotation::KEYS;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, now, until};
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};

const REPLICAS: usize = 2;
const DEPLOYED: &str = "deployed";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let echo = world.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"},
    ]);
    let border = scenario.border(&[("party", endpoints)]).await?;
    deploy(scenario).await?;
    scenario.enforcing(1 + i64::try_from(REPLICAS)?).await?;
    let before = deployed(scenario).await?;
    let mut kept = LiveFlow::open(&border.covered, echo).await?;
    let mut of_deployment = LiveFlow::open(before.first().context("no pod was deployed")?, echo).await?;

    let old_root = lose_the_keys(scenario).await?;
    states(scenario, [("RestartNeeded", 1 + REPLICAS)]).await?;
    let said = scenario.condition("faces", "Enforcing", "False").await?;
    ensure!(said.reason == "RestartNeeded" && said.message.contains("covered"), "{said:?}");
    kept.goes_on().await.context("in a pod of before")?;
    of_deployment.goes_on().await.context("in a pod of before")?;
    border.stands(world).await.context("in a pod of before")?;
    for pod in &before {
        reaches_the_clinic(pod).await?;
    }

    let begin = now()?;
    program("kubectl", &["rollout", "restart", "deployment/deployed", "--namespace", &scenario.namespace]).await?;
    states(scenario, [("Enforcing", REPLICAS), ("RestartNeeded", 1)]).await?;
    measure::print("until a Deployment of two was replaced and enforced", format_args!("{:.1} s", now()? - begin));
    let after = deployed(scenario).await?;
    ensure!(after.iter().all(|pod| before.iter().all(|earlier| earlier.name != pod.name)), "a pod was not replaced");
    for pod in &after {
        reaches_the_clinic(pod).await?;
    }
    kept.goes_on().await.context("in a pod that was not replaced yet")?;
    border.stands(world).await.context("in a pod that was not replaced yet")?;

    scenario.api::<Pod>().delete(&border.covered.name, &DeleteParams::default()).await?;
    scenario.client_in_time("anew", Cover::Covered).await?;
    scenario.enforcing(1 + i64::try_from(REPLICAS)?).await?;
    ensure!(scenario.bundle().await?.0.keys.root.fingerprint().to_string() != old_root, "the root is the old one");
    Ok(())
}

/// Deletes the Secret while nobody is there who would put it back. Gives what pods of before hold of the root.
async fn lose_the_keys(scenario: &Scenario) -> Result<String> {
    let old = scenario.bundle().await?.0.keys.root.fingerprint().to_string();
    let secrets = within::<Secret>(&scenario.kube, OPERATOR_NAMESPACE);
    without_operator(&scenario.kube, async || {
        secrets.delete(KEYS, &DeleteParams::default()).await.context("the Secret cannot be deleted").map(drop)
    })
    .await?;
    until("there is another root", CONDITION, async || {
        let root = scenario.bundle().await?.0.keys.root.fingerprint().to_string();
        Ok(Seen::some_or((root != old).then_some(()), root))
    })
    .await?;
    Ok(old)
}

async fn deploy(scenario: &Scenario) -> Result<()> {
    let workload = scenario.client_manifest(DEPLOYED, Cover::Covered)?;
    let deployment: Deployment = workload.owned_by(
        "Deployment",
        |template| json!({"replicas": REPLICAS, "selector": workload.selector(), "template": template}),
    )?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await.context("the Deployment is refused")?;
    Ok(())
}

/// The pods of the Deployment, when there are as many as it wants and no others.
async fn deployed(scenario: &Scenario) -> Result<Vec<Client>> {
    let (api, list) = (scenario.api::<Pod>(), ListParams::default().labels(&format!("workload={DEPLOYED}")));
    let names = until("the pods of the Deployment", START, async || {
        let names: Vec<String> = api.list(&list).await?.items.iter().map(|pod| pod.name_any()).collect();
        Ok(Seen::some_or((names.len() == REPLICAS).then(|| names.clone()), names))
    })
    .await?;
    let mut pods = Vec::new();
    for name in names {
        pods.push(Client::ready(&api, &name).await?);
    }
    Ok(pods)
}

/// Waits until the status says that so many pods are in these states, and none in another.
async fn states<const N: usize>(scenario: &Scenario, expected: [(&str, usize); N]) -> Result<()> {
    let expected: BTreeMap<String, i64> =
        expected.into_iter().map(|(state, pods)| Ok((state.to_owned(), i64::try_from(pods)?))).collect::<Result<_>>()?;
    let api = scenario.api::<DataHolding>();
    until(&format!("the pods are {expected:?}"), START, async || {
        let holding = api.get("faces").await?;
        let said = condition(&holding, "Enforcing").map(|condition| condition.message.clone());
        let states = holding.status.and_then(|status| status.coverage).map(|coverage| coverage.states);
        Ok(Seen::some_or((states.as_ref() == Some(&expected)).then_some(()), (states, said)))
    })
    .await
}

async fn reaches_the_clinic(pod: &Client) -> Result<()> {
    let status = pod.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "the clinic answers {status} to {}", pod.name);
    Ok(())
}
