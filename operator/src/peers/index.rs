//! Which pods, nodes, Services and endpoints are at which address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::watch::{Key, NodeSummary, PodSummary, ServiceSummary, SliceSummary};

/// The namespace and name of the Service of the API server, which is its own doing.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// Objects by address.
#[derive(Default)]
pub(super) struct Index {
    pods: ByAddress,
    /// Pods of which nothing runs any more, as long as they are there: nobody answers at their addresses.
    ended: ByAddress,
    nodes: ByAddress,
    services: ByAddress,
    /// Services by the addresses of their endpoints.
    endpoints: ByAddress,
    summaries: HashMap<Key, Arc<ServiceSummary>>,
    /// The slices of a Service by their names.
    slices: HashMap<Key, BTreeMap<String, Arc<SliceSummary>>>,
    /// The Service of a slice.
    owners: HashMap<Key, Key>,
}

/// What is at an address and port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The Services that lead there, or have it among their endpoints.
    pub(super) services: BTreeSet<Key>,
    /// Where connections end.
    pub(super) ends: BTreeSet<Lead>,
}

/// Where a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lead {
    Pod(Key),
    Node,
    ApiServer,
    /// An address at which nobody of the cluster is.
    Stray(SocketAddr),
}

impl Index {
    /// Takes the present state of a pod. Gives the addresses at which something may be otherwise now.
    pub(super) fn pod(&mut self, key: &Key, pod: Option<&PodSummary>) -> BTreeSet<IpAddr> {
        let addresses = pod.iter().flat_map(|pod| &pod.addresses).copied().collect();
        let (live, ended) =
            if pod.is_some_and(|pod| pod.ended) { (BTreeSet::new(), addresses) } else { (addresses, BTreeSet::new()) };
        let mut touched = self.pods.set(key, live);
        touched.extend(self.ended.set(key, ended));
        self.with_services(touched)
    }

    /// The same for a node.
    pub(super) fn node(&mut self, key: &Key, node: Option<&NodeSummary>) -> BTreeSet<IpAddr> {
        let touched = self.nodes.set(key, node.map(|node| node.addresses.clone()).unwrap_or_default());
        self.with_services(touched)
    }

    /// The same for a Service.
    pub(super) fn service(&mut self, key: &Key, service: Option<Arc<ServiceSummary>>) -> BTreeSet<IpAddr> {
        let mut touched = self.services.set(key, service.as_ref().map(|service| service.every_address()).unwrap_or_default());
        match service {
            Some(service) => drop(self.summaries.insert(key.clone(), service)),
            None => drop(self.summaries.remove(key)),
        }
        touched.extend(self.endpoints.of(key));
        touched
    }

    /// The same for a slice of endpoints.
    pub(super) fn slice(&mut self, key: &Key, slice: Option<Arc<SliceSummary>>) -> BTreeSet<IpAddr> {
        let now =
            slice.as_ref().filter(|slice| !slice.service.is_empty()).map(|slice| Key::new(&*key.namespace, &*slice.service));
        let before = self.owners.get(key).cloned();
        let mut touched = BTreeSet::new();
        if let Some(owner) = before.filter(|before| Some(before) != now.as_ref()) {
            self.owners.remove(key);
            if let Some(slices) = self.slices.get_mut(&owner) {
                slices.remove(&key.name);
            }
            touched.extend(self.endpoints_changed(&owner));
        }
        if let (Some(owner), Some(slice)) = (now, slice) {
            self.owners.insert(key.clone(), owner.clone());
            self.slices.entry(owner.clone()).or_default().insert(key.name.clone(), slice);
            touched.extend(self.endpoints_changed(&owner));
        }
        touched
    }

    fn endpoints_changed(&mut self, service: &Key) -> BTreeSet<IpAddr> {
        if self.slices.get(service).is_some_and(BTreeMap::is_empty) {
            self.slices.remove(service);
        }
        let slices = self.slices.get(service).into_iter().flat_map(BTreeMap::values);
        let addresses = slices.flat_map(|slice| slice.endpoints.keys().copied()).collect();
        let mut touched = self.endpoints.set(service, addresses);
        touched.extend(self.services.of(service));
        touched
    }

    /// These addresses, and those of the Services that have one of them among their endpoints.
    fn with_services(&self, mut touched: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let services = touched.iter().flat_map(|address| self.endpoints.at(*address));
        let more: Vec<IpAddr> = services.flat_map(|service| self.services.of(service)).collect();
        touched.extend(more);
        touched
    }

    /// Every address of a pod.
    pub(super) fn pods_addresses(&self) -> BTreeSet<IpAddr> {
        self.pods.addresses().collect()
    }

