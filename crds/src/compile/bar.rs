//! Why a route is closed whatever the destination and the time.

use std::collections::BTreeSet;

use shekara_policy::document::{EmptyRoute, HoldingReference};
use shekara_policy::{Category, Reason};

use super::problem::ProblemCode;
use super::recipient::Parsed;
use super::standard::Standard;

/// A closed route: what the document says, and what the owner is told.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) reason: Reason,
    pub(super) code: ProblemCode,
    pub(super) message: String,
}

impl Bar {
    pub(super) fn new(reason: Reason, code: ProblemCode, message: impl Into<String>) -> Self {
        Self { reason, code, message: message.into() }
    }
}

/// What is asked about.
pub(super) struct Asked<'a> {
    pub(super) data: &'a BTreeSet<Category>,
    /// What the standards say of it where it claims to carry no data.
    pub(super) empty: Option<&'a EmptyRoute>,
    pub(super) purpose: Option<&'a str>,
    pub(super) recipient: &'a Parsed,
    pub(super) holding: &'a HoldingReference,
    pub(super) standards: &'a [Standard],
    /// Whether a part of the declaration cannot be read.
    pub(super) unreadable: bool,
}

/// The first reason to close the route, if there is one.
pub(super) fn bar(asked: &Asked<'_>) -> Option<Bar> {
    let Asked { data, recipient, standards, .. } = *asked;
    if standards.is_empty() {
        return Some(Bar::new(Reason::NoStandard, ProblemCode::NoStandard, "no standard applies"));
    }
    if asked.unreadable {
        return Some(Bar::new(Reason::RouteInvalid, ProblemCode::InvalidField, "the declaration cannot be compiled"));
    }
    if let Some(category) = data.iter().find(|category| !standards.iter().any(|standard| standard.binds(**category))) {
        let message = format!("no standard binds {category}, so nothing says where it may go");
        return Some(Bar::new(Reason::NoStandard, ProblemCode::NoStandard, message));
    }
    if let Some(bar) = asked.empty.and_then(super::empty::bar) {
        return Some(bar);
    }
    let constraints: Vec<_> = standards.iter().flat_map(|standard| standard.constraints(data)).collect();
    if let Some(constraint) = constraints.iter().find(|constraint| !constraint.countries.contains(&recipient.country)) {
        let standard = &constraint.standard;
        let message = format!("the standard {standard} does not allow the recipient's own country for this data");
        return Some(Bar::new(Reason::CrossBorder, ProblemCode::CrossBorder, message));
    }
    if recipient.needs_permit {
        return data.iter().find_map(|category| permit_bar(*category, asked));
    }
    None
}

fn permit_bar(category: Category, asked: &Asked<'_>) -> Option<Bar> {
    let Asked { recipient, holding, standards, purpose, .. } = *asked;
    let covering = || recipient.permits.iter().filter(|permit| permit.is_for(holding) && permit.window.data.contains(&category));
    if covering().next().is_none() {
        let message = "no permit covers the route's data for this holding";
        return Some(Bar::new(Reason::NoPermit, ProblemCode::NoPermit, message));
    }
    let for_purpose = || covering().filter(|permit| permit.is_for_purpose(purpose));
    if for_purpose().next().is_none() {
        let message = "the permits for the route's data are for other purposes than the transfer's";
        return Some(Bar::new(Reason::PurposeNotPermitted, ProblemCode::PurposeNotPermitted, message));
    }
    let grounded = for_purpose().any(|permit| standards.iter().all(|standard| standard.allows_ground(category, permit.ground)));
    let message = "no permit rests on a ground that the standards allow for this data";
    (!grounded).then(|| Bar::new(Reason::GroundNotAllowed, ProblemCode::GroundNotAllowed, message))
}
