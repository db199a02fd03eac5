//! Which pods, nodes, Services and endpoints are at which address.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::by_address::ByAddress;
use super::summary::{NodeSummary, ServiceSummary, SliceSummary};
use crate::Key;

/// The namespace and name of the Service of the API server, which is its own doing.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// Objects by address.
#[derive(Debug, Default)]
pub struct Index {
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
pub struct Found {
    /// The Services that lead there, or have it among their endpoints.
    pub services: BTreeSet<Key>,
    /// Where connections end.
    pub ends: BTreeSet<Lead>,
}

/// Where a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lead {
    /// A pod.
    Pod(Key),
    /// A node.
    Node,
    /// The API server.
    ApiServer,
    /// An address at which nobody of the cluster is.
    Stray(SocketAddr),
}

impl Index {
    /// Takes the present state of a pod: its addresses, of which one that is gone has none, and whether nothing of it runs any more.
    /// Gives the addresses at which something may be otherwise now.
    pub fn pod(&mut self, key: &Key, addresses: &[IpAddr], ended: bool) -> BTreeSet<IpAddr> {
        let addresses = addresses.iter().copied().collect();
        let (live, ended) = if ended { (BTreeSet::new(), addresses) } else { (addresses, BTreeSet::new()) };
        let mut touched = self.pods.set(key, live);
        touched.extend(self.ended.set(key, ended));
        self.with_services(touched)
    }

    /// The same for a node.
    pub fn node(&mut self, key: &Key, node: Option<&NodeSummary>) -> BTreeSet<IpAddr> {
        let touched = self.nodes.set(key, node.map(|node| node.addresses.clone()).unwrap_or_default());
        self.with_services(touched)
    }

    /// The same for a Service.
    pub fn service(&mut self, key: &Key, service: Option<Arc<ServiceSummary>>) -> BTreeSet<IpAddr> {
        let mut touched = self.services.set(key, service.as_ref().map(|service| service.every_address()).unwrap_or_default());
        match service {
            Some(service) => drop(self.summaries.insert(key.clone(), service)),
            None => drop(self.summaries.remove(key)),
        }
        touched.extend(self.endpoints.of(key));
        touched
    }

