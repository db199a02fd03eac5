//! The decision: may this flow leave, by these documents, at this time?

mod approach;
mod country;
mod question;
mod route;
mod telling;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use approach::{Approach, approach};
pub use question::{Question, decide_question};
pub use route::closed;
pub use telling::most_telling;

use crate::address::Scope;
use crate::country::Country;
use crate::document::PolicyDocument;
use crate::flow::{Flow, Protocol};
use crate::geo::CountrySource;
use crate::reason::Reason;
use crate::verdict::{Denial, Grant, Rule, Verdict};

/// What a decision needs besides the flow.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The documents of all holdings of the pod.
    pub documents: &'a [PolicyDocument],
    /// Who knows the countries of addresses.
    pub geo: &'a dyn CountrySource,
    /// The time of the decision.
    pub now: Timestamp,
}

/// May the flow leave?
///
/// It may when every document has a route to it that is open now, and each standard behind that route allows the country. A pod
/// without a document may do nothing. While the flow has no address, only its name, port and protocol are judged: an
/// [`Verdict::Allow`] then means that the name may be looked up.
#[must_use]
pub fn decide(judge: Judge<'_>, flow: &Flow) -> Verdict {
    if judge.documents.is_empty() {
        return Reason::NoDocument.into();
    }
    if is_in_cluster(judge.documents, flow) {
        return in_cluster(judge.documents, flow);
    }
    let place = flow.address.map(|address| country::locate(judge, address));
    let country = place.map(|place| place.unwrap_or(Country::UNKNOWN));
    let mut rules = Vec::with_capacity(judge.documents.len());
    let mut data = BTreeSet::new();
    for document in judge.documents {
        match route::best(document, flow, place, judge.now) {
            Ok(route) => {
                rules.push(Rule { holding: document.holding.to_string(), recipient: route.recipient.clone() });
                data.extend(route.data.iter().copied());
            }
            Err(denial) => {
                return Verdict::Deny(Denial { holding: Some(document.holding.to_string()), country, ..denial });
            }
        }
    }
    Verdict::Allow(Grant { rules, data, country })
}

fn is_in_cluster(documents: &[PolicyDocument], flow: &Flow) -> bool {
    flow.address.is_some_and(|address| {
        documents.iter().flat_map(|document| &document.cluster.networks).any(|network| network.contains(&address.ip()))
    })
}

/// Destinations inside the cluster are judged by address alone, and only TCP reaches them.
fn in_cluster(documents: &[PolicyDocument], flow: &Flow) -> Verdict {
    let mut rules = Vec::with_capacity(documents.len());
    let mut data = BTreeSet::new();
    for document in documents {
        let holding = document.holding.to_string();
        let listed = document.in_cluster.iter().find(|route| {
            flow.protocol != Protocol::Udp
                && route.ports.contains(&flow.port)
                && flow.address.is_some_and(|address| route.addresses.contains(&address.ip()))
        });
        let Some(route) = listed else {
            return Verdict::Deny(Denial { holding: Some(holding), ..Denial::of(Reason::InClusterUnlisted) });
        };
        rules.push(Rule { holding, recipient: format!("{}/{}", route.namespace, route.service) });
        data.extend(route.data.iter().copied());
    }
    Verdict::Allow(Grant { rules, data, country: None })
}

/// Whether an address of this scope can be a party at all, given that a transfer lists a network that holds it.
fn can_be_listed(scope: Scope, as_network: bool) -> bool {
    match scope {
        Scope::Global => true,
        Scope::Private | Scope::LinkLocal => as_network,
        Scope::Loopback | Scope::Multicast | Scope::Reserved | Scope::Translated => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
