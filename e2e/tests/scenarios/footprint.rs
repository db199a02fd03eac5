//! What a sidecar costs: its anonymous memory when it is idle, read by a pod that sees the node's processes, and the images' sizes.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use shekara_e2e::measure;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

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
    sizes(scenario).await?;
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

/// Prints the size of each image as the nodes have it.
async fn sizes(scenario: &Scenario) -> Result<()> {
    let api: Api<Node> = Api::all(scenario.kube.clone());
    let own = ["OPERATOR_IMAGE", "SIDECAR_IMAGE"];
    for (variable, image) in scenario.images.iter().filter(|(variable, _)| own.contains(variable)) {
        let size = until(&format!("a node says how large {image} is"), Duration::from_secs(360), async || {
            let nodes = api.list(&ListParams::default()).await?.items;
            let images = nodes.iter().flat_map(|node| node.status.iter().flat_map(|status| status.images.iter().flatten()));
            let named = |names: &Option<Vec<String>>| names.iter().flatten().any(|name| name.ends_with(image));
            let size = images.into_iter().find(|listed| named(&listed.names)).and_then(|listed| listed.size_bytes);
            Ok(Seen::some_or(size, nodes.iter().map(ResourceExt::name_any).collect::<Vec<_>>()))
        })
        .await?;
        measure::print(&format!("size of {variable} on a node"), format_args!("{:.1} MiB", size as f64 / f64::from(1 << 20)));
    }
    Ok(())
}
