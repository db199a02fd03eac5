//! What a change of the cluster affects: compiles those holdings at once, publishes their documents, and asks the controllers
//! to write the status. Nothing here waits for the API server, so a change reaches the streams as fast as it was seen.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use shekara_crds::DataHolding;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info};

use crate::caches::Caches;
use crate::config::Config;
use crate::controllers::Queues;
use crate::controllers::holding::{compile, dereference};
use crate::documents::{Documents, Published};
use crate::events::{Notice, Notices};
use crate::ledger::Ledger;
use crate::ledger::store::Resumed;
use crate::peers::Peers;
use crate::readiness::Gate;
use crate::watch::{Change, Key, Kind};

/// How many changes are taken together at most.
const BATCH: usize = 4096;

/// Compiles and publishes.
pub(crate) struct Dispatcher {
    pub(crate) config: Arc<Config>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) notices: Notices,
    pub(crate) resumed: Resumed,
}

/// The caches ended, which they never should.
#[derive(Debug, thiserror::Error)]
#[error("no changes come any more")]
pub(crate) struct ChangesEnded;

impl Dispatcher {
    /// Waits for the first complete listing of every kind, then follows the changes.
    pub(crate) async fn run(self, mut changes: mpsc::UnboundedReceiver<Change>, synced: Gate) -> Result<(), ChangesEnded> {
        self.caches.wait_until_synced().await;
        self.everything();
        self.documents.set_complete();
        synced.open();
        info!("every holding is compiled");
        let mut batch = Vec::with_capacity(64);
        while changes.recv_many(&mut batch, BATCH).await > 0 {
            self.take(&batch);
            batch.clear();
        }
        Err(ChangesEnded)
    }

    fn everything(&self) {
        self.peers.everything();
        for (key, _) in self.caches.holdings.all() {
            self.publish(&key);
            self.queues.holdings.push(key);
        }
        for (key, _) in self.caches.recipients.all() {
            self.queues.recipients.push(key);
        }
        for (key, _) in self.caches.standards.all() {
            self.queues.standards.push(key);
        }
        // a standard that cannot be decoded has a stand-in among the others
        self.caches.holdings.all_unreadable().into_iter().for_each(|key| self.queues.holdings.push(key));
        self.caches.recipients.all_unreadable().into_iter().for_each(|key| self.queues.recipients.push(key));
    }

    fn take(&self, batch: &[Change]) {
        // pods, endpoints and nodes change far more often than anything else, and no document depends on them
        let often = |change: &Change| matches!(change.kind, Kind::Pod | Kind::EndpointSlice | Kind::Node);
        let anything_else = !batch.iter().all(often);
        let holdings = if anything_else { self.caches.holdings.all() } else { vec![] };
        let mut compiled = BTreeSet::new();
        let mut visited = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        for change in batch {
            self.peers.changed(change.kind, &change.key);
            compiled.extend(self.depends(change, &holdings));
            match change.kind {
                Kind::Pod => {
                    self.pod(change);
                    namespaces.insert(&change.key.namespace);
                }
                Kind::Recipient => self.queues.recipients.push(change.key.clone()),
                Kind::SovereigntyStandard => self.queues.standards.push(change.key.clone()),
                Kind::DataHolding => drop(visited.insert(change.key.clone())),
                Kind::Namespace | Kind::Service | Kind::EndpointSlice | Kind::Node => {}
            }
        }
        for key in &compiled {
            self.publish(key);
        }
        visited.extend(compiled);
        for namespace in namespaces {
            visited.extend(self.caches.holdings.in_namespace(namespace).into_iter().map(|(key, _)| key));
        }
        for key in visited {
            self.queues.holdings.push(key);
        }
    }

    /// Whether the spec of a holding is the one that was compiled last. A status that is written, by the controllers too, is a
    /// change of the object and none of its document.
    fn is_compiled(&self, key: &Key) -> bool {
        let documents = self.documents.of(&key.namespace);
        let (Some(before), Some(now)) = (documents.get(&key.name), self.caches.holdings.get(key)) else { return false };
        let (before, now) = (&before.holding.metadata, &now.metadata);
        now.generation.is_some() && before.generation == now.generation && before.uid == now.uid
    }

    /// The holdings whose document may be another after the change.
    fn depends(&self, change: &Change, holdings: &[(Key, Arc<DataHolding>)]) -> Vec<Key> {
        let (dns_namespace, dns_name) = &self.config.dns_service;
        let Key { namespace, name } = &change.key;
        let matching = |depends: &dyn Fn(&Key, &DataHolding) -> bool| {
            holdings.iter().filter(|(key, holding)| depends(key, holding)).map(|(key, _)| key.clone()).collect()
        };
        match change.kind {
            Kind::DataHolding if self.is_compiled(&change.key) => vec![],
            Kind::DataHolding => vec![change.key.clone()],
            Kind::Recipient => matching(&|_, holding| holding.spec.transfers.iter().any(|transfer| transfer.recipient == *name)),
            Kind::SovereigntyStandard => matching(&|_, _| true),
            Kind::Namespace => matching(&|key, _| key.namespace == *name),
            Kind::Service if namespace == dns_namespace && name == dns_name => matching(&|_, _| true),
            Kind::Service => matching(&|_, holding| {
                holding.spec.in_cluster.iter().any(|listed| listed.namespace == *namespace && listed.service == *name)
            }),
            Kind::Pod | Kind::EndpointSlice | Kind::Node => vec![],
        }
    }

    fn publish(&self, key: &Key) {
        let published = dereference(&self.caches, &self.config, key).and_then(|subject| {
            let compiled = compile(&subject, Timestamp::now());
            match compiled.document.digest() {
                Ok(digest) => {
                    let (holding, document) = (Arc::clone(&subject.holding), compiled.document);
                    Some(Published { holding, document, digest, since: Instant::now() })
                }
                Err(problem) => {
                    error!(holding = %key, %problem, "no digest: the holding's pods get no document");
                    None
                }
            }
        });
        let digest = published.as_ref().map(|published| published.digest.clone());
        if self.documents.publish(&key.namespace, &key.name, published) {
            info!(holding = %key, digest, "published");
            self.peers.holding_changed(key);
        }
    }

    fn pod(&self, change: &Change) {
        let pod = self.caches.pods.get(&change.key);
        self.documents.pod_changed(&change.key);
        self.ledger.keep_only(&change.key, pod.as_ref().map(|pod| pod.uid.as_str()));
        // every replica sees the pod, and one tells of it
        if let Some(pod) = pod.filter(|pod| change.created && pod.injected && self.resumed.is_so()) {
            self.notices.send(Notice::injected(&pod));
        }
    }
}

#[cfg(test)]
mod tests;
