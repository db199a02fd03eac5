//! The events of one pod: its documents at once, and again whenever they are others.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use prometheus::IntGauge;
use shekara_policy::exchange::PolicyEvent;
use shekara_policy::signed::SignedDocument;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::PolicyApi;
use super::lines::{Lines, until_told};
use crate::caches::Caches;
use crate::documents::{Documents, NamespaceDocuments, Published};
use crate::keys::Keyring;
use crate::watch::{Key, PodSummary};

/// The holdings of a pod, each with its document where there is one: those that admission put it into, and those that claim it
/// now. A draft is for the pods alone that were put into it, and for those that nobody covers.
pub(crate) fn holdings(pod: &PodSummary, documents: &NamespaceDocuments) -> BTreeMap<String, Option<Arc<Published>>> {
    let stamped = pod.holdings.iter().map(|name| (name.clone(), documents.get(name).cloned()));
    let claims = documents.iter().filter(|(_, published)| pod.is_claimed_by(&published.holding));
    stamped.chain(claims.map(|(name, published)| (name.clone(), Some(Arc::clone(published))))).collect()
}

/// The documents of a pod; empty where it is in no holding, or where one of its holdings has no document: then nothing leaves.
/// None where one is yet to be signed: nothing is known then, and nothing said.
fn documents(pod: &PodSummary, present: &NamespaceDocuments, pending: impl Fn(&Key) -> bool) -> Option<Vec<Arc<Published>>> {
    let all = holdings(pod, present);
    if all.iter().any(|(name, published)| published.is_none() && pending(&Key::new(&*pod.namespace, &**name))) {
        return None;
    }
    Some(all.into_values().collect::<Option<Vec<_>>>().unwrap_or_default())
}

/// A stream that is open.
pub(super) struct Stream {
    caches: Arc<Caches>,
    documents: Arc<Documents>,
    interval: u32,
    stop: CancellationToken,
    key: Key,
    uid: String,
    namespace: watch::Receiver<Arc<NamespaceDocuments>>,
    pod: watch::Receiver<()>,
    keys: watch::Receiver<Arc<Keyring>>,
    /// The version of the key set and the documents that were sent last.
    sent: Option<(u64, Vec<Arc<SignedDocument>>)>,
    _counted: Counted,
}

/// Counts an open stream.
struct Counted(IntGauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Stream {
    pub(super) fn new(api: &PolicyApi, key: Key, uid: String, pod: watch::Receiver<()>) -> Self {
        api.metrics.streams.inc();
        Self {
            caches: Arc::clone(&api.caches),
            documents: Arc::clone(&api.documents),
            interval: api.interval,
            stop: api.stop.clone(),
            namespace: api.documents.subscribe(&key.namespace),
            key,
            uid,
            pod,
            keys: api.keys.subscribe(),
            sent: None,
            _counted: Counted(api.metrics.streams.clone()),
        }
    }

    /// The events, a line each, until the pod is gone or the operator is told to stop.
    pub(super) fn into_events(self) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
        let stop = self.stop.clone();
        until_told(self, stop)
    }
}

impl Lines for Stream {
    async fn line(&mut self) -> Option<Bytes> {
        self.documents.wait_until_complete().await;
        loop {
            // all are marked as seen before they are looked at, so that no change falls between
            self.pod.borrow_and_update();
            let keyring = Arc::clone(&self.keys.borrow_and_update());
            let present = Arc::clone(&self.namespace.borrow_and_update());
            let pod = self.caches.pods.get(&self.key).filter(|pod| pod.uid == self.uid)?;
            let documents = documents(&pod, &present, |holding| self.documents.is_pending(holding));
            let signed = |documents: Vec<Arc<Published>>| documents.iter().map(|one| Arc::clone(&one.signed)).collect();
            let next = documents.map(|documents| (keyring.version, signed(documents)));
            if let Some(next) = next.filter(|next| self.sent.as_ref() != Some(next)) {
                let serials: Vec<u64> = next.1.iter().map(|signed| signed.serial).collect();
                debug!(pod = %self.key, key_set = next.0, ?serials, "documents are sent");
                let line = self.write(&keyring, &next.1)?;
                self.sent = Some(next);
                return Some(line);
            }
            tokio::select! {
                changed = self.namespace.changed() => changed.ok()?,
                changed = self.pod.changed() => changed.ok()?,
                changed = self.keys.changed() => changed.ok()?,
            }
        }
    }
}

impl Stream {
    fn write(&self, keyring: &Keyring, documents: &[Arc<SignedDocument>]) -> Option<Bytes> {
        let documents = documents.iter().map(|signed| (**signed).clone()).collect();
        let event = PolicyEvent { keys: keyring.signed.clone(), documents, checkpoint_interval: self.interval };
        match serde_json::to_vec(&event) {
            Ok(mut line) => {
                line.push(b'\n');
                Some(line.into())
            }
            Err(problem) => {
                error!(pod = %self.key, %problem, "documents cannot be written, so the stream ends");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
