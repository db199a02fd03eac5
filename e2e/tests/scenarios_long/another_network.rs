//! Where another plugin comes to make the networks of a node, a bridge here, the agent puts its own behind it, and new pods under
//! PodSecurity `baseline` stand behind the border as before: no network of the platform's is the only one that it works with.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use shekara_e2e::node::Node;
use shekara_e2e::pods::START;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

/// The folder of networks, of which the container runtime takes the first by name.
const NETWORKS: &str = "/etc/cni/net.d";

/// The other network.
const FILE: &str = "/etc/cni/net.d/00-bridge.conflist";

/// Its bridge.
const BRIDGE: &str = "bridge0";

/// The pods that are made in it.
const PODS: [&str; 2] = ["covered", "free"];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let node = Node::of(&scenario.client("before", Cover::Free).await?).await?;
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    scenario.enforce_pod_security("baseline").await?;
    let outcome = bridged(scenario, &node).await;
    // whatever came of it, the node is left as it was found
    removed(scenario, &node).await?;
    outcome.context("beside a bridge")
}

async fn bridged(scenario: &Scenario, node: &Node) -> Result<()> {
    let write = ["sh", "-c", "printf %s \"$1\" >\"$2.part\" && mv \"$2.part\" \"$2\"", "write", &network(node).await?, FILE];
    node.run(&write).await?;
    until("the runtime takes the bridge, with the plugin behind it", START, async || {
        let plugins = plugins(node).await?;
        Ok(Seen::some_or((plugins == ["bridge", "shekara"]).then_some(()), plugins))
    })
    .await?;
    let [covered, free] = PODS;
    let covered = scenario.client_in_time(covered, Cover::Covered).await?;
    let free = scenario.client(free, Cover::Free).await?;
    let ports = node.run(&["ls", &format!("/sys/class/net/{BRIDGE}/brif")]).await?;
    ensure!(ports.lines().count() >= PODS.len(), "the pods are not at the bridge, which has {ports:?}");
    scenario.enforcing(1).await?;
    Border { covered, free }.stands(scenario.world()?).await
}

/// A network of a bridge that gives out addresses by the same book as the one that is there.
async fn network(node: &Node) -> Result<String> {
    let text = node.run(&["sh", "-c", &format!("cat \"$(ls {NETWORKS}/*.conflist | head -n 1)\"")]).await?;
    let there: Value = serde_json::from_str(&text)?;
    let part =
        |pointer: &str| there.pointer(pointer).cloned().with_context(|| format!("the node's network has no {pointer}: {text}"));
    let bridge = json!({"type": "bridge", "bridge": BRIDGE, "isGateway": true, "mtu": 1500, "ipam": part("/plugins/0/ipam")?});
    Ok(json!({"cniVersion": part("/cniVersion")?, "name": part("/name")?, "plugins": [bridge]}).to_string())
}

/// The plugins of the network that the container runtime has taken up, in their order.
async fn plugins(node: &Node) -> Result<Vec<String>> {
    let said: Value = serde_json::from_str(&node.run(&["crictl", "info"]).await?)?;
    let networks = said.pointer("/cniconfig/Networks").and_then(Value::as_array).context("the runtime tells of no networks")?;
    // the loopback interface has a network of its own
    let network = networks.last().and_then(|network| network.pointer("/Config/Plugins")).and_then(Value::as_array);
    let kind = |plugin: &Value| plugin.pointer("/Network/type").and_then(Value::as_str).map(ToOwned::to_owned);
    network.context("the runtime has no network")?.iter().map(|plugin| kind(plugin).context("a plugin without a type")).collect()
}

async fn removed(scenario: &Scenario, node: &Node) -> Result<()> {
    let pods = scenario.api::<Pod>();
    for name in PODS {
        // one that was never made is gone as well
        let _ = pods.delete(name, &DeleteParams::default()).await;
        until("a pod is gone", START, async || {
            let left = pods.get_opt(name).await?;
            Ok(Seen::some_or(left.is_none().then_some(()), left.map(|pod| pod.status)))
        })
        .await?;
    }
    node.run(&["rm", "--force", FILE]).await?;
    node.run(&["sh", "-c", &format!("! ip link show {BRIDGE} >/dev/null 2>&1 || ip link delete {BRIDGE}")]).await?;
    until("the runtime takes the network that was there before", START, async || {
        let plugins = plugins(node).await?;
        let back = plugins.first().is_some_and(|first| first != "bridge") && plugins.last().is_some_and(|last| last == "shekara");
        Ok(Seen::some_or(back.then_some(()), plugins))
    })
    .await
}
