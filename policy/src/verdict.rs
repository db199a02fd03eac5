//! The outcome of a decision.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::category::Category;
use crate::country::Country;
use crate::reason::Reason;

/// May the flow leave?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every document of the pod allows it.
    Allow(Grant),
    /// At least one does not.
    Deny(Denial),
}

impl Verdict {
    /// Whether the flow may leave.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// The reason of a denial.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(denial) => Some(denial.reason),
        }
    }

    /// The country of the destination: absent where no address was judged or where it is inside the cluster.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        match self {
            Self::Allow(grant) => grant.country,
            Self::Deny(denial) => denial.country,
        }
    }
}

/// Why a flow may leave: one rule for each document of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The rule of each document, in the order of the documents.
    pub rules: Vec<Rule>,
    /// The categories that the rules together say the flow carries.
    pub data: BTreeSet<Category>,
    /// The country of the judged address.
    pub country: Option<Country>,
    /// What bounds the bytes that may leave; whoever carries the flow keeps to each.
    pub budgets: Vec<Budget>,
}

/// A bound on what may leave by a route. All routes of a pod to one recipient share one count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// `namespace/name` of the holding whose document sets it.
    pub holding: String,
    /// The recipient.
    pub recipient: String,
    /// How many bytes may leave a pod on a day of UTC.
    pub max_out_per_day: u64,
}

/// Why a flow may not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The reason.
    pub reason: Reason,
    /// The holding whose document denies; absent when no document was asked.
    pub holding: Option<String>,
    /// The recipient whose route came closest.
    pub recipient: Option<String>,
    /// The standard that does not allow it.
    pub standard: Option<String>,
    /// The number of its rule, from 0: absent where it is no single one.
    pub rule: Option<u32>,
    /// The country of the judged address.
    pub country: Option<Country>,
}

impl Denial {
    /// A denial that does not come from a document.
    #[must_use]
    pub fn of(reason: Reason) -> Self {
        Self { reason, holding: None, recipient: None, standard: None, rule: None, country: None }
    }
}

impl From<Reason> for Verdict {
    fn from(reason: Reason) -> Self {
        Self::Deny(Denial::of(reason))
    }
}

/// The rule that allowed a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// `namespace/name` of the holding.
    pub holding: String,
    /// The recipient, or `namespace/service` for a destination inside the cluster. Of a flow that came in, what let the client in:
    /// `standard/source`, `namespace/holding`, the network of a client, or [`crate::decide::OPEN`].
    pub recipient: String,
}