    /// The same for a slice of endpoints.
    pub fn slice(&mut self, key: &Key, slice: Option<Arc<SliceSummary>>) -> BTreeSet<IpAddr> {
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
    #[must_use]
    pub fn pods_addresses(&self) -> BTreeSet<IpAddr> {
        self.pods.addresses().collect()
    }

    /// Every address of a Service or node.
    pub fn taken(&self) -> impl Iterator<Item = IpAddr> {
        self.services.addresses().chain(self.nodes.addresses())
    }

    /// Whether an address is that of a Service or node.
    #[must_use]
    pub fn takes(&self, address: IpAddr) -> bool {
        self.services.at(address).next().or_else(|| self.nodes.at(address).next()).is_some()
    }

    /// What is at an address and port.
    #[must_use]
    pub fn find(&self, at: SocketAddr) -> Found {
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

    /// The addresses at which it matters who is there to say what is at an address and port.
    #[must_use]
    pub fn reached(&self, at: SocketAddr) -> BTreeSet<IpAddr> {
        let ports =
            self.services.at(at.ip()).filter_map(|service| Some((service, self.summaries.get(service)?.ports.get(&at.port())?)));
        let ends = ports.flat_map(|(service, port)| self.endpoints_behind(service, port)).map(|end| end.ip());
        ends.chain([at.ip()]).collect()
    }

    /// The end at one of these addresses to which connections to a Service's address and port may be led.
    #[must_use]
    pub fn end_at(&self, at: SocketAddr, addresses: &[IpAddr]) -> Option<SocketAddr> {
        let services = self.services.at(at.ip());
        let mut ends = services
            .filter_map(|service| Some((service, self.summaries.get(service)?.ports.get(&at.port())?)))
            .flat_map(|(service, port)| self.endpoints_behind(service, port));
        ends.find(|end| addresses.contains(&end.ip()))
    }

    /// The addresses that the cluster's DNS gives for a Service, the preferred family first: its own, or those of its endpoints where
    /// it is headless; none where it is not there.
    #[must_use]
    pub fn resolved(&self, service: &Key) -> Option<Vec<IpAddr>> {
        let summary = self.summaries.get(service)?;
        if !summary.addresses.is_empty() || summary.external_name {
            return Some(summary.addresses.clone());
        }
        let slices = self.slices.get(service).into_iter().flat_map(BTreeMap::values);
        let led = slices.flat_map(|slice| slice.endpoints.iter().filter(|(_, led)| **led).map(|(address, _)| *address));
        Some(led.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Where connections to a port of a Service end.
    fn behind(&self, service: &Key, port: &str) -> BTreeSet<Lead> {
        if is_api_server(service) {
            return [Lead::ApiServer].into();
        }
        let mut ends = BTreeSet::new();
        for at in self.endpoints_behind(service, port) {
            let there = self.at(at);
            if there.is_empty() && self.ended.at(at.ip()).next().is_none() {
                ends.insert(Lead::Stray(at));
            }
            ends.extend(there);
        }
        ends
    }

    /// The endpoints to which connections to a port of a Service may be led.
    fn endpoints_behind(&self, service: &Key, port: &str) -> impl Iterator<Item = SocketAddr> {
        let slices = self.slices.get(service).into_iter().flat_map(BTreeMap::values);
        slices.flat_map(move |slice| {
            let numbers = slice.ports.iter().filter(move |(name, _)| name == port).map(|(_, number)| number.unwrap_or_default());
            let led = || slice.endpoints.iter().filter(|(_, led)| **led).map(|(address, _)| *address);
            numbers.flat_map(move |number| led().map(move |address| SocketAddr::new(address, number)))
        })
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use serde_json::json;

    use super::*;

    fn index() -> Index {
        let mut index = Index::default();
        for (name, addresses) in [("vectors", json!(["10.244.5.1", "2001:db8::1"])), ("headless", json!(["None"]))] {
            let service: Service = serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "archive"},
                "spec": {"clusterIPs": addresses, "ports": [{"port": 80, "name": "web"}]}
            }))
            .unwrap();
            index.service(&Key::of(&service), Some(Arc::new(service.into())));
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": {"name": name, "namespace": "archive", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
                "ports": [{"name": "web", "port": 8080}],
                "endpoints": [{"addresses": ["10.244.0.2"]}, {"addresses": ["10.244.0.3"], "conditions": {"ready": false, "serving": false}}]
            }))
            .unwrap();
            index.slice(&Key::of(&slice), Some(Arc::new(slice.into())));
        }
        index
    }

    #[test]
    fn who_is_there_matters_at_the_address_itself_and_at_those_behind_its_port() {
        let reached =
            |at: &str| index().reached(at.parse().unwrap()).into_iter().map(|address| address.to_string()).collect::<Vec<_>>();
        assert_eq!(reached("10.244.5.1:80"), ["10.244.0.2", "10.244.5.1"]);
        assert_eq!(reached("10.244.5.1:81"), ["10.244.5.1"]);
        assert_eq!(reached("10.244.0.2:8080"), ["10.244.0.2"]);
    }

    #[test]
    fn a_pod_is_an_end_of_a_service_at_the_port_of_its_endpoint_as_long_as_it_is_led_to() {
        let end_at = |at: &str, address: &str| index().end_at(at.parse().unwrap(), &[address.parse().unwrap()]);
        assert_eq!(end_at("10.244.5.1:80", "10.244.0.2"), Some("10.244.0.2:8080".parse().unwrap()));
        for (at, address) in [
            ("10.244.5.1:80", "10.244.0.3"),
            ("10.244.5.1:80", "10.244.0.4"),
            ("10.244.5.1:81", "10.244.0.2"),
            ("10.244.0.2:8080", "10.244.0.2"),
        ] {
            assert_eq!(end_at(at, address), None, "{at} {address}");
        }
    }

    #[test]
    fn a_headless_service_has_the_addresses_of_its_endpoints_and_another_its_own() {
        let resolved = |name| {
            index().resolved(&Key::new("archive", name)).map(|addresses| addresses.iter().map(ToString::to_string).collect())
        };
        assert_eq!(resolved("vectors"), Some(vec!["10.244.5.1".to_owned(), "2001:db8::1".to_owned()]));
        assert_eq!(resolved("headless"), Some(vec!["10.244.0.2".to_owned()]));
        assert_eq!(resolved("nobody"), None);
    }
}
