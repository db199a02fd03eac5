//! Guarded caches: what the API server says of one kind, kept up to date. One object that cannot be decoded stalls nothing: it
//! is left out, named in the log and counted.

mod network;
mod objects;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::Resource;
use kube::api::Api;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher::watcher};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

pub(crate) use shekara_crds::Key;

pub(crate) use objects::{NamespaceLabels, Owner, PodSummary, Proof};

use crate::metrics::Metrics;

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    DataHolding,
    Recipient,
    SovereigntyStandard,
    Namespace,
    Service,
    EndpointSlice,
    Node,
    Pod,
    ConfigMap,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DataHolding => "DataHolding",
            Self::Recipient => "Recipient",
            Self::SovereigntyStandard => "SovereigntyStandard",
            Self::Namespace => "Namespace",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::ConfigMap => "ConfigMap",
        }
    }
}

/// What is kept of an object.
pub(crate) trait Cached: PartialEq + Send + Sync + Sized + 'static {
    /// The object as the API server gives it.
    type Object: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static;
    /// Its kind.
    const KIND: Kind;
    /// Which of them are watched, as a selector of labels; all where it is absent.
    const SELECTOR: Option<&str> = None;

    /// Keeps what is needed.
    fn keep(object: Self::Object) -> Self;

    /// What stands in for an object that cannot be decoded, where leaving it out would allow more.
    fn stand_in(_name: &str) -> Option<Self> {
        None
    }
}

/// A change of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) key: Key,
    /// Whether the object was not there before and came while the cache was up to date: it is new in the cluster, not to us.
    pub(crate) created: bool,
}

/// Objects of one kind. Reading never waits for the API server.
pub(crate) struct Cache<V> {
    state: RwLock<State<V>>,
    synced: watch::Sender<bool>,
    /// Tells those who wait for an object that something changed.
    changed: watch::Sender<()>,
}

struct State<V> {
    objects: BTreeMap<Key, Arc<V>>,
    unreadable: BTreeMap<Key, String>,
    /// The listing that is under way.
    listing: BTreeMap<Key, Result<Arc<V>, String>>,
}

impl<V: Cached> Default for Cache<V> {
    fn default() -> Self {
        let state = State { objects: BTreeMap::new(), unreadable: BTreeMap::new(), listing: BTreeMap::new() };
        Self { state: RwLock::new(state), synced: watch::Sender::new(false), changed: watch::Sender::new(()) }
    }
}

impl<V: Cached> Cache<V> {
    /// The object of this name.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<V>> {
        self.read(|state| state.objects.get(key).cloned())
    }

    /// Every object.
    pub(crate) fn all(&self) -> Vec<(Key, Arc<V>)> {
        self.read(|state| state.objects.iter().map(|(key, object)| (key.clone(), Arc::clone(object))).collect())
    }

    /// Why an object cannot be decoded, if that is so.
    pub(crate) fn unreadable(&self, key: &Key) -> Option<String> {
        self.read(|state| state.unreadable.get(key).cloned())
    }

    /// Every object that cannot be decoded.
    pub(crate) fn all_unreadable(&self) -> Vec<Key> {
        self.read(|state| state.unreadable.keys().cloned().collect())
    }

    /// The name of every object.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.read(|state| state.objects.keys().cloned().collect())
    }

    /// Every object of a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<(Key, Arc<V>)> {
        let first = Key::new(namespace, "");
        self.read(|state| {
            let objects = state.objects.range(first..).take_while(|(key, _)| key.namespace == namespace);
            objects.map(|(key, object)| (key.clone(), Arc::clone(object))).collect()
        })
    }

    /// The object of this name as soon as it is there and as wished; none where that is not so in time.
    pub(crate) async fn wait_for(&self, key: &Key, wish: impl Fn(&V) -> bool, limit: Duration) -> Option<Arc<V>> {
        let mut changed = self.changed.subscribe();
        let found = async {
            loop {
                if let Some(object) = self.get(key).filter(|object| wish(object)) {
                    return Some(object);
                }
                changed.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, found).await.ok().flatten()
    }

    /// Tells whenever something has changed.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Whether the first listing is complete.
    pub(crate) fn is_synced(&self) -> bool {
        *self.synced.borrow()
    }

    /// Waits until the first listing is complete.
    pub(crate) async fn wait_until_synced(&self) {
        // fails only when the sender is gone, and the sender is in self
        self.synced.subscribe().wait_for(|synced| *synced).await.ok();
    }

    fn read<T>(&self, reader: impl FnOnce(&State<V>) -> T) -> T {
        reader(&self.state.read())
    }

    /// Takes an event of the watch and says what changed by it.
    pub(crate) fn take(&self, event: Event<DeserializeGuard<V::Object>>) -> Vec<Change> {
        let changes = self.update(event);
        if !changes.is_empty() {
            self.changed.send_replace(());
        }
        changes
    }

    fn update(&self, event: Event<DeserializeGuard<V::Object>>) -> Vec<Change> {
        let mut state = self.state.write();
        let state = &mut *state;
        match event {
            Event::Init => {
                state.listing.clear();
                vec![]
            }
            Event::InitApply(object) => {
                let (key, object) = decode::<V>(object);
                state.listing.insert(key, object);
                vec![]
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut state.listing);
                let gone: Vec<Key> = state.objects.keys().filter(|key| !listing.contains_key(*key)).cloned().collect();
                state.unreadable.clear();
                let was_synced = *self.synced.borrow();
                let mut changes: Vec<Change> = gone.into_iter().filter_map(|key| state.remove(key)).collect();
                changes.extend(listing.into_iter().filter_map(|(key, object)| state.set(key, object, was_synced)));
                self.synced.send_replace(true);
                changes
            }
            Event::Apply(object) => {
                let (key, object) = decode::<V>(object);
                state.set(key, object, true).into_iter().collect()
            }
            Event::Delete(object) => {
                let key = Key::of(&object);
                let was_unreadable = state.unreadable.remove(&key).is_some();
                let change = Change { kind: V::KIND, key: key.clone(), created: false };
                state.remove(key).or(was_unreadable.then_some(change)).into_iter().collect()
            }
        }
    }
}

