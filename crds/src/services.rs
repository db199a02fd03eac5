//! What is needed of a Service: its cluster addresses, and whether it has any.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use shekara_policy::Address;

/// The cluster addresses in the one form that is judged and in the order of the Service, which is that of the preferred family;
/// none for a headless Service.
#[must_use]
pub fn addresses(service: &Service) -> Vec<IpAddr> {
    let Some(spec) = &service.spec else { return vec![] };
    // a headless Service has the text None for an address
    let first = spec.cluster_ip.clone().map(|ip| vec![ip]);
    let addresses = spec.cluster_ips.clone().or(first).unwrap_or_default();
    addresses.iter().filter_map(|address| address.parse().ok()).map(|address| Address::new(address).ip()).collect()
}

/// Whether the Service is nothing but another name for a name outside the cluster.
#[must_use]
pub fn is_external_name(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("ExternalName")
}
