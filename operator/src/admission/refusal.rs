//! Why a covered pod is not admitted.

use std::fmt;

/// Everything for which a pod is refused, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(super) Vec<Fault>);

/// A field that a covered pod may not have, or not so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {sentence}")]
pub(crate) struct Fault {
    /// The path of the field.
    pub(super) field: String,
    /// What is wrong with it and what can be done, without a full stop.
    pub(super) sentence: String,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a data holding covers the pod, which therefore may not be so: ")?;
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Refusal {
    /// For one field.
    pub(super) fn of(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self(vec![Fault { field: field.into(), sentence: sentence.into() }])
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

    /// The refusal, if there is anything to refuse.
    pub(super) fn into_result(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal(self.0)) }
    }
}
