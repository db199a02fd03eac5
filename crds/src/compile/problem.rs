//! What is wrong with a declaration, by field.

use std::collections::BTreeSet;
use std::fmt;

use shekara_policy::Category;

pub use crate::message::ProblemCode;

/// Something wrong with a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The path of the field, as `spec.transfers[1].recipient`; for a field of another object with its kind and name in front.
    pub field: String,
    /// A stable code, the reason of the `Accepted` condition.
    pub code: ProblemCode,
    /// A sentence without the field's path.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, field: &str, code: ProblemCode, message: impl fmt::Display) {
        self.0.push(Problem { field: field.to_owned(), code, message: message.to_string() });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    /// The value, or a problem with the field.
    pub(super) fn check<T, E: fmt::Display>(&mut self, field: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(field, ProblemCode::InvalidField, error)).ok()
    }

    /// A problem where the text is no instant.
    pub(super) fn instant(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, text.parse::<jiff::Timestamp>()));
    }

    /// A problem where the text is no day.
    pub(super) fn date(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, text.parse::<jiff::civil::Date>()));
    }

    /// A problem where the text is no duration.
    pub(super) fn duration(&mut self, field: &str, text: Option<&str>) {
        let _ = text.and_then(|text| self.check(field, crate::duration(text)));
    }
}

/// The categories of a list; a name that is none is a problem.
pub(super) fn categories(names: &[String], field: &str, problems: &mut Problems) -> BTreeSet<Category> {
    names.iter().enumerate().filter_map(|(index, name)| problems.check(&format!("{field}[{index}]"), name.parse())).collect()
}
