//! What a covered pod prints lies on its node: a pod that mounts the folder there reads it, whatever sidecar and packet filter do. Where a
//! standard asks for a list, the holding says who does so and is not listed in a country that the standard allows.
//!
//! Closes 35 of the threat model, as far as it can be closed by saying so.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::holdings::{CONDITION, with, with_entry};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{APPLICATION, Cover};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::until;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    standard(scenario, json!([])).await?;
    scenario.holding(&[]).await?;
    let covered = scenario.client("prints", Cover::Covered).await?;
    covered.run(&["sh", "-c", "echo of-a-face > /proc/1/fd/1"].map(str::to_owned)).await?.success()?;
    scenario.condition("faces", "Covered", "True").await.context("while nobody collects")?;

    let printed = scenario.api::<Pod>().get(&covered.name).await?;
    let collector = collector(scenario, &printed).await?;
    let read = ["sh", "-c", "grep of-a-face /host/pods/*_prints_*/client/*.log"].map(str::to_owned);
    until("the collector reads what was printed", CONDITION, async || Ok(collector.run(&read).await?.seen())).await?;
    let said = scenario.condition("faces", "Covered", "False").await.context("while somebody collects")?;
    let named = format!("Pod collector in {}", scenario.namespace);
    ensure!(said.reason == "LogCollectors" && said.message.contains(&named), "{}: {}", said.reason, said.message);

    let listed = |country: &str| {
        let pods = json!({"namespace": scenario.namespace, "podSelector": {"matchLabels": {APPLICATION: Cover::Free.label()}}});
        json!([{"pods": pods, "country": country}])
    };
    standard(scenario, listed("KZ")).await?;
    scenario.condition("faces", "Covered", "True").await.context("while it is listed at home")?;
    standard(scenario, listed("DE")).await?;
    scenario.condition("faces", "Covered", "False").await.context("while it is listed abroad")?;
    scenario.api::<Pod>().delete(&collector.name, &DeleteParams::default().grace_period(0)).await?;
    scenario.condition("faces", "Covered", "True").await.context("when it is gone").map(drop)
}

/// Sets a standard that has collectors listed, and lists these.
async fn standard(scenario: &Scenario, collectors: Value) -> Result<()> {
    let logs = json!({"mode": "Reported", "collectors": collectors});
    scenario.standard_with(with(scenario.standard_spec(), "/logs", logs)?).await.map(drop)
}

/// A pod that no holding covers, with the logs of the node of a pod.
async fn collector(scenario: &Scenario, of: &Pod) -> Result<Client> {
    let node = of.spec.as_ref().and_then(|spec| spec.node_name.as_ref()).context("it has no node")?;
    let pod = serde_json::to_value(scenario.client_manifest("collector", Cover::Free)?.pod()?)?;
    let pod = with(pod, "/spec/nodeName", json!(node))?;
    let pod = with_entry(pod, "/spec/volumes", json!({"name": "logs", "hostPath": {"path": "/var/log"}}))?;
    let mount = json!({"name": "logs", "mountPath": "/host", "readOnly": true});
    let pod = with_entry(pod, "/spec/containers/0/volumeMounts", mount)?;
    let pod = with(pod, "/spec/containers/0/securityContext", json!({"runAsUser": 0}))?;
    scenario.api::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Client::ready(&scenario.api(), "collector").await
}
