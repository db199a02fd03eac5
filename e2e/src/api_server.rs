//! The API server, killed and started again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;

use crate::cluster::CONTROL_PLANE;
use crate::node::Node;
use crate::operator_metrics::api_server_counts;
use crate::wait::{Seen, until};

/// How long the kubelet may take to start it again, and it to become ready.
const BACK: Duration = Duration::from_secs(120);

/// Kills its process, as the kernel does when memory is short, and waits until another one is ready. Gives how long it was away.
///
/// # Errors
/// When it cannot be killed, or is not started again in time.
pub async fn restart(client: &Client) -> Result<Duration> {
    let nodes: Api<v1::Node> = Api::all(client.clone());
    let node =
        nodes.list(&ListParams::default().labels(CONTROL_PLANE)).await?.items.pop().context("no node has an API server")?;
    let before = began(client).await?;
    let begin = Instant::now();
    Node { name: node.name_any() }.run(&["pkill", "-KILL", "-x", "kube-apiserver"]).await?;
    until("the API server is there again", BACK, async || {
        Ok(match ready_since(client).await {
            Ok(since) => Seen::some_or((since > before).then_some(()), "the killed one"),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await?;
    Ok(begin.elapsed())
}

/// When the process began, of an API server that is ready.
async fn ready_since(client: &Client) -> Result<f64> {
    client.request_text(http::Request::get("/readyz").body(vec![])?).await?;
    began(client).await
}

/// When the process began, in seconds since 1970.
async fn began(client: &Client) -> Result<f64> {
    let samples = api_server_counts(client, "process_start_time_seconds").await?;
    samples.first().map(|(_, seconds)| *seconds).context("the API server does not say when it began")
}
