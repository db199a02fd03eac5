//! What every covered pod is told for life, in a ConfigMap beside the operator: the fingerprint of the root key and the resolvers.
//! The API server compares new pods with it, so that nobody makes a sidecar by hand that obeys another root or asks other resolvers
//! while the operator is away.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::caches::Caches;
use crate::config::Config;
use crate::keys::Keys;
use crate::ledger::store::Resumed;

/// The name of the ConfigMap.
const NAME: &str = "shekara-trust";
/// Under this name the operator owns its entries.
const FIELD_MANAGER: &str = "shekara-operator";
/// How often it is looked at, besides when the keys change.
const ROUND: Duration = Duration::from_secs(10);

/// Keeps the ConfigMap.
pub(crate) struct Trust {
    pub(crate) client: Client,
    pub(crate) config: Arc<Config>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) resumed: Resumed,
}

impl Trust {
    /// Writes it whenever it differs from what pods are admitted with.
    pub(crate) async fn run(mut self) -> Result<(), Infallible> {
        // one replica writes
        self.resumed.wait().await;
        self.caches.wait_until_synced().await;
        let mut keys = self.keys.subscribe();
        let mut round = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                Ok(()) = keys.changed() => {}
            }
            if let Err(problem) = self.look().await {
                warn!(%problem, "the ConfigMap {NAME} cannot be read or written, so the API server may refuse covered pods; it is tried again");
            }
        }
    }

    async fn look(&self) -> Result<(), kube::Error> {
        let Some(wanted) = self.wanted() else { return Ok(()) };
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let present = api.get_opt(NAME).await?.map(|map| json!(map.data));
        if present.as_ref() == Some(&wanted) {
            return Ok(());
        }
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": wanted});
        api.patch(NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(map)).await?;
        info!(name = NAME, "what covered pods are told for life is written");
        Ok(())
    }

    /// Nothing while the cluster's DNS has no address: then no pod is covered either.
    fn wanted(&self) -> Option<Value> {
        let resolvers: Vec<String> = self.caches.resolvers(&self.config).iter().map(ToString::to_string).collect();
        (!resolvers.is_empty()).then(|| json!({"root": self.keys.current().root.to_string(), "resolvers": resolvers.join(",")}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{ApiServer, caches, config};

    fn path() -> String {
        format!("/api/v1/namespaces/{}/configmaps/{NAME}", config().namespace)
    }

    fn trust(client: Client, caches: Caches) -> Trust {
        Trust { client, config: Arc::new(config()), caches: Arc::new(caches), keys: Keys::of_test(), resumed: Resumed::always() }
    }

    #[tokio::test]
    async fn it_is_written_where_it_differs_and_only_there() {
        let (server, client) = ApiServer::start(vec![]).await;
        let trust = trust(client, caches(&[]));
        let wanted = json!({"root": trust.keys.current().root.to_string(), "resolvers": "10.96.0.10:53"});
        let there = json!({"root": "another", "resolvers": "10.96.0.10:53"});
        server.put(&path(), json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": there}));
        trust.look().await.unwrap();
        assert_eq!(server.object(&path())["data"], wanted);
        trust.look().await.unwrap();
        assert_eq!(server.asked(&format!("PATCH {}", path())), 1);
    }

    #[tokio::test]
    async fn without_resolvers_nothing_is_said() {
        let (server, client) = ApiServer::start(vec![]).await;
        trust(client, Caches::default()).look().await.unwrap();
        assert_eq!(server.asked(&path()), 0);
    }
}
