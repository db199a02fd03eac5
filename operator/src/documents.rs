//! The policy documents of the present, by namespace: written by the dispatcher, watched by the streams.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use shekara_crds::draft::is_draft;
use shekara_crds::{DataHolding, narrowing};
use shekara_policy::PolicyDocument;
use shekara_policy::signed::SignedDocument;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::watch::Key;

/// The documents of a namespace by the name of their holding.
pub(crate) type NamespaceDocuments = BTreeMap<String, Arc<Published>>;

/// A document, its digest, and the holding that it was compiled from, which says which pods it is for.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) holding: Arc<DataHolding>,
    pub(crate) document: PolicyDocument,
    pub(crate) digest: String,
    /// The document as it is handed out.
    pub(crate) signed: Arc<SignedDocument>,
    /// Since when there is this document.
    pub(crate) since: Instant,
}

impl Published {
    /// Whether another one is the same document for the same pods, which may be sent the same.
    fn same(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.signed == other.signed
            && self.holding.spec.workload_selector == other.holding.spec.workload_selector
            && is_draft(&self.holding) == is_draft(&other.holding)
            && narrowing::named(&self.holding) == narrowing::named(&other.holding)
    }
}

/// All documents. Each namespace has a channel of its own, so that a change wakes the streams that it may concern alone.
pub(crate) struct Documents {
    namespaces: Mutex<HashMap<String, watch::Sender<Arc<NamespaceDocuments>>>>,
    /// Those that a stream follows, so that a change of a pod wakes its own streams alone.
    pods: Mutex<HashMap<Key, watch::Sender<()>>>,
    complete: watch::Sender<bool>,
    /// Holdings that are there and whose document the replica that leads has yet to sign.
    pending: Mutex<BTreeSet<Key>>,
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            namespaces: Mutex::default(),
            pods: Mutex::default(),
            complete: watch::Sender::new(false),
            pending: Mutex::default(),
        }
    }
}

impl Documents {
    /// Waits until every holding has been compiled once. Before that nothing may be served: a missing document would read as a
    /// holding that is gone.
    pub(crate) async fn wait_until_complete(&self) {
        // fails only when the sender is gone, and the sender is in self
        self.complete.subscribe().wait_for(|complete| *complete).await.ok();
    }

    /// Says that every holding has been compiled once.
    pub(crate) fn set_complete(&self) {
        self.complete.send_replace(true);
    }

    /// The documents of a namespace, now and from now on.
    pub(crate) fn subscribe(&self, namespace: &str) -> watch::Receiver<Arc<NamespaceDocuments>> {
        let mut namespaces = self.namespaces.lock();
        namespaces.entry(namespace.to_owned()).or_default().subscribe()
    }

    /// The documents of a namespace at present.
    pub(crate) fn of(&self, namespace: &str) -> Arc<NamespaceDocuments> {
        let namespaces = self.namespaces.lock();
        namespaces.get(namespace).map(|sender| Arc::clone(&sender.borrow())).unwrap_or_default()
    }

    /// Says whether a document is yet to be signed, and wakes those that wait for it to be.
    pub(crate) fn set_pending(&self, holding: &Key, pending: bool) {
        let mut all = self.pending.lock();
        let changed = if pending { all.insert(holding.clone()) } else { all.remove(holding) };
        drop(all);
        let namespaces = self.namespaces.lock();
        if let Some(sender) = namespaces.get(&holding.namespace).filter(|_| changed) {
            sender.send_modify(|_| {});
        }
    }

    /// Whether a document is yet to be signed.
    pub(crate) fn is_pending(&self, holding: &Key) -> bool {
        self.pending.lock().contains(holding)
    }

    /// Every holding whose document is yet to be signed.
    pub(crate) fn pending(&self) -> BTreeSet<Key> {
        self.pending.lock().clone()
    }

