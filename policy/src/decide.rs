//! The decision: may this flow leave, by these documents, at this time?

mod approach;
mod country;
mod egress;
mod empty;
mod explain;
mod inbound;
mod peer;
mod question;
mod route;
mod telling;

use std::collections::BTreeSet;

use jiff::Timestamp;

pub use approach::{Approach, approach};
pub use egress::is_egress;
pub use explain::{Considered, Explained, explain};
pub use inbound::{OPEN, decide_inbound};
pub use peer::is_inside;
pub use question::{Question, can_be_answer, chosen_below, chosen_in_cluster, decide_question};
pub use route::closed;
pub use telling::most_telling;

use crate::address::Scope;
use crate::country::Country;
use crate::document::PolicyDocument;
use crate::flow::Flow;
use crate::geo::CountrySource;
use crate::peer::PeerSource;
use crate::reason::Reason;
use crate::verdict::{Budget, Denial, Grant, Rule, Verdict};

/// What a decision needs besides the flow.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The documents of all holdings of the pod.
    pub documents: &'a [PolicyDocument],
    /// Who knows the countries of addresses.
    pub geo: &'a dyn CountrySource,
    /// Who knows the peers inside the cluster.
    pub peers: &'a dyn PeerSource,
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
    if let Some(proxy) = flow.via {
        return egress::decide(judge, flow, proxy);
    }
    if let Some(address) = flow.address.filter(|address| is_inside(judge, *address)) {
        return peer::decide(judge, flow, address);
    }
    decide_outside(judge, flow)
}

fn decide_outside(judge: Judge<'_>, flow: &Flow) -> Verdict {
    let place = flow.address.map(|address| country::locate(judge, address));
    let country = place.map(|place| place.located.unwrap_or(Country::UNKNOWN));
    let mut rules = Vec::with_capacity(judge.documents.len());
    let mut data = BTreeSet::new();
    let mut budgets = Vec::new();
    for document in judge.documents {
        let holding = document.holding.to_string();
        match route::best(document, flow, place, judge.now) {
            Ok(route::Taken { route, budget, .. }) => {
                let recipient = route.recipient.clone();
                budgets.extend(budget.map(|max_out_per_day| Budget {
                    holding: holding.clone(),
                    recipient: recipient.clone(),
                    max_out_per_day,
                }));
                data.extend(route.data.iter().copied());
                rules.push(Rule { holding, recipient });
            }
            Err(route::Refused { denial, .. }) => {
                let country = if denial.reason == Reason::SharedTenancy { Some(Country::UNKNOWN) } else { country };
                return Verdict::Deny(Denial { holding: Some(holding), country, ..denial });
            }
        }
    }
    Verdict::Allow(Grant { rules, data, country, budgets })
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
