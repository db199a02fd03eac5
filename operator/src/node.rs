//! The agent of a node that sets packet filters: it keeps the plugin behind those that make the networks of pods, and leaves the node as it
//! was when the agents are removed.
//!
//! The plugin itself needs nobody: it goes on while the agent is away, is restarted or upgraded.

pub mod config;
mod folder;
mod network;
mod removal;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::config::NodeConfig;
use self::folder::{Kept, Node};
use crate::readiness::{Gate, Readiness};
use crate::{admin, serve};

/// Where the kubelet asks, on the node's loopback: an agent that needed a network of its own could not put one right.
const PORT: u16 = 15021;

/// Between two looks at the networks of the node: whoever makes them writes their configuration anew as it starts.
const LOOK: Duration = Duration::from_secs(1);

/// After so many times in a minute that it was taken out, the plugin is put back once a minute.
const OFTEN: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);

/// How long an agent that is told to stop waits to hear that all are removed.
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
    let at = (Ipv4Addr::LOCALHOST, PORT);
    let listener = TcpListener::bind(at).await.with_context(|| format!("port {PORT} cannot be listened on"))?;
    let node = Node::new(&config);
    let (removing, mut removed) = watch::channel(false);
    let look = removal::look(&config, removing);
    let mut look = std::pin::pin!(look);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        never = keep(&node, gate) => match never {},
        never = look.as_mut() => match never {},
        ended = serve::plain(listener, admin::health(readiness), CancellationToken::new()) => match ended {
            Ok(()) => bail!("the administration port ended by itself"),
            Err(never) => match never {},
        },
    }
    let removed = tokio::select! {
        never = look => match never {},
        heard = timeout(PATIENCE, removed.wait_for(|removed| *removed)) => matches!(heard, Ok(Ok(_))),
    };
    if removed {
        node.leave().context("the node could not be left as it was")?;
        info!("the agents are removed, and the networks of the node are as they were");
    } else {
        info!("told to stop; the plugin stays and goes on");
    }
    Ok(())
}

/// Keeps the plugin behind the others, and says what changes.
async fn keep(node: &Node, gate: Gate) -> Infallible {
    let mut gate = Some(gate);
    let mut last = String::new();
    let mut put = Vec::<Instant>::new();
    loop {
        let mut pause = LOOK;
        let said = match node.keep() {
            Ok(Kept::NoNetwork) => "the node has no network for pods yet".to_owned(),
            Ok(kept) => {
                gate.take().into_iter().for_each(Gate::open);
                match kept {
                    Kept::Put(file) => {
                        put.retain(|at| at.elapsed() < MINUTE);
                        put.push(Instant::now());
                        if put.len() > OFTEN {
                            pause = MINUTE;
                            format!(
                                "somebody takes the plugin out of {file} again and again: allow others behind the network's own plugins (Cilium: cni.exclusive=false)"
                            )
                        } else {
                            format!("the plugin is put behind the others in {file}")
                        }
                    }
                    _ => last.clone(),
                }
            }
            Err(problem) => problem.to_string(),
        };
        if said != last {
            warn!("{said}");
            last = said;
        }
        sleep(pause).await;
    }
}