impl<V: Cached> State<V> {
    fn set(&mut self, key: Key, object: Result<Arc<V>, String>, live: bool) -> Option<Change> {
        let object = match object {
            Ok(object) => {
                self.unreadable.remove(&key);
                object
            }
            Err(problem) => {
                let news = self.unreadable.insert(key.clone(), problem.clone()).is_none_or(|before| before != problem);
                let change = Change { kind: V::KIND, key: key.clone(), created: false };
                let Some(object) = V::stand_in(&key.name) else { return self.remove(key).or(news.then_some(change)) };
                if news {
                    self.objects.insert(key, Arc::new(object));
                    return Some(change);
                }
                Arc::new(object)
            }
        };
        let before = self.objects.insert(key.clone(), Arc::clone(&object));
        let created = before.is_none() && live;
        before.is_none_or(|before| before != object).then_some(Change { kind: V::KIND, key, created })
    }

    fn remove(&mut self, key: Key) -> Option<Change> {
        self.objects.remove(&key)?;
        Some(Change { kind: V::KIND, key, created: false })
    }
}

fn decode<V: Cached>(object: DeserializeGuard<V::Object>) -> (Key, Result<Arc<V>, String>) {
    let key = Key::of(&object);
    let object = object.0.map(|object| Arc::new(V::keep(object))).map_err(|invalid| {
        warn!(kind = V::KIND.as_str(), %key, problem = invalid.error, "an object cannot be decoded");
        invalid.error
    });
    (key, object)
}

/// A watch that ended, which it never should.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {0} ended")]
pub(crate) struct WatchEnded(&'static str);

/// Keeps a cache up to date. Watches that break off are begun again with growing pauses.
///
/// # Errors
/// When the watch or the receiver of the changes ends.
pub(crate) async fn follow<V: Cached>(
    api: Api<DeserializeGuard<V::Object>>,
    cache: Arc<Cache<V>>,
    changes: mpsc::UnboundedSender<Change>,
    metrics: Arc<Metrics>,
) -> Result<(), WatchEnded> {
    let ended = || WatchEnded(V::KIND.as_str());
    let config = V::SELECTOR.map_or_else(watcher::Config::default, |labels| watcher::Config::default().labels(labels));
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                if matches!(event, Event::InitDone) {
                    info!(kind = V::KIND.as_str(), "listed");
                }
                for change in cache.take(event) {
                    changes.send(change).map_err(|_| ended())?;
                }
                metrics.unreadable(V::KIND, cache.read(|state| state.unreadable.len()));
            }
            Ok(None) => return Err(ended()),
            Err(problem) => {
                metrics.watch_error(V::KIND);
                warn!(kind = V::KIND.as_str(), %problem, "a watch broke off and is begun again");
            }
        }
    }
}

#[cfg(test)]
mod tests;
