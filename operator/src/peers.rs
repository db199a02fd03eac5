//! Who is at which address inside the cluster: an index of pods, nodes, Services and their endpoints, and what the holdings, the
//! kubelet and the checkpoints say of the pods. Streams watch single addresses, so that a change wakes those that it concerns.

mod watching;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use parking_lot::Mutex;
use shekara_crds::network::{self, Found, Index, Lead};
use shekara_policy::Peer;
use shekara_policy::peer::{Cover, End, SourceName};
use tokio::sync::watch;

use crate::caches::Caches;
use crate::config::Config;
use crate::controllers::holding::{LATE, LOADING, State as Coverage, state};
use crate::documents::{Documents, Published};
use crate::ledger::store::Resumed;
use crate::ledger::{Heard, Ledger};
use crate::policy_api::holdings;
use crate::watch::{Key, Kind, PodSummary};
use watching::Watching;

pub(crate) use watching::Watch;

/// The most addresses outside the cluster's networks that sidecars are told to treat as inside.
const CAPTURED: usize = 8192;

/// The peers of the cluster.
pub(crate) struct Peers {
    caches: Arc<Caches>,
    documents: Arc<Documents>,
    ledger: Arc<Ledger>,
    networks: Vec<IpNet>,
    /// Since when this replica leads: sidecars say nothing to another.
    resumed: Resumed,
    /// How long after the start sidecars may take to say again what they enforce.
    settled: Duration,
    index: Mutex<Index>,
    watching: Arc<Watching>,
    captured: watch::Sender<Arc<BTreeSet<IpAddr>>>,
    /// The holdings that each pod, by its name and UID, was seen to enforce: only what was enforced before is still taken for it
    /// while a newer document is on its way.
    enforced: Mutex<HashMap<Key, (String, BTreeSet<String>)>>,
}

/// What is known of an address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Who is there; none where the operator has just started and has not heard of their sidecars yet.
    pub(crate) peer: Option<Peer>,
    /// When to look again, though nothing may have changed by then.
    pub(crate) again: Option<Duration>,
}

impl Peers {
    pub(crate) fn new(
        config: &Config,
        caches: &Arc<Caches>,
        documents: &Arc<Documents>,
        ledger: &Arc<Ledger>,
        resumed: Resumed,
    ) -> Self {
        Self {
            caches: Arc::clone(caches),
            documents: Arc::clone(documents),
            ledger: Arc::clone(ledger),
            networks: config.cluster_networks.clone(),
            resumed,
            settled: Duration::from_secs(config.checkpoint_interval.into()) + LATE,
            index: Mutex::default(),
            watching: Arc::default(),
            captured: watch::Sender::default(),
            enforced: Mutex::default(),
        }
    }

    /// Takes everything that the caches hold.
    pub(crate) fn everything(&self) {
        let mut index = self.index.lock();
        let mut all = |kind, keys: Vec<Key>| keys.iter().for_each(|key| self.watching.touch(&self.take(&mut index, kind, key)));
        all(Kind::Service, self.caches.services.keys());
        all(Kind::EndpointSlice, self.caches.slices.keys());
        all(Kind::Node, self.caches.nodes.keys());
        all(Kind::Pod, self.caches.pods.keys());
        self.tell_captured(&index);
    }

    /// Takes the present state of an object.
    pub(crate) fn changed(&self, kind: Kind, key: &Key) {
        let mut index = self.index.lock();
        let touched = self.take(&mut index, kind, key);
        if matches!(kind, Kind::Node | Kind::Service) && touched.iter().any(|address| self.tells_otherwise(&index, *address)) {
            self.tell_captured(&index);
        }
        drop(index);
        self.watching.touch(&touched);
    }

    fn take(&self, index: &mut Index, kind: Kind, key: &Key) -> BTreeSet<IpAddr> {
        match kind {
            Kind::Pod => {
                let pod = self.caches.pods.get(key);
                if pod.is_none() {
                    self.enforced.lock().remove(key);
                }
                let addresses = pod.as_deref().map(|pod| pod.addresses.as_slice()).unwrap_or_default();
                index.pod(key, addresses, pod.as_deref().is_some_and(|pod| pod.ended))
            }
            Kind::Node => index.node(key, self.caches.nodes.get(key).as_deref()),
            Kind::Service => index.service(key, self.caches.services.get(key)),
            Kind::EndpointSlice => index.slice(key, self.caches.slices.get(key)),
            // it may list other pods as sources of the platform
            Kind::SovereigntyStandard => index.pods_addresses(),
            Kind::DataHolding | Kind::Recipient | Kind::Namespace | Kind::ConfigMap => BTreeSet::new(),
        }
    }

    /// A sidecar says that it enforces other documents than before.
    pub(crate) fn pod_heard(&self, key: &Key) {
        self.changed(Kind::Pod, key);
    }

    /// The document of a holding is another, or gone.
    pub(crate) fn holding_changed(&self, holding: &Key) {
        for (key, _) in self.caches.pods.in_namespace(&holding.namespace) {
            self.changed(Kind::Pod, &key);
        }
    }

    /// Watches addresses for a stream.
    pub(crate) fn watch(&self) -> Watch {
        Watch::new(Arc::clone(&self.watching))
    }

    /// The addresses outside the cluster's networks that it takes all the same.
    pub(crate) fn captured(&self) -> watch::Receiver<Arc<BTreeSet<IpAddr>>> {
        self.captured.subscribe()
    }

