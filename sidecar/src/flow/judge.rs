//! The steps of judging a flow, as far as they need nobody but the documents.

use std::net::{IpAddr, SocketAddr};

pub use shekara_policy::decide::most_telling;
use shekara_policy::decide::{Approach, approach, is_egress, is_inside};
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, HostName, Judge, Protocol, Reason, Verdict, decide};

/// What to do with a connection before a byte of it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Close it; with the name that was judged, where a pin gave one.
    Refuse(Denial, Option<HostName>),
    /// Dial exactly this.
    Dial(Flow),
    /// Read whom it names; with `as_chosen`, the address that the application chose may be dialled without that name.
    Read {
        /// The address itself is listed.
        as_chosen: bool,
    },
    /// An egress proxy is there: read whom the client wants to be connected with through it.
    Tunnel,
}

/// Plans a connection to an address; `pinned` are the names that this pod was answered the address for.
#[must_use]
pub fn plan(judge: Judge<'_>, address: Address, port: u16, pinned: &[HostName]) -> Plan {
    if is_egress(judge.documents, SocketAddr::new(address.ip(), port)) {
        return Plan::Tunnel;
    }
    if is_inside(judge, address) {
        return unread(judge, address, port, &[None]);
    }
    match approach(judge.documents, address, port, pinned) {
        Approach::Deny(reason) => Plan::Refuse(Denial::of(reason), None),
        Approach::InCluster => unread(judge, address, port, &[None]),
        Approach::Opaque(Some(name)) => unread(judge, address, port, &[Some(&name)]),
        Approach::Opaque(None) => {
            // One document may list the network and another one the name: the pins serve the latter.
            let names: Vec<Option<&HostName>> = std::iter::once(None).chain(pinned.iter().map(Some)).collect();
            unread(judge, address, port, &names)
        }
        Approach::ReadThenDialChosen => Plan::Read { as_chosen: true },
        Approach::ReadName => Plan::Read { as_chosen: false },
    }
}

/// A flow whose bytes are not read: under the first name that is allowed; the first denial otherwise.
fn unread(judge: Judge<'_>, address: Address, port: u16, names: &[Option<&HostName>]) -> Plan {
    let mut refused = None;
    for name in names {
        let flow =
            Flow { protocol: Protocol::Tcp, name: name.cloned(), address: Some(address), port, tls: None, ech: false, via: None };
        match decide(judge, &flow) {
            Verdict::Allow(_) => return Plan::Dial(flow),
            Verdict::Deny(denial) => refused = refused.or(Some((denial, name.cloned()))),
        }
    }
    let (denial, name) = refused.unwrap_or_else(|| (Denial::of(Reason::UnlistedParty), None));
    Plan::Refuse(denial, name)
}

/// The addresses that may be dialled for a named flow, in order: the application's choice if it is among them, then the others
/// as the resolver gave them.
///
/// # Errors
/// The most telling denial, when none may be dialled.
pub fn dialable(judge: Judge<'_>, named: &Flow, chosen: Address, found: &[IpAddr]) -> Result<Vec<Flow>, Denial> {
    let mut allowed: Vec<Flow> = Vec::new();
    let mut denials = Vec::new();
    for address in found.iter().map(|ip| Address::new(*ip)) {
        let flow = Flow { address: Some(address), ..named.clone() };
        match decide(judge, &flow) {
            Verdict::Allow(_) if allowed.contains(&flow) => {}
            Verdict::Allow(_) if address == chosen => allowed.insert(0, flow),
            Verdict::Allow(_) => allowed.push(flow),
            Verdict::Deny(denial) => denials.push(denial),
        }
    }
    if allowed.is_empty() { Err(most_telling(denials)) } else { Ok(allowed) }
}

#[cfg(test)]
mod tests;
