//! What to do with a new TCP connection before any byte of it is read.

use crate::address::{Address, Scope};
use crate::document::{Endpoint, EndpointProtocol, PolicyDocument, Target};
use crate::host_name::HostName;
use crate::reason::Reason;

/// How a connection to an address and port is to be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approach {
    /// Inside the cluster: no byte is awaited; judge the address and dial it as chosen.
    InCluster,
    /// Declared opaque: no byte is awaited; judge the address, with the pinned name if one lists it, and dial it as chosen.
    Opaque(Option<HostName>),
    /// A network that a transfer lists, speaking TLS or HTTP: read the first bytes, then judge and dial the address as chosen.
    ReadThenDialChosen,
    /// Read the name from the first bytes, resolve it, and dial an address that was judged; never the chosen one unjudged.
    ReadName,
    /// Nothing can come of it: close at once.
    Deny(Reason),
}

/// Chooses the approach. `pinned` are the names that this pod's own DNS questions were answered with this address for.
///
/// This only chooses which way is tried; the flow is decided by [`super::decide`] in any case, by all documents together.
#[must_use]
pub fn approach(documents: &[PolicyDocument], address: Address, port: u16, pinned: &[HostName]) -> Approach {
    if documents.is_empty() {
        return Approach::Deny(Reason::NoDocument);
    }
    if documents.iter().flat_map(|document| &document.cluster.networks).any(|network| network.contains(&address.ip())) {
        return Approach::InCluster;
    }
    let endpoints = || {
        let routes = documents.iter().flat_map(|document| &document.routes);
        routes.flat_map(|route| &route.endpoints).filter(move |endpoint| endpoint.ports.contains(&port))
    };
    if let Some(endpoint) = endpoints().find(|endpoint| is_network_with(endpoint, address)) {
        return if is_opaque(endpoint) { Approach::Opaque(None) } else { Approach::ReadThenDialChosen };
    }
    if address.scope() != Scope::Global {
        return Approach::Deny(Reason::ForbiddenAddress);
    }
    let opaque_name = pinned.iter().find(|name| endpoints().any(|endpoint| is_opaque(endpoint) && is_host(endpoint, name)));
    if let Some(name) = opaque_name {
        return Approach::Opaque(Some(name.clone()));
    }
    if endpoints().any(|endpoint| matches!(endpoint.target, Target::Host(_)) && is_readable(endpoint)) {
        return Approach::ReadName;
    }
    Approach::Deny(Reason::UnlistedParty)
}

fn is_network_with(endpoint: &Endpoint, address: Address) -> bool {
    let contains = matches!(&endpoint.target, Target::Network(network) if network.contains(&address.ip()));
    contains && (is_opaque(endpoint) || is_readable(endpoint))
}

fn is_host(endpoint: &Endpoint, name: &HostName) -> bool {
    matches!(&endpoint.target, Target::Host(pattern) if pattern.matches(name))
}

fn is_opaque(endpoint: &Endpoint) -> bool {
    matches!(endpoint.protocol, EndpointProtocol::Tcp | EndpointProtocol::TcpServerFirst)
}

fn is_readable(endpoint: &Endpoint) -> bool {
    matches!(endpoint.protocol, EndpointProtocol::Tls | EndpointProtocol::Http)
}
