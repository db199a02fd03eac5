//! Where the node sets packet filters, its plugin needs no agent; a pod that comes to a node without it starts nothing, and is replaced
//! when the plugin is there; and when the agents are removed, the node is as it was.
//!
//! Closes 14 and 15 of the threat model for pods whose packet filter the node sets.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, within};
use shekara_e2e::diagnose;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START, is_ready};
use shekara_e2e::release;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

/// The agents.
const AGENTS: &str = "shekara-node";

/// Where the folders of the node are in the pod that looks at them.
const NETWORKS: &str = "/networks";
const PLUGINS: &str = "/plugins";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let node = look(scenario).await?;
    until("the plugin is in its place", START, async || Ok(Seen::some_or(chained(&node).await?.then_some(()), "it is not")))
        .await?;
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    scenario.enforce_pod_security("baseline").await?;
    let free = scenario.client("free", Cover::Free).await?;

    agents(scenario, false).await?;
    let outcome = without_agents(scenario, &node, &free).await;
    // whatever came of it, the cluster is left as it was found
    agents(scenario, true).await?;
    outcome.context("without agents")?;
    replaced(scenario, free).await.context("a pod that its node missed")?;
    removed(&node).await.context("when the agents are removed")
}

/// A pod that sees the folders of the node on which the scenario's pods run. It is made before the namespace enforces anything.
async fn look(scenario: &Scenario) -> Result<Client> {
    let mut pod = scenario.client_manifest("look", Cover::Free)?.pod()?;
    let spec = pod.spec.as_mut().context("the pod has no spec")?;
    let mounts = json!([{"name": "networks", "mountPath": NETWORKS}, {"name": "plugins", "mountPath": PLUGINS}]);
    let volumes = json!([
        {"name": "networks", "hostPath": {"path": "/etc/cni/net.d"}}, {"name": "plugins", "hostPath": {"path": "/opt/cni/bin"}},
    ]);
    let container = spec.containers.first_mut().context("the pod has no container")?;
    container.volume_mounts = Some(serde_json::from_value(mounts)?);
    spec.volumes = Some(serde_json::from_value(volumes)?);
    scenario.api::<Pod>().create(&PostParams::default(), &pod).await?;
    Client::ready(&scenario.api(), "look").await
}

/// The network that the node's container runtime takes, by its file, and its text.
async fn network(node: &Client) -> Result<(String, String)> {
    let list = ["sh", "-c", &format!("ls {NETWORKS} | grep -E '[.](conf|conflist|json)$' | sort | head -n 1")];
    let file = node.run(&list).await?.success()?.trim().to_owned();
    let text = node.run(&["cat", &format!("{NETWORKS}/{file}")]).await?.success()?;
    Ok((file, text))
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").is_some_and(|kind| kind == "shekara")
}

async fn chained(node: &Client) -> Result<bool> {
    let (_, text) = network(node).await?;
    let network: Value = serde_json::from_str(&text)?;
    let plugins = network.get("plugins").and_then(Value::as_array);
    Ok(plugins.and_then(|plugins| plugins.last()).is_some_and(is_ours))
}