    /// Who is at an address and port.
    pub(crate) fn answer(&self, at: SocketAddr) -> Answer {
        let found = self.index.lock().find(at);
        let mut answer = Answer { peer: None, again: None };
        let sources = self.sources(&found);
        let again = &mut answer.again;
        let peer = network::peer(
            found,
            |address| self.is_inside(address),
            |key| match self.caches.pods.get(key) {
                Some(pod) => self.covers(key, &pod, again).map(End::Pod),
                // it has just gone, and the index is about to hear of it
                None => Some(End::Unknown),
            },
        );
        answer.peer = peer.map(|peer| Peer { sources, ..peer });
        answer
    }

    /// Where a Service at an address and port may lead to this pod.
    pub(crate) fn own_end(&self, at: SocketAddr, pod: &Key) -> Option<SocketAddr> {
        let pod = self.caches.pods.get(pod)?;
        self.index.lock().end_at(at, &pod.addresses)
    }

    /// The sources of the platform, as standards list them by pods, to which everybody there belongs.
    fn sources(&self, found: &Found) -> BTreeSet<SourceName> {
        let mut common: Option<BTreeSet<SourceName>> = None;
        for lead in &found.ends {
            let pod = if let Lead::Pod(key) = lead { self.caches.pods.get(key) } else { None };
            let sources = pod.map(|pod| self.sources_of(&pod)).unwrap_or_default();
            common = Some(match common {
                Some(before) => before.intersection(&sources).cloned().collect(),
                None => sources,
            });
        }
        common.unwrap_or_default()
    }

    fn sources_of(&self, pod: &PodSummary) -> BTreeSet<SourceName> {
        let mut sources = BTreeSet::new();
        for (key, standard) in self.caches.standards.all() {
            let listed = standard.spec.inbound.iter().flat_map(|inbound| &inbound.from);
            let names = listed
                .filter(|source| source.pods.as_ref().is_some_and(|pods| pods.have(&pod.namespace, &pod.labels)))
                .map(|source| source.name.clone());
            sources.extend(names.map(|name| SourceName { standard: key.name.clone(), name }));
        }
        sources
    }

    /// The holdings that cover a pod; none where the operator has just started and the pod's sidecar has not been heard.
    fn covers(&self, key: &Key, pod: &PodSummary, again: &mut Option<Duration>) -> Option<BTreeSet<Cover>> {
        let heard = self.ledger.heard(pod);
        if let Some(rest) = self.settled.checked_sub(self.resumed.elapsed())
            && pod.is_proven()
            && heard.is_none()
        {
            sooner(again, rest);
            return None;
        }
        let documents = self.documents.of(&pod.namespace);
        let mut covers = BTreeSet::new();
        for (name, published) in holdings(pod, &documents) {
            // a holding without a document protects nothing
            let Some(published) = published else { continue };
            let enforcing = self.enforces(key, pod, &name, &published, heard.as_ref(), again);
            let holding = Key::new(&*pod.namespace, &*name);
            let declared = self.caches.holdings.get(&holding);
            let document = &published.document;
            let standards = document.standards.iter().map(|networks| networks.standard.clone()).collect();
            let created = pod.created();
            covers.insert(network::cover(&holding, declared.as_deref(), &document.data, standards, created, enforcing));
        }
        Some(covers)
    }

    fn enforces(
        &self,
        key: &Key,
        pod: &PodSummary,
        holding: &str,
        published: &Published,
        heard: Option<&Heard>,
        again: &mut Option<Duration>,
    ) -> bool {
        let mut enforced = self.enforced.lock();
        match (state(pod, heard, &published.digest), LOADING.checked_sub(published.since.elapsed())) {
            (Coverage::Enforcing, _) => {
                let (uid, holdings) = enforced.entry(key.clone()).or_default();
                if *uid != pod.uid {
                    (*uid, *holdings) = (pod.uid.clone(), BTreeSet::new());
                }
                holdings.insert(holding.to_owned());
                true
            }
            // the document has just changed: the flows between the holding's pods are not cut off for that
            (Coverage::Outdated, Some(rest)) => {
                sooner(again, rest);
                enforced.get(key).is_some_and(|(uid, holdings)| *uid == pod.uid && holdings.contains(holding))
            }
            _ => {
                if let Some((_, holdings)) = enforced.get_mut(key) {
                    holdings.remove(holding);
                }
                false
            }
        }
    }

    fn is_inside(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address)) || self.captured.borrow().contains(&address)
    }

    /// Whether sidecars are told the contrary of what is true of an address now.
    fn tells_otherwise(&self, index: &Index, address: IpAddr) -> bool {
        let outside = !self.networks.iter().any(|network| network.contains(&address));
        outside && index.takes(address) != self.captured.borrow().contains(&address)
    }

    fn tell_captured(&self, index: &Index) {
        let outside = |address: &IpAddr| !self.networks.iter().any(|network| network.contains(address));
        let captured: BTreeSet<IpAddr> = index.taken().filter(outside).collect();
        if captured.len() > CAPTURED {
            tracing::error!(
                addresses = captured.len(),
                "more addresses outside the cluster's networks are taken by Services than sidecars can be told of: they take every address for one"
            );
        }
        // to leave some out would be to call them outside
        let every = || [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()].into();
        let captured: BTreeSet<IpAddr> = if captured.len() > CAPTURED { every() } else { captured };
        self.captured.send_if_modified(|told| {
            let changed = **told != captured;
            *told = Arc::new(captured);
            changed
        });
    }
}

fn sooner(again: &mut Option<Duration>, rest: Duration) {
    *again = Some(again.map_or(rest, |before| before.min(rest)));
}

#[cfg(test)]
mod tests;
