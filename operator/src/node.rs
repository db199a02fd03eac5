//! The agent of a node that sets packet filters: it keeps the plugin behind those that make the networks of pods, and leaves the node as it
//! was when the agents are removed.
//!
//! The plugin itself needs nobody: it goes on while the agent is away, is restarted or upgraded.

pub mod config;
mod folder;
mod network;

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Client;
use kube::api::Api;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::config::NodeConfig;
use self::folder::{Kept, Node};
use crate::readiness::{Gate, Readiness};
use crate::{admin, serve};

/// Where probes and scrapers ask.
const PORT: u16 = 15021;

/// Between two looks at the networks of the node: whoever makes them writes their configuration anew as it starts.
const LOOK: Duration = Duration::from_secs(1);

/// How long the API server may take to say whether the agents are removed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the plugin in its place until told to stop.
///
/// # Errors
/// When it cannot begin, or a part of it ends by itself.
pub async fn run(config: NodeConfig) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let readiness = Readiness::default();
    let gate = readiness.gate("the plugin behind those that make networks");
    let listener = TcpListener::bind(("::", PORT)).await.with_context(|| format!("port {PORT} cannot be listened on"))?;
    let node = Node::new(&config);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        never = keep(&node, gate) => match never {},
        ended = serve::plain(listener, admin::health(readiness), CancellationToken::new()) => match ended {
            Ok(()) => bail!("the administration port ended by itself"),
            Err(never) => match never {},
        },
    }
    if is_removed(&config).await {
        node.leave().context("the node could not be left as it was")?;
        info!("the agents are removed, and the node is as it was");
    } else {
        info!("told to stop; the plugin stays and goes on");
    }
    Ok(())
}

/// Keeps the plugin behind the others, and says what changes.
async fn keep(node: &Node, gate: Gate) -> Infallible {
    let mut gate = Some(gate);
    let mut last = String::new();
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        let said = match node.keep() {
            Ok(Kept::NoNetwork) => "the node has no network for pods yet".to_owned(),
            Ok(kept) => {
                gate.take().into_iter().for_each(Gate::open);
                match kept {
                    Kept::Put(file) => format!("the plugin is put behind the others in {file}"),
                    _ => last.clone(),
                }
            }
            Err(problem) => problem.to_string(),
        };
        if said != last {
            warn!("{said}");
            last = said;
        }
    }
}

/// Whether the agent stops because all of them are removed, and not because it is started again. Where the API server does not say, they
/// are not; where it no longer knows this agent, they are.
async fn is_removed(config: &NodeConfig) -> bool {
    let asked = async {
        let client = Client::try_default().await?;
        let agents: Api<DaemonSet> = Api::namespaced(client, &config.namespace);
        Ok::<_, anyhow::Error>(agents.get_metadata_opt(&config.daemon_set).await)
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Ok(None))) => true,
        Ok(Ok(Ok(Some(agents)))) => agents.metadata.deletion_timestamp.is_some(),
        Ok(Ok(Err(kube::Error::Api(answer)))) => [401, 403].contains(&answer.code),
        Ok(Ok(Err(problem))) => {
            warn!(%problem, "the API server does not say whether the agents are removed");
            false
        }
        Ok(Err(problem)) => {
            warn!(%problem, "the API server cannot be asked whether the agents are removed");
            false
        }
        Err(_) => false,
    }
}
