//! The routes of one document: which one, if any, takes the flow.

use jiff::Timestamp;

use super::can_be_listed;
use super::country::Place;
use crate::address::Address;
use crate::category::Category;
use crate::country::Country;
use crate::document::{Constraint, Endpoint, PermitWindow, PolicyDocument, Route, Target};
use crate::flow::{Flow, Protocol};
use crate::reason::Reason;
use crate::verdict::Denial;

/// How far a route went before it said no, so that the most telling denial is reported: a route to another party says least.
type Distance = u8;

/// A route that takes the flow.
pub(super) struct Taken<'a> {
    /// The number of the route, from 0.
    pub(super) number: usize,
    pub(super) route: &'a Route,
    /// How many bytes may leave by it, a pod and day of UTC.
    pub(super) budget: Option<u64>,
}

/// That no route takes the flow.
pub(super) struct Refused {
    /// The number of the route that came closest, from 0.
    pub(super) number: Option<usize>,
    pub(super) denial: Denial,
}

/// The route that takes the flow, or the denial of the one that came closest. Of several the first that bounds nothing, or else
/// the one with the largest bound: another way to say the same never closes a flow earlier.
pub(super) fn best<'a>(
    document: &'a PolicyDocument,
    flow: &Flow,
    place: Option<Place>,
    now: Timestamp,
) -> Result<Taken<'a>, Refused> {
    let mut taken: Option<Taken<'a>> = None;
    let mut closest: (Distance, Refused) = (0, Refused { number: None, denial: unlisted(flow) });
    let freedom = |budget: Option<u64>| (budget.is_none(), budget);
    for (number, route) in document.routes.iter().enumerate() {
        let judged = judge(route, flow, place, now).and_then(|budget| may_hide(document, flow).map(|()| budget));
        match judged {
            Ok(budget) if taken.as_ref().is_none_or(|taken| freedom(budget) > freedom(taken.budget)) => {
                taken = Some(Taken { number, route, budget });
            }
            Err((distance, denial)) if distance > closest.0 => {
                let denial = Denial { recipient: Some(route.recipient.clone()), ..denial };
                closest = (distance, Refused { number: Some(number), denial });
            }
            Ok(_) | Err(_) => {}
        }
    }
    taken.ok_or(closest.1)
}

/// The denial where no route lists the destination at all.
fn unlisted(flow: &Flow) -> Denial {
    let can_be = flow.address.is_none_or(|address| can_be_listed(address.scope(), false));
    Denial::of(match flow.protocol {
        _ if !can_be => Reason::ForbiddenAddress,
        Protocol::Udp => Reason::UnlistedDatagram,
        _ => Reason::UnlistedParty,
    })
}

/// How many bytes may leave by the route, or why none may.
fn judge(route: &Route, flow: &Flow, place: Option<Place>, now: Timestamp) -> Result<Option<u64>, (Distance, Denial)> {
    let deny = |distance, reason| (distance, Denial::of(reason));
    let there: Vec<&Endpoint> = route.endpoints.iter().filter(|endpoint| lists(endpoint, flow)).collect();
    if there.is_empty() {
        return Err(deny(0, Reason::UnlistedParty));
    }
    if !there.iter().any(|endpoint| endpoint.speaks(flow.protocol)) {
        return Err(deny(1, Reason::ProtocolMismatch));
    }
    let reachable = || there.iter().filter(|endpoint| endpoint.speaks(flow.protocol) && reaches(endpoint, flow.address));
    if reachable().next().is_none() {
        return Err(deny(2, Reason::ForbiddenAddress));
    }
    if let Some(reason) = route.barred {
        return Err(deny(3, reason));
    }
    permitted(route, now).map_err(|reason| deny(4, reason))?;
    let place = place.map(|place| place.of(reachable().any(|endpoint| endpoint.shared)));
    for constraint in &route.constraints {
        let standard = |reason| {
            let standard = Some(constraint.standard.clone());
            (5, Denial { standard, rule: constraint.rule, ..Denial::of(reason) })
        };
        allows(constraint, flow, place).map_err(standard)?;
    }
    // A route that no standard constrains is still judged: an unknown country is never allowed.
    let country = place.transpose().map_err(|reason| deny(5, reason))?;
    // where a proxy takes the flow nobody knows, which is abroad
    let country = country.or_else(|| flow.via.map(|_| Country::UNKNOWN));
    let bound = match country {
        Some(country) if route.data.is_empty() || route.empty.is_some() => {
            super::empty::judge(route.empty.as_ref(), country).map_err(|denial| (5, denial))?
        }
        _ => None,
    };
    Ok([bound, route.max_out_per_day].into_iter().flatten().min())
}

/// A hello in which another name may be hidden passes only where every standard takes its outer name for it.
fn may_hide(document: &PolicyDocument, flow: &Flow) -> Result<(), (Distance, Denial)> {
    let against = document.standards.iter().find(|standard| !standard.passes_ech);
    if !flow.ech || (against.is_none() && !document.standards.is_empty()) {
        return Ok(());
    }
    let standard = against.map(|standard| standard.standard.clone());
    Err((5, Denial { standard, ..Denial::of(Reason::EncryptedClientHello) }))
}

/// Whether the endpoint lists the flow's party and port, by name or, once an address is known, by network.
fn lists(endpoint: &Endpoint, flow: &Flow) -> bool {
    endpoint.ports.contains(&flow.port)
        && match &endpoint.target {
            Target::Host(pattern) => flow.name.as_ref().is_some_and(|name| pattern.matches(name)),
            Target::Network(network) => flow.address.is_some_and(|address| network.contains(&address.ip())),
        }
}

fn reaches(endpoint: &Endpoint, address: Option<Address>) -> bool {
    address.is_none_or(|address| can_be_listed(address.scope(), matches!(endpoint.target, Target::Network(_))))
}

/// Why a route takes no flow at this time, wherever it goes; none where it is open.
#[must_use]
pub fn closed(route: &Route, now: Timestamp) -> Option<Reason> {
    route.barred.or_else(|| permitted(route, now).err())
}

/// Every category of the route is covered by a permit that is valid now.
fn permitted(route: &Route, now: Timestamp) -> Result<(), Reason> {
    let Some(permits) = &route.permits else { return Ok(()) };
    route.data.iter().try_for_each(|category| category_permitted(permits, *category, now))
}

fn category_permitted(permits: &[PermitWindow], category: Category, now: Timestamp) -> Result<(), Reason> {
    let mut reason = Reason::NoPermit;
    for permit in permits.iter().filter(|permit| permit.data.contains(&category)) {
        if permit.valid_from.is_some_and(|from| now < from) {
            reason = Reason::PermitNotYetValid;
        } else if permit.valid_until.is_some_and(|until| now >= until) {
            reason = Reason::PermitExpired;
        } else {
            return Ok(());
        }
    }
    Err(reason)
}

fn allows(constraint: &Constraint, flow: &Flow, place: Option<Result<Country, Reason>>) -> Result<(), Reason> {
    match place {
        Some(Ok(country)) if !constraint.countries.contains(&country) => return Err(Reason::CrossBorder),
        Some(Err(reason)) => return Err(reason),
        _ => {}
    }
    match constraint.min_tls {
        Some(_) if flow.protocol != Protocol::Tls => Err(Reason::TLSTooOld),
        Some(min) if flow.tls.is_none_or(|offered| offered < min) => Err(Reason::TLSTooOld),
        _ => Ok(()),
    }
}
