//! Whether the agents are removed, or one of them alone is started again.
//!
//! It is heard from a watch that began while the agent had all its rights: with the agents these go too, and a refusal says nothing.

use std::convert::Infallible;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Client;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::config::NodeConfig;

/// Before the next try, where the API server cannot be spoken to.
const PAUSE: Duration = Duration::from_secs(10);

/// Says so as long as it is so.
pub(super) async fn look(config: &NodeConfig, removed: watch::Sender<bool>) -> Infallible {
    loop {
        match Client::try_default().await {
            Ok(client) => follow(client, config, &removed).await,
            Err(problem) => warn!(%problem, "there is no way to the API server"),
        }
        sleep(PAUSE).await;
    }
}

async fn follow(client: Client, config: &NodeConfig, removed: &watch::Sender<bool>) {
    let agents: Api<PartialObjectMeta<DaemonSet>> = Api::namespaced(client, &config.namespace);
    let only = Config::default().fields(&format!("metadata.name={}", config.daemon_set));
    let mut events = watcher(agents, only).default_backoff().boxed();
    let mut listed = false;
    loop {
        match events.try_next().await {
            Ok(Some(Event::Init)) => listed = false,
            Ok(Some(Event::InitApply(agents) | Event::Apply(agents))) => {
                listed = true;
                removed.send_replace(agents.metadata.deletion_timestamp.is_some());
            }
            Ok(Some(Event::InitDone)) if listed => {}
            Ok(Some(Event::InitDone | Event::Delete(_))) => drop(removed.send_replace(true)),
            Ok(None) => return,
            Err(problem) => warn!(%problem, "the API server does not say whether the agents are removed"),
        }
    }
}