    /// Follows the changes of a pod; none where as many as the limit do so already.
    pub(crate) fn follow_pod(&self, pod: &Key, limit: usize) -> Option<watch::Receiver<()>> {
        let mut pods = self.pods.lock();
        let sender = pods.entry(pod.clone()).or_default();
        (sender.receiver_count() < limit).then(|| sender.subscribe())
    }

    /// Says that a pod has changed or is gone.
    pub(crate) fn pod_changed(&self, pod: &Key) {
        let mut pods = self.pods.lock();
        if pods.get(pod).is_some_and(|sender| sender.send(()).is_err()) {
            // nobody follows it any more
            pods.remove(pod);
        }
    }

    /// Publishes the document of a holding, or that there is none. Says whether that was a change.
    pub(crate) fn publish(&self, namespace: &str, name: &str, document: Option<Published>) -> bool {
        let mut namespaces = self.namespaces.lock();
        let sender = namespaces.entry(namespace.to_owned()).or_default();
        let changed = sender.send_if_modified(|documents| {
            let same = match (documents.get(name), &document) {
                (Some(before), Some(now)) => before.same(now),
                (None, None) => true,
                _ => false,
            };
            let documents = Arc::make_mut(documents);
            match document {
                // nobody is woken, and the holding is known as it was compiled last
                Some(document) if same => {
                    if let Some(before) = documents.get_mut(name) {
                        let since = before.since;
                        *before = Arc::new(Published { since, ..document });
                    }
                }
                Some(document) => drop(documents.insert(name.to_owned(), Arc::new(document))),
                None => drop(documents.remove(name)),
            }
            !same
        });
        if sender.receiver_count() == 0 && sender.borrow().is_empty() {
            namespaces.remove(namespace);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(digest: &str) -> Published {
        crate::fixtures::published("h", "a", digest)
    }

    #[test]
    fn another_selector_is_a_change_although_the_document_is_the_same() {
        let documents = Documents::default();
        let _follower = documents.subscribe("n");
        documents.publish("n", "h", Some(published("1")));
        let mut wider = published("1");
        Arc::make_mut(&mut wider.holding).spec.workload_selector.match_labels.clear();
        assert!(documents.publish("n", "h", Some(wider)));
        assert!(documents.of("n")["h"].holding.spec.workload_selector.match_labels.is_empty());
        // what was taken away is still counted by the document
        let mut less = published("1");
        let holding = Arc::make_mut(&mut less.holding);
        holding.spec.workload_selector.match_labels.clear();
        holding.spec.data.clear();
        assert!(documents.publish("n", "h", Some(less)));
    }

    #[test]
    fn a_pod_has_so_many_followers_and_no_more() {
        let documents = Documents::default();
        let pod = Key::new("n", "p");
        let mut first = documents.follow_pod(&pod, 2).unwrap();
        let second = documents.follow_pod(&pod, 2).unwrap();
        assert!(documents.follow_pod(&pod, 2).is_none());
        documents.pod_changed(&Key::new("n", "other"));
        assert!(!first.has_changed().unwrap());
        documents.pod_changed(&pod);
        assert!(first.has_changed().unwrap());
        first.mark_unchanged();
        drop((first, second));
        documents.pod_changed(&pod);
        assert!(documents.pods.lock().is_empty());
    }

    #[test]
    fn a_change_wakes_its_own_namespace_alone_and_an_equal_document_nobody() {
        let documents = Documents::default();
        let (mut here, mut elsewhere) = (documents.subscribe("here"), documents.subscribe("elsewhere"));
        here.mark_unchanged();
        elsewhere.mark_unchanged();
        assert!(documents.publish("here", "h", Some(published("1"))));
        assert!(here.has_changed().unwrap() && !elsewhere.has_changed().unwrap());
        assert_eq!(here.borrow_and_update()["h"].digest, "1");
        assert!(!documents.publish("here", "h", Some(published("1"))));
        assert!(!here.has_changed().unwrap());
        assert!(documents.publish("here", "h", None));
        assert!(here.borrow_and_update().is_empty());
    }
}
