//! Destinations inside the cluster: judged by who is there, and never by their names or bytes.
//!
//! A destination is allowed when each end that a connection may reach there is
//!
//! - a pod whose enforcing holdings together hold every category that the caller's holdings hold and are bound by every standard that
//!   binds those, unless a standard denies that, or
//! - a pod or node behind a Service that every document of the caller lists, as far as a standard leaves it to be listed, or
//! - the API server, where every document grants it, or
//! - an address outside that every document allows as opaque TCP to a listed network.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{Judge, decide_outside};
use crate::address::Address;
use crate::category::Category;
use crate::document::{InClusterRoute, PolicyDocument};
use crate::flow::{Flow, Protocol};
use crate::peer::{Cover, End, Peer};
use crate::reason::Reason;
use crate::verdict::{Denial, Grant, Rule, Verdict};

/// What the API server is called in the rules of grants: its Service.
const API_SERVER: &str = "default/kubernetes";

/// Whether an address is judged as a destination inside the cluster: it is in one of the cluster's networks, or the cluster takes
/// what is sent to it.
#[must_use]
pub fn is_inside(judge: Judge<'_>, address: Address) -> bool {
    let ip = address.ip();
    judge.documents.iter().flat_map(|document| &document.cluster.networks).any(|network| network.contains(&ip))
        || judge.peers.captures(ip)
}

/// Decides a flow to an address inside the cluster. Only TCP reaches such a destination.
pub(super) fn decide(judge: Judge<'_>, flow: &Flow, address: Address) -> Verdict {
    if flow.protocol == Protocol::Udp {
        return Reason::InClusterUnlisted.into();
    }
    let Some(peer) = judge.peers.peer(SocketAddr::new(address.ip(), flow.port)) else {
        return Reason::PeerUnanswered.into();
    };
    let caller = Caller::new(judge, &peer);
    let mut grant = Grant { rules: vec![], data: BTreeSet::new(), country: None, budgets: vec![] };
    let mut denial = peer.ends.is_empty().then(|| Denial::of(Reason::PeerUnknown));
    for end in &peer.ends {
        match caller.judge(end) {
            Verdict::Allow(more) => {
                grant.country = grant.country.or(more.country);
                grant.data.extend(more.data);
                grant.budgets.extend(more.budgets);
                let new = more.rules.into_iter().filter(|rule| !grant.rules.contains(rule)).collect::<Vec<_>>();
                grant.rules.extend(new);
            }
            // What will not change by itself is told before what will.
            Verdict::Deny(next) if denial.as_ref().is_none_or(|said| said.reason == Reason::PeerNotEnforcing) => {
                denial = Some(next);
            }
            Verdict::Deny(_) => {}
        }
    }
    denial.map_or(Verdict::Allow(grant), Verdict::Deny)
}

/// The pod that wants to go there, as far as this peer concerns it.
struct Caller<'a> {
    judge: Judge<'a>,
    peer: &'a Peer,
    asked: Asked<'a>,
    /// For each document, in their order, the Service that it lists and that leads to the peer.
    listed: Vec<Option<&'a InClusterRoute>>,
}

impl<'a> Caller<'a> {
    fn new(judge: Judge<'a>, peer: &'a Peer) -> Self {
        Self {
            judge,
            peer,
            asked: Asked::by(judge.documents),
            listed: judge.documents.iter().map(|document| lists(document, peer)).collect(),
        }
    }

    fn judge(&self, end: &End) -> Verdict {
        match end {
            End::Pod(covers) => match (self.asked.lacks(covers), self.denies_peers()) {
                (None, None) => self.covered(covers),
                (None, Some(document)) => deny(document, Reason::PeerDenied),
                (Some(reason), _) => self.listed(reason, covers.iter().any(|cover| cover.enforcing)),
            },
            End::Node => self.listed(Reason::PeerNodeAddress, false),
            End::ApiServer => match self.judge.documents.iter().find(|document| !document.cluster_api) {
                None => self.grant(API_SERVER, &BTreeSet::new()),
                Some(document) => deny(document, Reason::ClusterAPIDenied),
            },
            End::Outside(at) => {
                let address = Some(Address::new(at.ip()));
                let flow =
                    Flow { protocol: Protocol::Tcp, name: None, address, port: at.port(), tls: None, ech: false, via: None };
                decide_outside(self.judge, &flow)
            }
            End::Unknown => Reason::PeerUnknown.into(),
        }
    }

