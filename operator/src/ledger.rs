//! What the sidecars say they did: the newest checkpoint of each pod, and the sums of starts and pods that have ended. Nothing
//! is counted twice: the numbers of a start only grow and replace each other, and are added to a sum once, when the start or the
//! pod has ended.
//!
//! The replica that leads keeps it, and writes it into a ConfigMap for each namespace, so that the next one goes on from there.

mod counts;
mod inventory;
mod registrations;
pub(crate) mod store;
mod totals;

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use shekara_policy::Reason;
use shekara_policy::exchange::{Checkpoint, FilterProof, Registration, Standing};

pub(crate) use inventory::{Closing, Gone};
pub(crate) use registrations::Registering;
pub(crate) use totals::{Counted, Shared, Totals};

use crate::watch::{Key, PodSummary};
use inventory::{Closed, Open};
use registrations::Registrations;

/// The checkpoints of every pod.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The keys that they are signed with.
    registrations: Registrations,
    /// The holdings that are no more.
    pub(crate) closed: Closed,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<Key, Entry>,
    /// What pods that are gone had counted, by holding.
    ended: BTreeMap<Key, Totals>,
    /// The holdings that are not closed yet.
    holdings: BTreeMap<Key, Open>,
    /// The namespaces of which something has changed since it was last asked.
    changed: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    uid: String,
    holdings: BTreeSet<String>,
    newest: Checkpoint,
    /// Whether the sidecar has said it to this operator, and not only to one before it.
    heard: bool,
    /// What earlier starts of the sidecar in this pod had counted.
    earlier: Totals,
}

/// What a sidecar said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The digests of the documents that it enforces.
    pub(crate) documents: Vec<String>,
    /// How sure it is of them.
    pub(crate) standing: Standing,
    /// Why it refused what it was given last.
    pub(crate) refused: Option<Reason>,
    /// What the last proofs of its packet filter have shown.
    pub(crate) filter: FilterProof,
}

impl Heard {
    /// Whether it enforces the document with this digest.
    pub(crate) fn enforces(&self, digest: &str) -> bool {
        self.documents.iter().any(|enforced| enforced == digest)
    }
}

/// What became of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is the newest.
    Accepted,
    /// A newer one is known, or the pod is gone.
    Old,
}

impl Ledger {
    /// Takes the key of a start of a pod's sidecar, if it is the first of that start.
    pub(crate) fn register(&self, pod: &PodSummary, registration: &Registration) -> Registering {
        let became = self.registrations.register(pod, registration);
        if became == Registering::Accepted {
            self.state.lock().changed.insert(pod.namespace.clone());
        }
        became
    }

    /// The key that counts for a pod.
    pub(crate) fn registered(&self, pod: &PodSummary) -> Option<Registration> {
        self.registrations.of(pod)
    }

    /// Takes a checkpoint of a pod. `present` says whether the pod is still there; it is asked while nothing else can be
    /// recorded, so that a pod that goes at the same time is not counted again after its end.
    pub(crate) fn record(&self, pod: &PodSummary, checkpoint: Checkpoint, present: impl FnOnce() -> bool) -> Recorded {
        let key = Key::new(&*pod.namespace, &*pod.name);
        let mut state = self.state.lock();
        if !present() {
            return Recorded::Old;
        }
        if state.pods.get(&key).is_some_and(|entry| entry.uid != pod.uid) {
            state.end(&key);
        }
        let Some(entry) = state.pods.get_mut(&key) else {
            let (uid, holdings) = (pod.uid.clone(), pod.holdings.clone());
            state.changed.insert(pod.namespace.clone());
            state.pods.insert(key, Entry { uid, holdings, newest: checkpoint, heard: true, earlier: Totals::default() });
            return Recorded::Accepted;
        };
        let newer = if entry.newest.instance == checkpoint.instance {
            checkpoint.sequence > entry.newest.sequence
        } else {
            // of the start that registered last; when it began is no measure, for a node's clock may have been set back since
            self.registrations.of(pod).is_none_or(|registered| registered.instance == checkpoint.instance)
        };
        if !newer {
            return Recorded::Old;
        }
        let another = entry.newest.instance != checkpoint.instance;
        if another {
            entry.earlier.add_checkpoint(&entry.newest);
        }
        let counted = |of: &Checkpoint| (of.totals.clone(), of.datagrams_denied);
        let changed = another || counted(&entry.newest) != counted(&checkpoint);
        entry.newest = checkpoint;
        entry.heard = true;
        if changed {
            state.changed.insert(pod.namespace.clone());
        }
        Recorded::Accepted
    }

    /// Says which pod now has a name, if any: another one that had it has ended.
    pub(crate) fn keep_only(&self, pod: &Key, uid: Option<&str>) {
        let forgotten = self.registrations.keep_only(pod, uid);
        let mut state = self.state.lock();
        if forgotten {
            state.changed.insert(pod.namespace.clone());
        }
        if state.pods.get(pod).is_some_and(|entry| Some(entry.uid.as_str()) != uid) {
            state.end(pod);
        }
    }

    /// Forgets the sums of a holding that is gone.
    pub(crate) fn forget(&self, holding: &Key) {
        self.state.lock().forget(holding);
    }

    /// What the sidecar of a pod said last; absent before its first checkpoint.
    pub(crate) fn heard(&self, pod: &PodSummary) -> Option<Heard> {
        let state = self.state.lock();
        let entry = state.pods.get(&Key::new(&*pod.namespace, &*pod.name)).filter(|entry| entry.uid == pod.uid && entry.heard)?;
        let Checkpoint { documents, standing, refused, filter, .. } = &entry.newest;
        Some(Heard { documents: documents.clone(), standing: *standing, refused: *refused, filter: *filter })
    }

    /// What all pods of a holding have counted.
    pub(crate) fn totals(&self, holding: &Key) -> Totals {
        self.state.lock().totals(holding)
    }
}

impl State {
    fn forget(&mut self, holding: &Key) {
        let Self { pods, ended, changed, .. } = self;
        if ended.remove(holding).is_some() {
            changed.insert(holding.namespace.clone());
        }
        // what its pods count from now on is nobody's, also if another holding gets the name
        let first = Key::new(&*holding.namespace, "");
        for (_, entry) in pods.range_mut(first..).take_while(|(key, _)| key.namespace == holding.namespace) {
            if entry.holdings.remove(&holding.name) {
                changed.insert(holding.namespace.clone());
            }
        }
    }

    fn totals(&self, holding: &Key) -> Totals {
        let mut totals = self.ended.get(holding).cloned().unwrap_or_default();
        let first = Key::new(&*holding.namespace, "");
        for (_, entry) in self.pods.range(first..).take_while(|(key, _)| key.namespace == holding.namespace) {
            if entry.holdings.contains(&holding.name) {
                totals.add(&entry.earlier);
                totals.add_checkpoint(&entry.newest);
            }
        }
        totals
    }

    fn end(&mut self, pod: &Key) {
        let Some(entry) = self.pods.remove(pod) else { return };
        self.changed.insert(pod.namespace.clone());
        for holding in &entry.holdings {
            let sum = self.ended.entry(Key::new(&*pod.namespace, holding)).or_default();
            sum.add(&entry.earlier);
            sum.add_checkpoint(&entry.newest);
        }
    }
}

#[cfg(test)]
mod tests;
