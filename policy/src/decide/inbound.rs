//! The decision of the other direction: may this client connect to the pod? Whoever connects can read, so that is a transfer too.
//!
//! A client passes by a document whose standards ask for no lists. By any other it passes when each standard that asks for lists
//! names it as a source of the platform, or it is a pod that is covered for all data of the pod by as many standards, or it is outside the cluster and the
//! holding declares it, in a country that every standard allows for what it reads.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::country::{self, Place};
use super::peer::{Asked, is_inside};
use super::{Judge, can_be_listed};
use crate::category::Category;
use crate::country::Country;
use crate::document::{Client, Inbound, InboundTerms, PolicyDocument};
use crate::flow::Inflow;
use crate::peer::{End, Peer, SourceName};
use crate::reason::Reason;
use crate::verdict::{Denial, Grant, Rule, Verdict};

/// What the rules of grants say of a document whose standards ask for no lists.
pub const OPEN: &str = "*";

/// May the client connect?
///
/// It may when every document lets it. A pod without a document takes no connections.
#[must_use]
pub fn decide_inbound(judge: Judge<'_>, flow: &Inflow) -> Verdict {
    if judge.documents.is_empty() {
        return Reason::NoDocument.into();
    }
    let caller = Caller::new(judge, *flow);
    let mut grant = Grant { rules: vec![], data: BTreeSet::new(), country: caller.country(), budgets: vec![] };
    for document in judge.documents {
        let passed = match &document.inbound {
            None => Ok(Passed { by: OPEN.to_owned(), data: document.data.clone() }),
            Some(inbound) => caller.passes(document, inbound),
        };
        match passed {
            Ok(Passed { by, data }) => {
                grant.rules.push(Rule { holding: document.holding.to_string(), recipient: by });
                grant.data.extend(data);
            }
            Err(denial) => {
                let holding = Some(document.holding.to_string());
                return Verdict::Deny(Denial { holding, country: caller.country(), ..denial });
            }
        }
    }
    Verdict::Allow(grant)
}

/// That a client may connect by a document.
struct Passed {
    by: String,
    /// The categories that it may read, as far as anybody has said it.
    data: BTreeSet<Category>,
}

/// Where the client is.
enum Whence {
    /// Inside the cluster, with who is there: nobody says it as long as that is absent.
    Inside(Option<Arc<Peer>>),
    Outside(Place),
}

struct Caller<'a> {
    judge: Judge<'a>,
    flow: Inflow,
    whence: Whence,
    asked: Asked<'a>,
}

impl<'a> Caller<'a> {
    fn new(judge: Judge<'a>, flow: Inflow) -> Self {
        let whence = if is_inside(judge, flow.client) {
            // the port from which a client connects says nothing of it
            Whence::Inside(judge.peers.peer(SocketAddr::new(flow.client.ip(), 0)))
        } else {
            Whence::Outside(country::locate(judge, flow.client))
        };
        Self { judge, flow, whence, asked: Asked::by(judge.documents) }
    }

    fn country(&self) -> Option<Country> {
        match &self.whence {
            Whence::Inside(_) => None,
            Whence::Outside(place) => Some(place.located.unwrap_or(Country::UNKNOWN)),
        }
    }

    fn passes(&self, document: &PolicyDocument, inbound: &Inbound) -> Result<Passed, Denial> {
        let sources: Result<Vec<String>, &InboundTerms> =
            inbound.standards.iter().map(|terms| self.listed(terms).ok_or(terms)).collect();
        let missing = match sources {
            Ok(sources) => match sources.into_iter().next() {
                Some(by) => return Ok(Passed { by, data: document.data.clone() }),
                // no standard asks for lists and the document has them: nothing says who may connect
                None => return Err(Denial::of(Reason::InboundUnlisted)),
            },
            Err(terms) => terms,
        };
        self.by_itself(inbound)
            .map_err(|denial| Denial { standard: denial.standard.or(Some(missing.standard.clone())), ..denial })
    }

