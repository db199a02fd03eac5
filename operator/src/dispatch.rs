//! What a change of the cluster affects: compiles those holdings at once, publishes their documents, and asks the controllers
//! to write the status. Nothing here waits for the API server, so a change reaches the streams as fast as it was seen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shekara_crds::DataHolding;
use shekara_policy::document::DocumentError;
use shekara_policy::signed::{SignError, SignedDocument};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{error, info};

use crate::caches::Caches;
use crate::config::Config;
use crate::controllers::Queues;
use crate::controllers::holding::{Subject, compile, dereference};
use crate::documents::{Documents, Published};
use crate::events::{Notice, Notices};
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::policy_files::holding_of;
use crate::readiness::Gate;
use crate::signer::{self, Signer, Wish};
use crate::watch::{Change, Key, Kind};

/// How many changes are taken together at most.
const BATCH: usize = 4096;

/// Compiles and publishes.
pub(crate) struct Dispatcher {
    pub(crate) config: Arc<Config>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) notices: Notices,
}

/// How often documents are looked at whose time is running.
const ROUND: Duration = Duration::from_secs(60);

/// A document that cannot be published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Digest(#[from] DocumentError),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// The caches ended, which they never should.
#[derive(Debug, thiserror::Error)]
#[error("no changes come any more")]
pub(crate) struct ChangesEnded;

impl Dispatcher {
    /// Waits for the first complete listing of every kind, then follows the changes.
    pub(crate) async fn run(self, mut changes: mpsc::UnboundedReceiver<Change>, synced: Gate) -> Result<(), ChangesEnded> {
        self.caches.wait_until_synced().await;
        self.keys.outlive(self.signer.newest_key_set());
        let mut keys = self.keys.subscribe();
        keys.borrow_and_update();
        self.everything();
        self.documents.set_complete();
        synced.open();
        info!("every holding is compiled");
        let mut batch = Vec::with_capacity(64);
        let mut round = tokio::time::interval(ROUND);
        loop {
            tokio::select! {
                taken = changes.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return Err(ChangesEnded);
                    }
                    self.take(&batch);
                    batch.clear();
                }
                Ok(()) = keys.changed() => self.sign_again(|_| true),
                _ = round.tick() => self.sign_again(|signed| signer::is_half_over(signed, Timestamp::now())),
            }
        }
    }

    /// Publishes again those whose signed document calls for it, and looks at their files.
    fn sign_again(&self, wanted: impl Fn(&SignedDocument) -> bool) {
        for (key, _) in self.caches.holdings.all() {
            let documents = self.documents.of(&key.namespace);
            if documents.get(&key.name).is_some_and(|published| wanted(&published.signed)) {
                self.publish(&key);
                self.queues.files.push(key);
            }
        }
    }

    fn everything(&self) {
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
    }

    fn take(&self, batch: &[Change]) {
        // pods change far more often than anything else, and no document depends on them or on files
        let anything_else = batch.iter().any(|change| !matches!(change.kind, Kind::Pod | Kind::ConfigMap));
        let holdings = if anything_else { self.caches.holdings.all() } else { vec![] };
        let mut compiled = BTreeSet::new();
        let mut visited = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        for change in batch {
            compiled.extend(self.depends(change, &holdings));
            match change.kind {
                Kind::Pod => {
                    self.pod(change);
                    namespaces.insert(&change.key.namespace);
                }
                Kind::Recipient => self.queues.recipients.push(change.key.clone()),
                Kind::SovereigntyStandard => self.queues.standards.push(change.key.clone()),
                Kind::DataHolding => drop(visited.insert(change.key.clone())),
                // somebody wrote there, perhaps not the operator
                Kind::ConfigMap => holding_of(&self.caches, &change.key).into_iter().for_each(|key| self.queues.files.push(key)),
                Kind::Namespace | Kind::Service => {}
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
            Kind::Pod | Kind::ConfigMap => vec![],
        }
    }

    fn publish(&self, key: &Key) {
        let subject = dereference(&self.caches, &self.config, key);
        if subject.is_none() {
            self.signer.forget(key);
        }
        let published = subject.and_then(|subject| match self.sign(key, &subject) {
            Ok(published) => Some(published),
            Err(problem) => {
                error!(holding = %key, %problem, "no document: nothing leaves the holding's pods");
                None
            }
        });
        let (digest, serial) = published.as_ref().map(|published| (published.digest.clone(), published.signed.serial)).unzip();
        if self.documents.publish(&key.namespace, &key.name, published) {
            info!(holding = %key, digest, serial, "published");
            self.queues.files.push(key.clone());
        }
    }

    /// Compiles and signs.
    fn sign(&self, key: &Key, subject: &Subject) -> Result<Published, PublishError> {
        let now = Timestamp::now();
        let document = compile(subject, now).document;
        let digest = document.digest()?;
        let wish = Wish { namespace_uid: &subject.namespace.1, document: &document, digest: &digest, lasts: signer::LASTS };
        let signed = self.signer.sign(key, &wish, now)?;
        Ok(Published { holding: Arc::clone(&subject.holding), document, digest, signed, since: Instant::now() })
    }

    fn pod(&self, change: &Change) {
        let pod = self.caches.pods.get(&change.key);
        self.documents.pod_changed(&change.key);
        self.ledger.keep_only(&change.key, pod.as_ref().map(|pod| pod.uid.as_str()));
        if let Some(pod) = pod.filter(|pod| change.created && pod.injected) {
            self.notices.send(Notice::injected(&pod));
        }
    }
}

#[cfg(test)]
mod tests;
