//! One declared transfer, compiled into a route.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::Timestamp;
use shekara_policy::address::Address;
use shekara_policy::document::{HoldingReference, PermitWindow, Route};
use shekara_policy::{Category, Reason};

use super::Surroundings;
use super::problem::{ProblemCode, Problems, categories};
use super::recipient::{Parsed, Permit};
use super::standard::Standard;
use crate::data_holding::Transfer;
use crate::sovereignty_standard::EmptyTransfer;

/// A route, and when the first permit that it uses expires.
pub(super) struct Routed {
    pub(super) route: Route,
    pub(super) expires: Option<Timestamp>,
}

/// Compiles a transfer. A route that cannot be open stays in the document, barred, so that its denials say why.
pub(super) fn compile(
    transfer: &Transfer,
    field: &str,
    holding: &HoldingReference,
    held: &BTreeSet<Category>,
    standards: &[Standard],
    around: Surroundings<'_>,
    problems: &mut Problems,
) -> Routed {
    let before = problems.len();
    let data = categories(&transfer.data, &format!("{field}.data"), problems);
    let Some(recipient) = around.recipients.get(&transfer.recipient) else {
        let message = format!("there is no Recipient {:?}", transfer.recipient);
        problems.add(&format!("{field}.recipient"), ProblemCode::RecipientNotFound, message);
        return Routed { route: closed(transfer, data, Reason::RouteInvalid), expires: None };
    };
    if let Some(category) = data.difference(held).next() {
        let message = format!("the holding does not hold {category}: spec.data does not name it");
        problems.add(&format!("{field}.data"), ProblemCode::DataNotHeld, message);
    }
    let recipient = Parsed::parse(recipient, problems);
    let unreadable = problems.len() > before || standards.iter().any(|standard| standard.broken);
    let permits = recipient.needs_permit.then(|| usable(&recipient.permits, holding, standards));
    let barred = bar(&data, unreadable, &recipient, holding, standards);
    let route = Route {
        recipient: transfer.recipient.clone(),
        endpoints: recipient.endpoints,
        constraints: standards.iter().flat_map(|standard| standard.constraints(&data)).collect(),
        permits: permits.clone(),
        barred: barred.map(|(reason, _, _)| reason),
        data,
    };
    if let Some((_, code, message)) =
        barred.filter(|(reason, _, _)| *reason != Reason::NoStandard && *reason != Reason::RouteInvalid)
    {
        problems.add(field, code, format!("recipient {}: {message}", transfer.recipient));
    }
    let expires = check_time(&route, field, around.now, barred.is_none(), problems);
    Routed { route, expires }
}

fn closed(transfer: &Transfer, data: BTreeSet<Category>, reason: Reason) -> Route {
    Route {
        recipient: transfer.recipient.clone(),
        data,
        endpoints: vec![],
        constraints: vec![],
        permits: None,
        barred: Some(reason),
    }
}

/// The permits that the holding may use, reduced to the categories for which every standard allows their ground.
fn usable(permits: &[Permit], holding: &HoldingReference, standards: &[Standard]) -> Vec<PermitWindow> {
    let reduce = |permit: &Permit| {
        let allowed = |category: &&Category| standards.iter().all(|standard| standard.allows_ground(**category, permit.ground));
        PermitWindow { data: permit.window.data.iter().filter(allowed).copied().collect(), ..permit.window.clone() }
    };
    permits.iter().filter(|permit| permit.is_for(holding)).map(reduce).collect()
}

