//! What is kept of the objects that say who is at which address: Services, their endpoints, nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::address;
use crate::services;

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// The addresses and TCP ports of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSummary {
    /// The cluster addresses in the order of the Service, which is that of the preferred family.
    pub addresses: Vec<IpAddr>,
    /// The addresses outside that the cluster takes for it: external ones, and those of load balancers.
    pub external: BTreeSet<IpAddr>,
    /// The TCP ports, each with its name, by which endpoints refer to it.
    pub ports: BTreeMap<u16, String>,
    /// Whether it is nothing but another name for a name outside.
    pub external_name: bool,
}

impl ServiceSummary {
    /// Every address at which the cluster takes connections for it.
    #[must_use]
    pub fn every_address(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().chain(&self.external).copied().collect()
    }
}

/// A part of the endpoints of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceSummary {
    /// The name of the Service; empty where the slice belongs to none.
    pub service: String,
    /// The TCP ports: name, and number; none is every port.
    pub ports: Vec<(String, Option<u16>)>,
    /// Each address, and whether connections to the Service may be led there.
    pub endpoints: BTreeMap<IpAddr, bool>,
}

/// The addresses of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSummary {
    /// Of every kind.
    pub addresses: BTreeSet<IpAddr>,
}

impl From<Service> for ServiceSummary {
    fn from(object: Service) -> Self {
        let (addresses, external_name) = (services::addresses(&object), services::is_external_name(&object));
        let spec = object.spec.unwrap_or_default();
        let balancers = object.status.and_then(|status| status.load_balancer).and_then(|balancer| balancer.ingress);
        let balancers = balancers.unwrap_or_default().into_iter().filter_map(|ingress| ingress.ip);
        let external = spec.external_ips.unwrap_or_default().into_iter().chain(balancers);
        let tcp = spec.ports.unwrap_or_default().into_iter().filter(|port| is_tcp(port.protocol.as_deref()));
        Self {
            addresses,
            external: external.filter_map(|text| address(&text)).collect(),
            ports: tcp.filter_map(|port| Some((number(port.port)?, port.name.unwrap_or_default()))).collect(),
            external_name,
        }
    }
}

impl From<EndpointSlice> for SliceSummary {
    fn from(object: EndpointSlice) -> Self {
        let mut endpoints = BTreeMap::new();
        for endpoint in object.endpoints {
            // What is neither ready nor serving gets no connection, and not to know means yes. Which of the others a node chooses
            // hangs on more than is known here (where it is, whether it ends, whether another is ready), so each of them counts.
            let led =
                endpoint.conditions.is_none_or(|conditions| conditions.ready != Some(false) || conditions.serving != Some(false));
            for address in endpoint.addresses.iter().filter_map(|text| address(text)) {
                *endpoints.entry(address).or_default() |= led;
            }
        }
        let ports = object.ports.unwrap_or_default();
        // a headless Service may name no port at all, and is its pods with every port then
        let every = ports.is_empty().then(|| (String::new(), None));
        let tcp = ports.into_iter().filter(|port| is_tcp(port.protocol.as_deref()));
        let tcp = tcp.map(|port| (port.name.unwrap_or_default(), port.port.and_then(number)));
        Self {
            service: object.metadata.labels.and_then(|mut labels| labels.remove(SERVICE_NAME)).unwrap_or_default(),
            ports: tcp.chain(every).collect(),
            endpoints,
        }
    }
}

impl From<Node> for NodeSummary {
    fn from(object: Node) -> Self {
        let addresses = object.status.and_then(|status| status.addresses).unwrap_or_default();
        Self { addresses: addresses.iter().filter_map(|listed| address(&listed.address)).collect() }
    }
}

fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok()
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.unwrap_or("TCP") == "TCP"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_has_its_addresses_of_every_kind_and_its_tcp_ports() {
        let service = ServiceSummary::from(
            serde_json::from_value::<Service>(json!({
                "spec": {"clusterIPs": ["10.96.0.5", "None"], "externalIPs": ["203.0.113.7"], "ports": [
                    {"port": 80, "name": "web"}, {"port": 53, "protocol": "UDP", "name": "dns"}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.8"}, {"hostname": "balancer.example.kz"}]}}
            }))
            .unwrap(),
        );
        assert_eq!(service.addresses, ["10.96.0.5".parse::<IpAddr>().unwrap()]);
        assert_eq!(service.external.len(), 2);
        assert_eq!(service.ports, [(80, "web".to_owned())].into());
    }

    #[test]
    fn a_slice_without_ports_is_of_every_port_and_one_with_ports_of_udp_alone_of_none() {
        let ports = |ports| {
            let slice = json!({"metadata": {}, "addressType": "IPv4", "endpoints": [], "ports": ports});
            SliceSummary::from(serde_json::from_value::<EndpointSlice>(slice).unwrap()).ports
        };
        assert_eq!(ports(json!(null)), [(String::new(), None)]);
        assert_eq!(ports(json!([{"port": 53, "protocol": "UDP"}])), []);
    }

    #[test]
    fn an_endpoint_gets_connections_unless_it_is_neither_ready_nor_serving() {
        let endpoint = |address: &str, conditions| json!({"addresses": [address], "conditions": conditions});
        let slice = SliceSummary::from(serde_json::from_value::<EndpointSlice>(json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
            "ports": [{"name": "web", "port": 8080}, {"name": "all"}],
            "endpoints": [endpoint("10.244.0.1", json!({"ready": true})), endpoint("10.244.0.2", json!({"ready": false, "serving": false})), endpoint("10.244.0.3", json!({})),
                endpoint("10.244.0.4", json!({"ready": false, "serving": true, "terminating": true})),
                endpoint("10.244.0.5", json!({"ready": false, "terminating": true}))]
        })).unwrap());
        assert_eq!(slice.endpoints.values().copied().collect::<Vec<_>>(), [true, false, true, true, true]);
        assert_eq!(slice.ports, [("web".to_owned(), Some(8080)), ("all".to_owned(), None)]);
    }
}
