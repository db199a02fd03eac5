//! Flows that are handed to an egress proxy: judged by the name, port and permit of the party, and by no country, which nobody measures
//! but the proxy.

use std::net::SocketAddr;

use super::{Judge, decide_outside, is_inside};
use crate::document::{PolicyDocument, StandardNetworks};
use crate::flow::Flow;
use crate::reason::Reason;
use crate::verdict::{Denial, Verdict};

/// Whether every standard of every document names an egress proxy at this address and port.
#[must_use]
pub fn is_egress(documents: &[PolicyDocument], proxy: SocketAddr) -> bool {
    !documents.is_empty() && documents.iter().all(|document| against(document, proxy).is_none())
}

/// Why the proxy may not be used by this document.
fn against(document: &PolicyDocument, proxy: SocketAddr) -> Option<Denial> {
    let standard = document.standards.iter().find(|standard| !names(standard, proxy)).map(|standard| standard.standard.clone());
    let holding = Some(document.holding.to_string());
    (standard.is_some() || document.standards.is_empty()).then(|| Denial {
        holding,
        standard,
        ..Denial::of(Reason::ProxyRequest)
    })
}

fn names(standard: &StandardNetworks, proxy: SocketAddr) -> bool {
    standard.egress_via.iter().any(|via| via.network.contains(&proxy.ip()) && via.ports.contains(&proxy.port()))
}

/// Decides a flow that is handed to a proxy.
pub(super) fn decide(judge: Judge<'_>, flow: &Flow, proxy: SocketAddr) -> Verdict {
    if let Some(denial) = judge.documents.iter().find_map(|document| against(document, proxy)) {
        return Verdict::Deny(denial);
    }
    match flow.address {
        // what is inside the cluster is reached without a proxy, and judged by who is there
        Some(address) if is_inside(judge, address) => Reason::InClusterUnlisted.into(),
        _ => decide_outside(judge, flow),
    }
}
