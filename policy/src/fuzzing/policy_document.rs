//! Policy documents, and what they decide.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;

use super::DOCUMENT;
use crate::address::Address;
use crate::country::Country;
use crate::decide::{Judge, approach, decide};
use crate::document::{Endpoint, PolicyDocument, Target, VERSION};
use crate::flow::{Flow, Protocol, TlsVersion};
use crate::geo::CountrySource;
use crate::host_name::HostPattern;
use crate::peer::{Peer, PeerSource};
use crate::reason::Reason;
use crate::verdict::Verdict;

/// What is read is what was written, unknown fields are refused, and a document beside another one never allows more than each.
pub fn policy_document(bytes: &[u8]) {
    let Ok(document) = PolicyDocument::from_json(bytes) else { return };
    assert_eq!(document.version, VERSION);
    let written = serde_json::to_vec(&document).unwrap();
    let read = PolicyDocument::from_json(&written).unwrap();
    assert_eq!(read, document);
    assert_eq!(read.digest().unwrap(), document.digest().unwrap());
    for pointer in ["", "/holding", "/cluster", "/routes/0", "/routes/0/endpoints/0"] {
        let mut altered: serde_json::Value = serde_json::from_slice(&written).unwrap();
        if let Some(object) = altered.pointer_mut(pointer).and_then(serde_json::Value::as_object_mut) {
            object.insert("allowAll".into(), true.into());
            assert!(
                PolicyDocument::from_json(altered.to_string().as_bytes()).is_err(),
                "an unknown field is taken at {pointer:?}"
            );
        }
    }
    decides(&document);
}

fn decides(document: &PolicyDocument) {
    let other = PolicyDocument::from_json(DOCUMENT).unwrap();
    // where a standard says that a network is, it is for every document of a pod, so both have the same ones
    let document = &PolicyDocument { standards: other.standards.clone(), ..document.clone() };
    let (alone, beside, both) = ([document.clone()], [other.clone()], [other.clone(), document.clone()]);
    for flow in flows(document).into_iter().chain(flows(&other)) {
        assert_eq!(allows(&[], &flow), Err(Reason::NoDocument));
        if let Some(address) = flow.address {
            let _ = approach(&both, address, flow.port, flow.name.as_slice());
        }
        if allows(&both, &flow).is_ok() {
            assert!(allows(&alone, &flow).is_ok() && allows(&beside, &flow).is_ok(), "a second document allows {flow:?}");
        }
        if allows(&alone, &flow).is_ok() {
            assert!(is_listed(document, &flow), "nothing lists {flow:?}");
        }
    }
}

fn allows(documents: &[PolicyDocument], flow: &Flow) -> Result<(), Reason> {
    let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
    match decide(Judge { documents, geo: &Everywhere, peers: &Nobody, now }, flow) {
        Verdict::Allow(_) => Ok(()),
        Verdict::Deny(denial) => Err(denial.reason),
    }
}

/// A second reading of what a route lists, without its conditions.
fn is_listed(document: &PolicyDocument, flow: &Flow) -> bool {
    let takes = |endpoint: &Endpoint| {
        endpoint.ports.contains(&flow.port)
            && endpoint.speaks(flow.protocol)
            && match &endpoint.target {
                Target::Host(pattern) => flow.name.as_ref().is_some_and(|name| pattern.matches(name)),
                Target::Network(network) => flow.address.is_some_and(|address| network.contains(&address.ip())),
            }
    };
    document.routes.iter().any(|route| route.barred.is_none() && route.endpoints.iter().any(takes))
}

/// Flows to what the document lists, and to what is beside it.
fn flows(document: &PolicyDocument) -> Vec<Flow> {
    let endpoints = document.routes.iter().flat_map(|route| &route.endpoints).take(8);
    endpoints.flat_map(|endpoint| endpoint.ports.iter().take(2).flat_map(|port| flows_to(endpoint, *port))).collect()
}

fn flows_to(endpoint: &Endpoint, port: u16) -> Vec<Flow> {
    let (name, address) = match &endpoint.target {
        Target::Host(HostPattern::Exact(name)) => (Some(name.clone()), None),
        Target::Host(HostPattern::Wildcard(parent)) => (format!("x.{parent}").parse().ok(), None),
        Target::Network(network) => (None, Some(network.addr())),
    };
    let addresses = ["192.0.2.1", "198.51.100.1", "169.254.169.254", "2001:db8:1::1", "10.244.0.1"].map(|text| text.parse().ok());
    let addresses = addresses.into_iter().chain([address, None]);
    let protocols = [Protocol::Tls, Protocol::Http, Protocol::Tcp, Protocol::Udp];
    let flow = |address: Option<IpAddr>, protocol| Flow {
        protocol,
        name: name.clone(),
        address: address.map(Address::new),
        port,
        tls: (protocol == Protocol::Tls).then_some(TlsVersion::V13),
        ech: false,
        via: None,
    };
    addresses.flat_map(|address| protocols.map(|protocol| flow(address, protocol))).collect()
}

struct Everywhere;

impl CountrySource for Everywhere {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        vec![if address.is_ipv4() { "KZ".parse().unwrap() } else { Country::UNKNOWN }]
    }
}

struct Nobody;

impl PeerSource for Nobody {
    fn peer(&self, _: SocketAddr) -> Option<Arc<Peer>> {
        None
    }

    fn captures(&self, _: IpAddr) -> bool {
        false
    }
}
