//! What the sidecar would do with a flow: the same approach and the same decision, without a connection.

use std::net::IpAddr;

use shekara_policy::decide::{Approach, Question, approach, decide_question, is_inside, most_telling};
use shekara_policy::document::{EndpointProtocol, Target};
use shekara_policy::flow::TlsVersion;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, HostName, Judge, Protocol, Reason, Verdict, decide};

/// Where a flow would go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The name that the client says; none where it dials an address and says none.
    pub(super) name: Option<HostName>,
    /// The addresses that the name has, or the one that is dialled; none where they are not known.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) port: u16,
    /// What the client speaks: TLS, HTTP, TCP of another kind, or UDP.
    pub(super) protocol: Protocol,
    /// The highest version of TLS that it offers.
    pub(super) tls: Option<TlsVersion>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// What becomes of the DNS question for the name; an application that asks it and gets no answer never connects.
    pub(super) question: Option<Question>,
    /// The verdict for each address.
    pub(super) addresses: Vec<Tried>,
    /// The verdict for the flow.
    pub(super) verdict: Verdict,
    /// Whether the verdict hangs on what is not known of who is inside the cluster.
    pub(super) open: bool,
    /// The protocol that it was judged as: what an opaque endpoint is sent is not read.
    pub(super) protocol: Protocol,
}

/// An address that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) address: Address,
    pub(super) verdict: Verdict,
    /// Whether the verdict hangs on what is not known of who is there.
    pub(super) open: bool,
}

/// Judges a flow twice: with what is not known of who is inside the cluster speaking against it, and for it. Only where both say the
/// same there is a verdict.
pub(super) fn judge_surely(strictly: Judge<'_>, kindly: Judge<'_>, to: &Destination) -> Judged {
    let (strict, kind) = (judge(strictly, to), judge(kindly, to));
    if strict.verdict.is_allowed() {
        return strict;
    }
    let open = |verdict: &Verdict| verdict.is_allowed() || verdict.reason() == Some(Reason::PeerUnanswered);
    let addresses: Vec<Tried> = kind.addresses.into_iter().map(|tried| Tried { open: open(&tried.verdict), ..tried }).collect();
    // by a name alone nobody inside is judged
    Judged { open: addresses.iter().any(|tried| tried.open), addresses, ..kind }
}

/// Judges a flow by the documents of its pod.
pub(super) fn judge(judge: Judge<'_>, to: &Destination) -> Judged {
    let question = to.name.as_ref().map(|name| decide_question(judge.documents, name, judge.now));
    if to.addresses.is_empty() {
        let protocol = if is_opaque(judge, to) { Protocol::Tcp } else { to.protocol };
        let flow = Flow { protocol, name: to.name.clone(), address: None, port: to.port, tls: to.tls, ech: false, via: None };
        return Judged { question, addresses: vec![], verdict: decide(judge, &flow), open: false, protocol };
    }
    let tried: Vec<(Address, Verdict, Protocol)> = to
        .addresses
        .iter()
        .map(|ip| {
            let address = Address::new(*ip);
            let (verdict, protocol) = one(judge, to, address);
            (address, verdict, protocol)
        })
        .collect();
    let allowed = tried.iter().find(|(_, verdict, _)| verdict.is_allowed());
    let verdict = allowed.map_or_else(
        || {
            let denials = tried.iter().filter_map(|(_, verdict, _)| match verdict {
                Verdict::Deny(denial) => Some(denial.clone()),
                Verdict::Allow(_) => None,
            });
            Verdict::Deny(most_telling(denials))
        },
        |(_, verdict, _)| verdict.clone(),
    );
    let protocol = allowed.or(tried.first()).map_or(to.protocol, |(_, _, protocol)| *protocol);
    let addresses = tried.into_iter().map(|(address, verdict, _)| Tried { address, verdict, open: false }).collect();
    Judged { question, addresses, verdict, open: false, protocol }
}

/// Judges a flow to one address.
fn one(judge: Judge<'_>, to: &Destination, address: Address) -> (Verdict, Protocol) {
    let flow = |protocol, name: Option<&HostName>| Flow {
        protocol,
        name: name.cloned(),
        address: Some(address),
        port: to.port,
        tls: to.tls.filter(|_| protocol == Protocol::Tls),
        ech: false,
        via: None,
    };
    if to.protocol == Protocol::Udp {
        return (decide(judge, &flow(Protocol::Udp, None)), Protocol::Udp);
    }
    if is_inside(judge, address) {
        return (decide(judge, &flow(Protocol::Tcp, None)), Protocol::Tcp);
    }
    // an application that asks for a name and is answered has its pin
    let pinned: Vec<HostName> = to.name.iter().cloned().collect();
    match approach(judge.documents, address, to.port, &pinned) {
        Approach::Deny(reason) => (reason.into(), Protocol::Tcp),
        Approach::InCluster => (decide(judge, &flow(Protocol::Tcp, None)), Protocol::Tcp),
        Approach::Opaque(Some(name)) => (decide(judge, &flow(Protocol::Tcp, Some(&name))), Protocol::Tcp),
        Approach::Opaque(None) => {
            let unnamed = decide(judge, &flow(Protocol::Tcp, None));
            let named = to.name.as_ref().map(|name| decide(judge, &flow(Protocol::Tcp, Some(name))));
            (named.filter(|named| named.is_allowed() && !unnamed.is_allowed()).unwrap_or(unnamed), Protocol::Tcp)
        }
        Approach::ReadThenDialChosen | Approach::ReadName if to.protocol == Protocol::Tcp => {
            (Reason::UnreadableHello.into(), Protocol::Tcp)
        }
        Approach::ReadThenDialChosen => {
            let unnamed = decide(judge, &flow(to.protocol, None));
            let named = to.name.as_ref().filter(|_| !unnamed.is_allowed());
            (named.map_or(unnamed, |name| by_name(judge, flow(to.protocol, Some(name)))), to.protocol)
        }
        Approach::ReadName => match &to.name {
            Some(name) => (by_name(judge, flow(to.protocol, Some(name))), to.protocol),
            None => (Verdict::Deny(Denial::of(Reason::NoName)), to.protocol),
        },
    }
}

/// Judges a flow whose name was read: by its name before it is looked up, and then by the address.
fn by_name(judge: Judge<'_>, flow: Flow) -> Verdict {
    let unresolved = decide(judge, &Flow { address: None, ..flow.clone() });
    if unresolved.is_allowed() { decide(judge, &flow) } else { unresolved }
}

/// Whether an endpoint lists the name and port as one whose bytes are not read.
fn is_opaque(judge: Judge<'_>, to: &Destination) -> bool {
    let routes = judge.documents.iter().flat_map(|document| &document.routes);
    routes.flat_map(|route| &route.endpoints).any(|endpoint| {
        let opaque = matches!(endpoint.protocol, EndpointProtocol::Tcp | EndpointProtocol::TcpServerFirst);
        let lists = |name: &HostName| matches!(&endpoint.target, Target::Host(pattern) if pattern.matches(name));
        to.protocol != Protocol::Udp && opaque && endpoint.ports.contains(&to.port) && to.name.as_ref().is_some_and(lists)
    })
}

#[cfg(test)]
mod tests;
