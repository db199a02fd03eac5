//! One declared transfer, compiled into a route.

use std::collections::BTreeSet;

use ipnet::IpNet;
use jiff::Timestamp;
use shekara_policy::address::Address;
use shekara_policy::document::{HoldingReference, PermitWindow, Route};
use shekara_policy::{Category, Reason};

use super::bar::{Asked, Bar, bar};
use super::problem::{ProblemCode, Problems, categories};
use super::recipient::{Parsed, Permit};
use super::standard::Standard;
use super::{Party, Surroundings, empty};
use crate::data_holding::Transfer;
use crate::quantity;

/// A route, and when the first permit that it uses expires.
pub(super) struct Routed {
    pub(super) route: Route,
    pub(super) expires: Option<Timestamp>,
    /// Who the recipient is; none where there is no such recipient.
    pub(super) party: Option<Party>,
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
        return Routed { route: closed(transfer, data, Reason::RouteInvalid), expires: None, party: None };
    };
    if let Some(category) = data.difference(held).next() {
        let message = format!("the holding does not hold {category}: spec.data does not name it");
        problems.add(&format!("{field}.data"), ProblemCode::DataNotHeld, message);
    }
    let approved = approval(transfer, field, problems);
    let max_out_per_day = transfer.max_out_per_day.as_deref();
    let max_out_per_day =
        max_out_per_day.and_then(|text| problems.check(&format!("{field}.maxOutPerDay"), quantity::bytes(text)));
    let recipient = Parsed::parse(recipient, problems);
    let unreadable = problems.len() > before || standards.iter().any(|standard| standard.broken);
    let purpose = transfer.purpose.as_deref();
    let permits = recipient.needs_permit.then(|| usable(&recipient.permits, holding, purpose, standards));
    let empty = data.is_empty().then(|| empty::terms(standards, recipient.country, approved));
    let asked = Asked { data: &data, empty: empty.as_ref(), purpose, recipient: &recipient, holding, standards, unreadable };
    let barred = bar(&asked);
    let party = Party {
        country: recipient.country,
        parent_country: recipient.parent_country.filter(|parent| *parent != recipient.country),
        shared: recipient.endpoints.iter().any(|endpoint| endpoint.shared),
    };
    let route = Route {
        recipient: transfer.recipient.clone(),
        endpoints: recipient.endpoints,
        constraints: standards.iter().flat_map(|standard| standard.constraints(&data)).collect(),
        permits: permits.clone(),
        barred: barred.as_ref().map(|bar| bar.reason),
        empty,
        max_out_per_day,
        emergency: recipient.emergency,
        data,
    };
    let open = barred.is_none();
    // what is wrong with the whole, or was named with its field, is not said once more
    let said = |bar: &Bar| bar.code != ProblemCode::InvalidField && !standards.is_empty();
    if let Some(bar) = barred.filter(said) {
        let field = if bar.code == ProblemCode::NoApproval { format!("{field}.approval") } else { field.to_owned() };
        problems.add(&field, bar.code, format!("recipient {}: {}", transfer.recipient, bar.message));
    }
    let expires = check_time(&route, field, around.now, open, problems);
    Routed { route, expires, party: Some(party) }
}

/// Whether the transfer names who approved it, on a day that is one.
fn approval(transfer: &Transfer, field: &str, problems: &mut Problems) -> bool {
    let Some(approval) = &transfer.approval else { return false };
    problems.check(&format!("{field}.approval.date"), approval.date.parse::<jiff::civil::Date>()).is_some()
}

fn closed(transfer: &Transfer, data: BTreeSet<Category>, reason: Reason) -> Route {
    Route {
        recipient: transfer.recipient.clone(),
        data,
        endpoints: vec![],
        constraints: vec![],
        permits: None,
        barred: Some(reason),
        empty: None,
        max_out_per_day: None,
        emergency: false,
    }
}

/// The permits that the holding may use for the purpose, reduced to the categories for which every standard allows their ground.
fn usable(permits: &[Permit], holding: &HoldingReference, purpose: Option<&str>, standards: &[Standard]) -> Vec<PermitWindow> {
    let reduce = |permit: &Permit| {
        let allowed = |category: &&Category| standards.iter().all(|standard| standard.allows_ground(**category, permit.ground));
        PermitWindow { data: permit.window.data.iter().filter(allowed).copied().collect(), ..permit.window.clone() }
    };
    let may_use = |permit: &&Permit| permit.is_for(holding) && permit.is_for_purpose(purpose);
    permits.iter().filter(may_use).map(reduce).collect()
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