/// Why a route is closed whatever the destination and the time.
fn bar(
    data: &BTreeSet<Category>,
    unreadable: bool,
    recipient: &Parsed,
    holding: &HoldingReference,
    standards: &[Standard],
) -> Option<(Reason, ProblemCode, &'static str)> {
    if standards.is_empty() {
        return Some((Reason::NoStandard, ProblemCode::NoStandard, "no standard applies"));
    }
    if unreadable {
        return Some((Reason::RouteInvalid, ProblemCode::InvalidField, "the declaration cannot be compiled"));
    }
    if data.is_empty() && standards.iter().any(|standard| standard.empty_home == EmptyTransfer::Denied) {
        let message = "a standard does not allow routes that claim to carry no data";
        return Some((Reason::EmptyTransferDenied, ProblemCode::EmptyTransferDenied, message));
    }
    let constraints: Vec<_> = standards.iter().flat_map(|standard| standard.constraints(data)).collect();
    if constraints.iter().any(|constraint| !constraint.countries.contains(&recipient.country)) {
        let message = "the recipient's own country is not one that the standards allow for this data";
        return Some((Reason::CrossBorder, ProblemCode::CrossBorder, message));
    }
    if recipient.needs_permit {
        return data.iter().find_map(|category| permit_bar(*category, recipient, holding, standards));
    }
    None
}

fn permit_bar(
    category: Category,
    recipient: &Parsed,
    holding: &HoldingReference,
    standards: &[Standard],
) -> Option<(Reason, ProblemCode, &'static str)> {
    let mut covering =
        recipient.permits.iter().filter(|permit| permit.is_for(holding) && permit.window.data.contains(&category)).peekable();
    if covering.peek().is_none() {
        return Some((Reason::NoPermit, ProblemCode::NoPermit, "no permit covers the route's data for this holding"));
    }
    let grounded = covering.any(|permit| standards.iter().all(|standard| standard.allows_ground(category, permit.ground)));
    let message = "no permit rests on a ground that the standards allow for this data";
    (!grounded).then_some((Reason::GroundNotAllowed, ProblemCode::GroundNotAllowed, message))
}

/// Names permits that are out of time now, and says when the next of those in use expires.
fn check_time(route: &Route, field: &str, now: Timestamp, open: bool, problems: &mut Problems) -> Option<Timestamp> {
    let permits = route.permits.as_ref().filter(|_| open)?;
    let mut expires = None;
    for category in &route.data {
        let covering = || permits.iter().filter(|permit| permit.data.contains(category));
        let begun = |permit: &&PermitWindow| permit.valid_from.is_none_or(|from| from <= now);
        let current = covering().filter(begun).filter(|permit| permit.valid_until.is_none_or(|until| now < until));
        // of several permits for a category the one that lasts longest counts; one without an end lasts for ever
        let ends: Vec<Option<Timestamp>> = current.map(|permit| permit.valid_until).collect();
        let recipient = &route.recipient;
        if ends.is_empty() {
            let future = covering().any(|permit| !begun(&permit));
            let (code, text, name) = if future {
                (ProblemCode::PermitNotYetValid, "is not valid yet", "validFrom")
            } else {
                (ProblemCode::PermitExpired, "has expired", "validUntil")
            };
            let message = format!("the permit of Recipient/{recipient} for {category} {text} (spec.permits[].{name})");
            problems.add(field, code, message);
        } else if let Some(end) = ends.into_iter().collect::<Option<Vec<_>>>().and_then(|ends| ends.into_iter().max()) {
            expires = Some(expires.map_or(end, |earlier: Timestamp| earlier.min(end)));
        }
    }
    expires
}

/// A network in canonical form: a mapped IPv6 network of IPv4 addresses would never match, since addresses are unwrapped.
pub(super) fn network(text: &str) -> Result<IpNet, NetworkError> {
    let network: IpNet = text.parse().map_err(|_| NetworkError::Unreadable(text.to_owned()))?;
    if network.network() != network.addr() {
        return Err(NetworkError::HostBits(text.to_owned(), network.trunc()));
    }
    if Address::new(network.addr()).ip() != network.addr() && network.prefix_len() >= 96 {
        return Err(NetworkError::Mapped(text.to_owned()));
    }
    Ok(network)
}

/// A text that is not a network in canonical form.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetworkError {
    #[error("{0:?} is not a CIDR, as in 192.0.2.0/24")]
    Unreadable(String),
    #[error("{0:?} has bits set behind its prefix; {1} is meant")]
    HostBits(String, IpNet),
    #[error("{0:?} is an IPv4 network written as IPv6; write it as IPv4")]
    Mapped(String),
}
