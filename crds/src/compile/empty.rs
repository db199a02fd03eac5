//! What the standards say of a transfer that claims to carry no data.

use std::collections::BTreeSet;

use shekara_policy::document::{EmptyRoute, EmptyTerms, Leave};
use shekara_policy::{Country, Reason};

use super::bar::Bar;
use super::problem::ProblemCode;
use super::standard::Standard;

/// The terms of each standard. For a recipient under the law of another country nowhere is home.
pub(super) fn terms(standards: &[Standard], recipient: Country, approved: bool) -> EmptyRoute {
    let term = |standard: &Standard| EmptyTerms {
        standard: standard.name.clone(),
        home: if standard.home.contains(&recipient) { standard.home.clone() } else { BTreeSet::new() },
        at_home: standard.empty_home,
        abroad: standard.empty_abroad,
    };
    EmptyRoute { approved, terms: standards.iter().map(term).collect() }
}

/// Why the route is closed wherever the destination is.
pub(super) fn bar(route: &EmptyRoute) -> Option<Bar> {
    let open_at_home = |terms: &EmptyTerms| !terms.home.is_empty() && terms.at_home != Leave::Denied;
    let closed = |terms: &EmptyTerms| !open_at_home(terms) && terms.abroad == Leave::Denied;
    if let Some(terms) = route.terms.iter().find(|terms| closed(terms)) {
        let which = if terms.home.is_empty() {
            "routes abroad that claim to carry no data"
        } else {
            "routes that claim to carry no data"
        };
        let message = format!("the standard {} does not allow {which}", terms.standard);
        return Some(Bar::new(Reason::EmptyTransferDenied, ProblemCode::EmptyTransferDenied, message));
    }
    if !route.approved && route.terms.iter().any(|terms| !open_at_home(terms)) {
        let message = "a route abroad that claims to carry no data needs an approval";
        return Some(Bar::new(Reason::NoApproval, ProblemCode::NoApproval, message));
    }
    None
}