    /// Every address of a Service or node.
    pub(super) fn taken(&self) -> impl Iterator<Item = IpAddr> {
        self.services.addresses().chain(self.nodes.addresses())
    }

    /// Whether an address is that of a Service or node.
    pub(super) fn takes(&self, address: IpAddr) -> bool {
        self.services.at(address).next().or_else(|| self.nodes.at(address).next()).is_some()
    }

    /// What is at an address and port.
    pub(super) fn find(&self, at: SocketAddr) -> Found {
        // A Service may claim an address that is somebody else's, and who gets the packets then is up to the node: both are told.
        let mut found = Found { services: self.services_of_endpoint(at), ends: self.at(at) };
        let mut is_claimed = !found.ends.is_empty();
        for service in self.services.at(at.ip()) {
            let Some(port) = self.summaries.get(service).and_then(|summary| summary.ports.get(&at.port())) else { continue };
            is_claimed = true;
            found.services.insert(service.clone());
            found.ends.extend(self.behind(service, port));
        }
        if !is_claimed {
            found.ends.insert(Lead::Stray(at));
        }
        found
    }

    /// Where connections to a port of a Service end.
    fn behind(&self, service: &Key, port: &str) -> BTreeSet<Lead> {
        if is_api_server(service) {
            return [Lead::ApiServer].into();
        }
        let mut ends = BTreeSet::new();
        for slice in self.slices.get(service).into_iter().flat_map(BTreeMap::values) {
            let numbers = slice.ports.iter().filter(|(name, _)| name == port).map(|(_, number)| number.unwrap_or_default());
            for number in numbers {
                for address in slice.endpoints.iter().filter(|(_, led)| **led).map(|(address, _)| *address) {
                    let at = SocketAddr::new(address, number);
                    let there = self.at(at);
                    if there.is_empty() && self.ended.at(address).next().is_none() {
                        ends.insert(Lead::Stray(at));
                    }
                    ends.extend(there);
                }
            }
        }
        ends
    }

    /// Who of the cluster has an address itself.
    fn at(&self, at: SocketAddr) -> BTreeSet<Lead> {
        if self.services_of_endpoint(at).iter().any(is_api_server) {
            return [Lead::ApiServer].into();
        }
        let pods = self.pods.at(at.ip()).map(|key| Lead::Pod(key.clone()));
        let nodes = self.nodes.at(at.ip()).map(|_| Lead::Node);
        pods.chain(nodes).collect()
    }

    fn services_of_endpoint(&self, at: SocketAddr) -> BTreeSet<Key> {
        let has = |slice: &SliceSummary| {
            let port = |(_, number): &(String, Option<u16>)| number.is_none_or(|number| number == at.port());
            slice.endpoints.contains_key(&at.ip()) && slice.ports.iter().any(port)
        };
        let services = self.endpoints.at(at.ip());
        services
            .filter(|service| self.slices.get(*service).is_some_and(|slices| slices.values().any(|slice| has(slice))))
            .cloned()
            .collect()
    }
}

fn is_api_server(service: &Key) -> bool {
    (service.namespace.as_str(), service.name.as_str()) == API_SERVER
}

/// Keys by address, and back. Most addresses have one key and most keys one address, and there are a hundred thousand of them: short
/// lists take a fifth of what sets would.
#[derive(Default)]
struct ByAddress {
    keys: HashMap<IpAddr, Vec<Arc<Key>>>,
    addresses: HashMap<Arc<Key>, Box<[IpAddr]>>,
}

impl ByAddress {
    /// Sets the addresses of a key, and gives those that it had and those that it has.
    fn set(&mut self, key: &Key, addresses: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let (known, before) = match self.addresses.remove_entry(key) {
            Some((known, before)) => (known, before.iter().copied().collect()),
            None => (Arc::new(key.clone()), BTreeSet::new()),
        };
        for address in before.difference(&addresses) {
            if let Some(keys) = self.keys.get_mut(address) {
                keys.retain(|other| **other != *key);
                if keys.is_empty() {
                    self.keys.remove(address);
                }
            }
        }
        for address in addresses.difference(&before) {
            let keys = self.keys.entry(*address).or_insert_with(|| Vec::with_capacity(1));
            keys.push(Arc::clone(&known));
        }
        let touched = before.union(&addresses).copied().collect();
        if !addresses.is_empty() {
            self.addresses.insert(known, addresses.into_iter().collect());
        }
        touched
    }

    fn at(&self, address: IpAddr) -> impl Iterator<Item = &Key> {
        self.keys.get(&address).into_iter().flatten().map(|key| &**key)
    }

    fn of(&self, key: &Key) -> impl Iterator<Item = IpAddr> {
        self.addresses.get(key).into_iter().flatten().copied()
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.keys.keys().copied()
    }
}
