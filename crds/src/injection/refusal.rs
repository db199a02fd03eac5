//! Why a covered pod is not admitted.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::cover::NoSuchHolding;
use crate::{DATA_ANNOTATION, HOLDING_ANNOTATION};

/// Everything for which a pod is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The names of the holdings that cover the pod; empty where it asks for one that does not exist.
    pub holdings: BTreeSet<String>,
    /// What is wrong, never empty.
    pub faults: Vec<Fault>,
}

/// A field that a covered pod may not have, or not so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{field}: {sentence}")]
pub struct Fault {
    /// The path of the field.
    pub field: String,
    /// What is wrong with it and what can be done, without a full stop.
    pub sentence: String,
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// That what a pod says that it holds is not so, or not to be read.
    #[must_use]
    pub fn of_data(holdings: BTreeSet<String>, sentence: String) -> Self {
        Self::of_annotation(DATA_ANNOTATION, holdings, sentence)
    }

    fn of_annotation(annotation: &str, holdings: BTreeSet<String>, sentence: String) -> Self {
        Self { holdings, faults: vec![Fault { field: format!("metadata.annotations[{annotation}]"), sentence }] }
    }
}

/// A pod that asks for a holding that does not exist would start without the protection that it asks for.
impl From<NoSuchHolding> for Refusal {
    fn from(missing: NoSuchHolding) -> Self {
        Self::of_annotation(HOLDING_ANNOTATION, BTreeSet::new(), missing.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.holdings.iter().map(String::as_str).collect();
        match names.as_slice() {
            [] => f.write_str("the pod cannot be admitted so: ")?,
            [name] => write!(f, "the DataHolding {name} covers the pod, which cannot be admitted so: ")?,
            names => write!(f, "the DataHoldings {} cover the pod, which cannot be admitted so: ", names.join(", "))?,
        }
        for (index, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one where the condition holds.
    pub(super) fn when(&mut self, condition: bool, field: impl Into<String>, sentence: impl Into<String>) {
        if condition {
            self.0.push(Fault { field: field.into(), sentence: sentence.into() });
        }
    }

    /// The refusal of a pod that these holdings cover, if there is anything to refuse.
    pub(super) fn into_result(self, holdings: &BTreeSet<String>) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal { holdings: holdings.clone(), faults: self.0 }) }
    }
}
