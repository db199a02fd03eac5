//! What a sidecar costs: its anonymous memory when it is idle, read by a pod that sees the node's processes, and the images' sizes.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;
use shekara_e2e::cluster::operator;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::records::SIDECAR;
use shekara_e2e::scenario::Scenario;

/// What is promised, in KiB.
const PROMISED: u64 = 6 * 1024;

/// So many flows are denied before the memory is read again.
const FLOWS: u32 = 300;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    let endpoints = json!([{"host": "idle.example.kz", "ports": [443], "protocol": "TLS"}]);
    scenario.recipient("idle", endpoints).await?;
    scenario.holding(&["idle"]).await?;
    let covered = scenario.client("covered", Cover::Covered).await?;
    scenario.enforcing(1).await?;
    let watcher = Watcher::beside(scenario, &covered).await?;
    let idle = watcher.anonymous_memory(&covered).await?;
    measure::print("anonymous memory of an idle sidecar", format_args!("{idle} KiB"));
    let outcome = covered.python(&denied_flows()).await?.success()?;
    ensure!(outcome.trim() == FLOWS.to_string(), "{outcome} of {FLOWS} flows were closed");
    let after = watcher.anonymous_memory(&covered).await?;
    measure::print(&format!("anonymous memory of a sidecar after {FLOWS} flows"), format_args!("{after} KiB"));
    sizes(scenario, &covered).await?;
    ensure!(idle <= PROMISED, "an idle sidecar has {idle} KiB of anonymous memory, more than {PROMISED}");
    Ok(())
}

/// Opens connections that are denied, one after the other, and prints how many were closed.
fn denied_flows() -> String {
    format!(
        "import socket, ssl\n\
         context, closed = ssl.create_default_context(), 0\n\
         for _ in range({FLOWS}):\n\
         \x20   try: context.wrap_socket(socket.create_connection(('192.0.2.1', 443), 10), server_hostname='ads.example.com')\n\
         \x20   except OSError: closed += 1\n\
         print(closed)\n"
    )
}

/// Prints the size of our images as the nodes tell it. A node tells of its fifty largest images, so one may be left out.
async fn sizes(scenario: &Scenario, covered: &Client) -> Result<()> {
    let spec = covered.object().await?.spec.unwrap_or_default();
    let sidecar = spec.init_containers.into_iter().flatten().find(|container| container.name == SIDECAR);
    let operator = operator(&scenario.kube).await?.spec.and_then(|spec| spec.template.spec.unwrap_or_default().containers.pop());
    let images = [("sidecar", sidecar), ("operator", operator)];
    let nodes: Api<Node> = Api::all(scenario.kube.clone());
    let nodes = nodes.list(&ListParams::default()).await?.items;
    let told: Vec<_> = nodes.into_iter().flat_map(|node| node.status.unwrap_or_default().images.unwrap_or_default()).collect();
    for (name, container) in images {
        let image = container.and_then(|container| container.image).with_context(|| format!("there is no {name}"))?;
        let named = |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name.ends_with(&image));
        let size = told.iter().find(|listed| named(&listed.names)).and_then(|listed| listed.size_bytes);
        let size = size.map(|size| format!("{:.1} MiB", size as f64 / f64::from(1 << 20)));
        measure::print(&format!("size of the image of the {name}"), size.as_deref().unwrap_or("not told by the nodes"));
    }
    Ok(())
}