    fn denies_peers(&self) -> Option<&'a PolicyDocument> {
        self.judge.documents.iter().find(|document| document.peers_denied)
    }

    /// Allowed if every document lists a Service that leads there, and be the end `covered` where it asks for that; else denied for
    /// the reason for which it is not anyway.
    fn listed(&self, otherwise: Reason, covered: bool) -> Verdict {
        let mut grant = Grant { rules: vec![], data: BTreeSet::new(), country: None, budgets: vec![] };
        for (document, route) in self.judge.documents.iter().zip(&self.listed) {
            let Some(route) = route.filter(|route| covered || !route.covered) else { return deny(document, otherwise) };
            let recipient = format!("{}/{}", route.namespace, route.service);
            grant.rules.push(Rule { holding: document.holding.to_string(), recipient });
            grant.data.extend(route.data.iter().copied());
        }
        Verdict::Allow(grant)
    }

    fn covered(&self, covers: &BTreeSet<Cover>) -> Verdict {
        let service = self.peer.services.first().map(|service| format!("{}/{}", service.namespace, service.name));
        let holding = covers.iter().find(|cover| cover.enforcing).map(|cover| cover.holding.clone());
        self.grant(&service.or(holding).unwrap_or_default(), &self.asked.data)
    }

    fn grant(&self, recipient: &str, data: &BTreeSet<Category>) -> Verdict {
        let rule = |document: &PolicyDocument| Rule { holding: document.holding.to_string(), recipient: recipient.to_owned() };
        Verdict::Allow(Grant {
            rules: self.judge.documents.iter().map(rule).collect(),
            data: data.clone(),
            country: None,
            budgets: vec![],
        })
    }
}

fn lists<'a>(document: &'a PolicyDocument, peer: &Peer) -> Option<&'a InClusterRoute> {
    let leads = |route: &&InClusterRoute| {
        peer.services.iter().any(|service| service.namespace == route.namespace && service.name == route.service)
    };
    document.in_cluster.iter().find(leads)
}

/// What another pod must be covered for to exchange data with this one.
pub(super) struct Asked<'a> {
    /// Every category that the holdings of this one hold.
    pub(super) data: BTreeSet<Category>,
    /// Every standard that binds them: whoever is bound by fewer may hand on what this one may not.
    standards: BTreeSet<&'a str>,
}

impl<'a> Asked<'a> {
    pub(super) fn by(documents: &'a [PolicyDocument]) -> Self {
        let standards = documents.iter().flat_map(|document| &document.standards);
        Self {
            data: documents.iter().flat_map(|document| document.data.iter().copied()).collect(),
            standards: standards.map(|networks| networks.standard.as_str()).collect(),
        }
    }

    /// Why a pod with these holdings is not covered for as much; none where it is.
    pub(super) fn lacks(&self, covers: &BTreeSet<Cover>) -> Option<Reason> {
        let enforcing = || covers.iter().filter(|cover| cover.enforcing);
        if enforcing().next().is_some() && self.are_held(enforcing()) && self.bind(enforcing()) {
            return None;
        }
        Some(if covers.is_empty() {
            Reason::InClusterUnlisted
        } else if !self.are_held(covers.iter()) {
            Reason::PeerOtherData
        } else if !self.bind(covers.iter()) {
            Reason::PeerOtherStandards
        } else {
            Reason::PeerNotEnforcing
        })
    }

    fn are_held<'c>(&self, covers: impl Iterator<Item = &'c Cover>) -> bool {
        self.data.is_subset(&covers.flat_map(|cover| cover.data.iter().copied()).collect())
    }

    fn bind<'c>(&self, covers: impl Iterator<Item = &'c Cover>) -> bool {
        let binding: BTreeSet<&str> = covers.flat_map(|cover| cover.standards.iter().map(String::as_str)).collect();
        self.standards.iter().all(|standard| binding.contains(standard))
    }
}

fn deny(document: &PolicyDocument, reason: Reason) -> Verdict {
    Verdict::Deny(Denial { holding: Some(document.holding.to_string()), ..Denial::of(reason) })
}

#[cfg(test)]
mod tests;
