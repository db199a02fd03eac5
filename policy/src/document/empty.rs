//! Routes that a holding claims to carry none of its data: what the standards make of the claim, at home and abroad.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::country::Country;

/// What the standards say of a route that claims to carry no data; all must agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyRoute {
    /// Whether the transfer says who approved that it leads abroad. Abroad is closed without.
    pub approved: bool,
    /// What each standard says. No standard opens nothing.
    pub terms: Vec<EmptyTerms>,
}

/// What one standard says of such a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyTerms {
    /// The name of the standard.
    pub standard: String,
    /// The countries that are home; none where the recipient itself is under the law of another.
    pub home: BTreeSet<Country>,
    /// What may leave to an address in one of them.
    pub at_home: Leave,
    /// What may leave to an address in another country that is known.
    pub abroad: Leave,
}

/// How much may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Leave {
    /// Nothing.
    Denied,
    /// So many bytes a pod and day of UTC.
    Bounded(u64),
    /// As much as there is.
    Allowed,
}