    /// The source of the platform, as this standard lists it.
    fn listed(&self, terms: &InboundTerms) -> Option<String> {
        let ip = self.flow.client.ip();
        let known = |name: &str| match &self.whence {
            Whence::Inside(Some(peer)) => {
                let source = SourceName { standard: terms.standard.clone(), name: name.to_owned() };
                is_pods(peer) && peer.sources.contains(&source)
            }
            _ => false,
        };
        let source =
            terms.from.iter().filter(|source| source.reaches(self.flow.port)).find(|source| {
                source.networks.iter().any(|network| network.contains(&ip)) || source.pods && known(&source.name)
            })?;
        Some(format!("{}/{}", terms.standard, source.name))
    }

    /// What lets the client in whatever a standard lists: that it is covered, or that the holding declares it.
    fn by_itself(&self, inbound: &Inbound) -> Result<Passed, Denial> {
        match &self.whence {
            Whence::Inside(None) => Err(Denial::of(Reason::PeerUnanswered)),
            Whence::Inside(Some(peer)) => self.covered(peer).map_err(Denial::of),
            Whence::Outside(place) => self.declared(inbound, *place),
        }
    }

    fn covered(&self, peer: &Peer) -> Result<Passed, Reason> {
        if !is_pods(peer) {
            return Err(Reason::InboundUnlisted);
        }
        let mut by = None;
        for end in &peer.ends {
            let End::Pod(covers) = end else { return Err(Reason::InboundUnlisted) };
            match self.asked.lacks(covers) {
                None => by = by.or(covers.iter().find(|cover| cover.enforcing).map(|cover| cover.holding.clone())),
                Some(Reason::PeerOtherData) => return Err(Reason::InboundOtherData),
                Some(Reason::PeerOtherStandards) => return Err(Reason::InboundOtherStandards),
                Some(Reason::PeerNotEnforcing) => return Err(Reason::InboundNotEnforcing),
                Some(_) => return Err(Reason::InboundUnlisted),
            }
        }
        if self.judge.documents.iter().any(|document| document.peers_denied) {
            return Err(Reason::InboundPeerDenied);
        }
        by.map(|by| Passed { by, data: self.asked.data.clone() }).ok_or(Reason::InboundUnlisted)
    }

    /// The first of the holding's clients that this is and that may connect, or why the first that this is may not.
    fn declared(&self, inbound: &Inbound, place: Place) -> Result<Passed, Denial> {
        let scope = self.flow.client.scope();
        let is = |client: &&Client| {
            can_be_listed(scope, true) && client.reaches(self.flow.port) && client.network.contains(&self.flow.client.ip())
        };
        let mut refused = None;
        for client in inbound.clients.iter().filter(is) {
            match allowed(client, place) {
                Ok(()) => return Ok(Passed { by: client.network.to_string(), data: client.data.clone() }),
                Err(denial) => refused = refused.or(Some(denial)),
            }
        }
        Err(refused.unwrap_or_else(|| Denial::of(Reason::InboundUnlisted)))
    }
}

/// Whether nobody but pods has the address.
fn is_pods(peer: &Peer) -> bool {
    !peer.ends.is_empty() && peer.ends.iter().all(|end| matches!(end, End::Pod(_)))
}

fn allowed(client: &Client, place: Place) -> Result<(), Denial> {
    if let Some(reason) = client.barred {
        return Err(Denial::of(reason));
    }
    let country = place.located.map_err(|_| Denial::of(Reason::InboundUnknownCountry))?;
    if let Some(constraint) = client.constraints.iter().find(|constraint| !constraint.countries.contains(&country)) {
        let standard = Some(constraint.standard.clone());
        return Err(Denial { standard, rule: constraint.rule, ..Denial::of(Reason::InboundCrossBorder) });
    }
    match client.country {
        Some(declared) if declared != country => Err(Denial::of(Reason::InboundCrossBorder)),
        // data that no standard constrains may be read from nowhere
        _ if client.constraints.is_empty() => Err(Denial::of(Reason::NoStandard)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
