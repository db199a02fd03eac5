//! What a change of the cluster affects: compiles those holdings at once, publishes their documents, and asks the controllers
//! to write the status. Nothing here waits for the API server, so a change reaches the streams as fast as it was seen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use shekara_crds::draft::is_draft;
use shekara_crds::sovereignty_standard::Collecting;
use shekara_crds::{DATA_ANNOTATION, DataHolding, SovereigntyStandard};
use shekara_policy::Category;
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
use crate::ledger::store::Resumed;
use crate::log_readers::LogReaders;
use crate::peers::Peers;
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
    pub(crate) peers: Arc<Peers>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) log_readers: Arc<LogReaders>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) notices: Notices,
    pub(crate) resumed: Resumed,
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
    #[error("the replica that leads has not signed it yet")]
    NotSigned,
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
        info!(unsigned = self.documents.pending().len(), "every holding is compiled");
        let (mut resumed, mut leads) = (self.resumed.clone(), false);
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
                () = resumed.wait(), if !leads => {
                    leads = true;
                    self.everything();
                }
                key = self.queues.documents.next() => {
                    self.publish(&key);
                    self.queues.documents.done(&key);
                    // visits are rare enough by themselves, and the next one has the status let go of it too
                    self.queues.documents.forget(&key);
                    self.queues.holdings.push(key);
                }
                Ok(()) = keys.changed() => self.sign_again(|_| true),
                _ = round.tick() => self.sign_again(|signed| signer::is_half_over(signed, Timestamp::now())),
            }
        }
    }

    /// Publishes again those whose signed document calls for it, and those that have none yet, and looks at their files.
    fn sign_again(&self, wanted: impl Fn(&SignedDocument) -> bool) {
        for key in self.documents.pending() {
            self.publish(&key);
        }
        for (key, _) in self.caches.holdings.all() {
            let documents = self.documents.of(&key.namespace);
            if documents.get(&key.name).is_some_and(|published| wanted(&published.signed)) {
                self.publish(&key);
                self.queues.files.push(key);
            }
        }
    }

    fn everything(&self) {
        self.peers.everything();
        for (key, pod) in self.caches.pods.all() {
            self.log_readers.note(&key, Some(&pod));
        }
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
        // one that went while the operator was away
        self.ledger.open_holdings().into_iter().for_each(|key| self.queues.holdings.push(key));
        self.caches.recipients.all_unreadable().into_iter().for_each(|key| self.queues.recipients.push(key));
    }

    fn take(&self, batch: &[Change]) {
        // pods, endpoints and nodes change far more often than anything else, and no document depends on them or on files
        let often = |change: &Change| matches!(change.kind, Kind::Pod | Kind::EndpointSlice | Kind::Node | Kind::ConfigMap);
        let anything_else = !batch.iter().all(often);
        let holdings = if anything_else { self.caches.holdings.all() } else { vec![] };
        let mut compiled = BTreeSet::new();
        let mut visited = BTreeSet::new();
        let mut namespaces = BTreeSet::new();
        let mut readers_changed = false;
        for change in batch {
            self.peers.changed(change.kind, &change.key);
            self.drafts(change);
            compiled.extend(self.depends(change, &holdings));
            match change.kind {
                Kind::Pod => {
                    self.pod(change);
                    namespaces.insert(&change.key.namespace);
                    readers_changed |= self.log_readers.note(&change.key, self.caches.pods.get(&change.key).as_deref());
                }
                Kind::Recipient => self.queues.recipients.push(change.key.clone()),
                Kind::SovereigntyStandard => self.queues.standards.push(change.key.clone()),
                Kind::DataHolding => drop(visited.insert(change.key.clone())),
                // somebody wrote there, perhaps not the operator
                Kind::ConfigMap => self.file(&change.key, &mut compiled),
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
        if readers_changed && self.looks_for_collectors() {
            // what the pods of any of them print may be read
            visited.extend(self.caches.holdings.keys());
        }
        for key in visited {
            self.queues.holdings.push(key);
        }
    }

    /// Whether any standard has it reported who collects logs.
    fn looks_for_collectors(&self) -> bool {
        let listed =
            |standard: &SovereigntyStandard| standard.spec.logs.as_ref().is_some_and(|logs| logs.mode == Collecting::Reported);
        self.caches.standards.all().iter().any(|(_, standard)| listed(standard))
    }

    /// Asks for a look at the namespace where a draft may be missing now: somebody says what a pod holds, or whoever claimed it may
    /// not do so any more.
    fn drafts(&self, change: &Change) {
        match change.kind {
            Kind::Pod => {
                let pod = self.caches.pods.get(&change.key);
                if pod.is_some_and(|pod| pod.annotations.contains_key(DATA_ANNOTATION)) {
                    self.queues.drafts.push(change.key.namespace.clone());
                }
            }
            // a status says nothing of whom a holding claims
            Kind::DataHolding if self.is_compiled(&change.key) => {}
            Kind::DataHolding => self.queues.drafts.push(change.key.namespace.clone()),
            Kind::Namespace => self.queues.drafts.push(change.key.name.clone()),
            _ => {}
        }
    }

    /// A file of a holding has changed: what the replica that leads has signed is taken by the others, and what somebody else has
    /// put there is put right by it.
    fn file(&self, file: &Key, compiled: &mut BTreeSet<Key>) {
        let Some(holding) = holding_of(&self.caches, file) else { return };
        if self.resumed.is_so() {
            self.queues.files.push(holding);
        } else {
            compiled.insert(holding);
        }
    }

    /// Whether the spec of a holding is the one that was compiled last. A status that is written, by the controllers too, is a
    /// change of the object and none of its document. A draft that is declared, by its label alone, is for more pods from then on.
    fn is_compiled(&self, key: &Key) -> bool {
        let documents = self.documents.of(&key.namespace);
        let (Some(before), Some(now)) = (documents.get(&key.name), self.caches.holdings.get(key)) else { return false };
        let draft = is_draft(&before.holding) == is_draft(&now);
        let (before, now) = (&before.holding.metadata, &now.metadata);
        draft && now.generation.is_some() && before.generation == now.generation && before.uid == now.uid
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
            Kind::Pod | Kind::EndpointSlice | Kind::Node | Kind::ConfigMap => vec![],
        }
    }

    /// Publishes the document of a holding, or that there is none. What the replica that leads has yet to sign stays as it is.
    fn publish(&self, key: &Key) {
        let subject = dereference(&self.caches, &self.config, key);
        if subject.is_none() {
            self.signer.forget(key);
        }
        let published = match subject.map(|subject| self.sign(key, subject)).transpose() {
            Ok(published) => published,
            Err(PublishError::NotSigned) => {
                self.documents.set_pending(key, true);
                return;
            }
            Err(problem) => {
                error!(holding = %key, %problem, "no document: nothing leaves the holding's pods");
                None
            }
        };
        let (digest, serial) = published.as_ref().map(|published| (published.digest.clone(), published.signed.serial)).unzip();
        if self.documents.publish(&key.namespace, &key.name, published) {
            info!(holding = %key, digest, serial, "published");
            self.peers.holding_changed(key);
            self.queues.files.push(key.clone());
        }
        self.documents.set_pending(key, false);
    }

    /// Compiles and signs; a replica that does not lead gives on what the one that does has signed.
    fn sign(&self, key: &Key, subject: Subject) -> Result<Published, PublishError> {
        let now = Timestamp::now();
        if !self.resumed.is_so() {
            let uid = subject.holding.metadata.uid.as_deref().unwrap_or_default();
            let (signed, document) = self.signer.given(key, &subject.namespace.1, uid, now).ok_or(PublishError::NotSigned)?;
            let (holding, digest) = (Arc::clone(&subject.holding), signed.digest());
            return Ok(Published { holding, document, digest, signed, since: Instant::now() });
        }
        let documented = self.documented(key, &subject);
        let subject = subject.counting(&documented, &self.caches, now);
        let compiled = compile(&subject, now);
        let (document, lasts) = (compiled.document, compiled.max_staleness.unwrap_or(signer::LASTS));
        let digest = document.digest()?;
        let wish = Wish { namespace_uid: &subject.namespace.1, document: &document, digest: &digest, lasts };
        let signed = self.signer.sign(key, &wish, now)?;
        Ok(Published { holding: Arc::clone(&subject.holding), document, digest, signed, since: Instant::now() })
    }

    /// What the last document of a holding counts: the one that is published, or after a start the one that lies beside the holding.
    fn documented(&self, key: &Key, subject: &Subject) -> BTreeSet<Category> {
        let uid = subject.holding.metadata.uid.as_deref().unwrap_or_default();
        let published = self.documents.of(&key.namespace).get(&key.name).cloned();
        if let Some(published) = published.filter(|published| published.document.holding.uid == uid) {
            return published.document.data.clone();
        }
        self.signer.last(key, &subject.namespace.1, uid).map(|document| document.data).unwrap_or_default()
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
