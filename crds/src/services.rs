//! What is needed of a Service: its cluster addresses and TCP ports.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;

/// The cluster addresses in the order of the Service, which is that of the preferred family; none for a headless Service.
#[must_use]
pub fn addresses(service: &Service) -> Vec<IpAddr> {
    let Some(spec) = &service.spec else { return vec![] };
    // a headless Service has the text None for an address
    let first = spec.cluster_ip.clone().map(|ip| vec![ip]);
    let addresses = spec.cluster_ips.clone().or(first).unwrap_or_default();
    addresses.iter().filter_map(|address| address.parse().ok()).collect()
}

/// The TCP ports.
#[must_use]
pub fn tcp_ports(service: &Service) -> BTreeSet<u16> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let tcp = ports.filter(|port| port.protocol.as_deref().unwrap_or("TCP") == "TCP");
    tcp.filter_map(|port| u16::try_from(port.port).ok()).collect()
}
