//! What a sidecar costs: its anonymous memory when it is idle, read by a pod that sees the node's processes, and the images' sizes.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
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
    let watcher = watcher(scenario, &covered).await?;
    let idle = anonymous(&watcher, &covered).await?;
    measure::print("anonymous memory of an idle sidecar", format_args!("{idle} KiB"));
    let outcome = covered.python(&denied_flows()).await?.success()?;
    ensure!(outcome.trim() == FLOWS.to_string(), "{outcome} of {FLOWS} flows were closed");
    let after = anonymous(&watcher, &covered).await?;
    measure::print(&format!("anonymous memory of a sidecar after {FLOWS} flows"), format_args!("{after} KiB"));
    sizes(scenario).await?;
    ensure!(idle <= PROMISED, "an idle sidecar has {idle} KiB of anonymous memory, more than {PROMISED}");
    Ok(())
}

/// A pod beside the covered one that sees the processes of the node.
async fn watcher(scenario: &Scenario, covered: &Client) -> Result<Client> {
    let node = covered.object().await?.spec.and_then(|spec| spec.node_name).context("the pod has no node")?;
    let mut pod = scenario.client_manifest("watcher", Cover::Free)?.pod()?;
    let spec = pod.spec.as_mut().context("the manifest has no spec")?;
    (spec.node_name, spec.host_pid) = (Some(node), Some(true));
    let api = scenario.api::<Pod>();
    api.create(&PostParams::default(), &pod).await.context("the watcher is refused")?;
    Client::ready(&api, "watcher").await
}

/// The anonymous memory of the pod's sidecar in KiB, as the node's kernel counts it.
async fn anonymous(watcher: &Client, covered: &Client) -> Result<u64> {
    let uid = covered.object().await?.metadata.uid.context("the pod has no UID")?;
    let program = format!(
        "import glob, re\n\
         for folder in glob.glob('/proc/[0-9]*'):\n\
         \x20   try:\n\
         \x20       command = open(folder + '/cmdline', 'rb').read().split(b'\\0')\n\
         \x20       if not command[0].endswith(b'shekara-sidecar') or command[1:2] != [b'run']: continue\n\
         \x20       if '{uid}' not in open(folder + '/cgroup').read().replace('_', '-'): continue\n\
         \x20       print(re.search(r'RssAnon:\\s+(\\d+) kB', open(folder + '/status').read())[1])\n\
         \x20   except (FileNotFoundError, ProcessLookupError): pass\n"
    );
    let found = watcher.python(&program).await?.success()?;
    found.trim().parse().with_context(|| format!("not the one sidecar of the pod: {found:?}"))
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