/// Has the agents run, or not, while their DaemonSet is there.
async fn agents(scenario: &Scenario, run: bool) -> Result<()> {
    let sets = within::<DaemonSet>(&scenario.kube, OPERATOR_NAMESPACE);
    let nowhere = if run { Value::Null } else { json!("nowhere") };
    let patch = json!({"spec": {"template": {"spec": {"nodeSelector": {"shekara.dev/scenario": nowhere}}}}});
    sets.patch(AGENTS, &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let pods = within::<Pod>(&scenario.kube, OPERATOR_NAMESPACE);
    until("the agents are there, or gone", START, async || {
        let list = pods.list(&ListParams::default().labels("app.kubernetes.io/component=node")).await?.items;
        let ready = list.iter().filter(|pod| is_ready(pod)).count();
        let done = if run { ready > 0 && ready == list.len() } else { list.is_empty() };
        Ok(Seen::some_or(done.then_some(()), list.iter().map(|pod| pod.name_any()).collect::<Vec<_>>()))
    })
    .await
}

async fn without_agents(scenario: &Scenario, node: &Client, free: &Client) -> Result<()> {
    ensure!(chained(node).await?, "the plugin went with an agent that is to come back");
    let covered = scenario.client_in_time("covered", Cover::Covered).await?;
    Border { covered, free: free.clone() }.stands(scenario.world()?).await?;
    // a node without the plugin, as a new one is
    let (file, text) = network(node).await?;
    let mut network: Value = serde_json::from_str(&text)?;
    let plugins = network.get_mut("plugins").and_then(Value::as_array_mut).context("the network has no plugins")?;
    plugins.retain(|plugin| !is_ours(plugin));
    let write = format!("import sys; open('{NETWORKS}/{file}', 'w').write(sys.argv[1])");
    node.run(&["python3", "-c", &write, &network.to_string()]).await?.success()?;

    let workload = scenario.client_manifest("late", Cover::Covered)?;
    let deployment: Deployment =
        workload.owned_by("Deployment", |template| json!({"selector": workload.selector(), "template": template}))?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await?;
    let first = failed(scenario, "").await?;
    // it is replaced, which does not help as long as the plugin is not there
    failed(scenario, &first).await.map(drop)
}

/// Waits until the proof of a pod of the late workload has failed that is another one than this, and nothing of the application runs.
async fn failed(scenario: &Scenario, before: &str) -> Result<String> {
    let pods = scenario.api::<Pod>();
    until("the proof of a pod without a packet filter fails", START, async || {
        let list = pods.list(&ListParams::default().labels("workload=late")).await?.items;
        let status = |pod: &Pod| pod.status.clone().unwrap_or_default();
        let bare = list.iter().find(|pod| {
            let containers = status(pod).init_container_statuses.unwrap_or_default();
            let ended = containers.iter().filter(|container| container.name == "shekara-verify").any(|verify| {
                let states = [verify.state.as_ref(), verify.last_state.as_ref()];
                states.into_iter().flatten().filter_map(|state| state.terminated.as_ref()).any(|ended| ended.exit_code != 0)
            });
            ended && pod.uid().is_some_and(|uid| uid != before)
        });
        for pod in &list {
            let started =
                status(pod).container_statuses.unwrap_or_default().iter().any(|container| container.started == Some(true));
            ensure!(!started, "an application has started without a packet filter");
        }
        Ok(Seen::some_or(bare.and_then(|pod| pod.uid()), list.iter().map(status).collect::<Vec<_>>()))
    })
    .await
}

/// With the plugin back in its place the workload runs behind the border.
async fn replaced(scenario: &Scenario, free: Client) -> Result<()> {
    let pods = scenario.api::<Pod>();
    let name = until("a pod of the late workload is ready", START, async || {
        let list = pods.list(&ListParams::default().labels("workload=late")).await?.items;
        let ready = list.iter().find(|pod| is_ready(pod)).map(|pod| pod.name_any());
        Ok(Seen::some_or(ready, list.iter().map(diagnose::pod).collect::<Vec<_>>()))
    })
    .await?;
    let covered = Client::ready(&pods, &name).await?;
    Border { covered, free }.stands(scenario.world()?).await?;
    scenario.enforcing(2).await.map(drop)
}

/// Without agents the network is what it was before them, and no file of theirs is left.
async fn removed(node: &Client) -> Result<()> {
    let (file, _) = network(node).await?;
    let before = node.run(&["cat", &format!("{PLUGINS}/shekara.d/before/{file}")]).await?.success()?;
    release::set("enforcement.filter=Init").await?;
    let outcome = until("the node is as it was", START, async || {
        let (_, text) = network(node).await?;
        let left = node.run(&["sh", "-c", &format!("ls -d {PLUGINS}/shekara.d")]).await?;
        Ok(Seen::some_or((text == before && !left.succeeded()).then_some(()), (text, left.stdout)))
    })
    .await;
    release::set("enforcement.filter=Auto").await?;
    outcome
}
