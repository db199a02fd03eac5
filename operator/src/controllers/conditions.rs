//! Conditions: what is said of an object, and since when.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use shekara_crds::Problem;
use shekara_crds::message::ConditionReason;

/// The longest message of a condition, in bytes.
const MESSAGE: usize = 1024;

/// What is said of an object, of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) type_: &'static str,
    pub(super) status: Status,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Whether it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    True,
    False,
    Unknown,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl Said {
    pub(super) fn new(type_: &'static str, status: Status, reason: ConditionReason, message: impl Into<String>) -> Self {
        Self { type_, status, reason: reason.code(), message: message.into() }
    }
}

/// Whether the declaration can be used; the sentence is for when it can.
pub(super) fn accepted(problems: &[Problem], sentence: String) -> Said {
    let Some(first) = problems.first() else { return Said::new("Accepted", Status::True, ConditionReason::Accepted, sentence) };
    let message = listed(problems.iter().map(ToString::to_string), "; ", MESSAGE);
    Said { type_: "Accepted", status: Status::False, reason: first.code.code(), message }
}

/// The conditions of an object of this generation. The time of a condition is that of the last change of its status.
pub(super) fn conditions(said: Vec<Said>, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let since = |said: &Said| {
        let same = before.iter().find(|condition| condition.type_ == said.type_ && condition.status == said.status.as_str());
        same.map_or(Time(now), |condition| condition.last_transition_time.clone())
    };
    let condition = |said: Said| Condition {
        last_transition_time: since(&said),
        type_: said.type_.to_owned(),
        status: said.status.as_str().to_owned(),
        reason: said.reason.to_owned(),
        message: said.message,
        observed_generation: generation,
    };
    said.into_iter().map(condition).collect()
}

/// A list as a text of at most about this many bytes, which says how many are left out.
pub(super) fn listed(items: impl Iterator<Item = String>, separator: &str, bytes: usize) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for item in items {
        if left_out > 0 || (!text.is_empty() && text.len() + separator.len() + item.len() > bytes) {
            left_out += 1;
            continue;
        }
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(item.get(..item.floor_char_boundary(bytes)).unwrap_or_default());
    }
    match left_out {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn said(status: Status, message: &str) -> Vec<Said> {
        vec![Said::new("Ready", status, ConditionReason::Ready, message)]
    }

    #[test]
    fn the_time_is_that_of_the_last_change_of_status() {
        let first = conditions(said(Status::False, "a"), &[], Some(1), time("2026-06-01T10:00:00Z"));
        let second = conditions(said(Status::False, "b"), &first, Some(2), time("2026-06-01T11:00:00Z"));
        assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("b", Some(2)));
        let third = conditions(said(Status::True, "b"), &second, Some(2), time("2026-06-01T12:00:00Z"));
        assert_eq!(third[0].last_transition_time, Time(time("2026-06-01T12:00:00Z")));
    }

    #[test]
    fn a_long_list_says_how_much_is_left_out() {
        let items = || ["aaa", "bbb", "ccc", "d"].into_iter().map(str::to_owned);
        assert_eq!(listed(items(), ", ", 100), "aaa, bbb, ccc, d");
        assert_eq!(listed(items(), ", ", 8), "aaa, bbb and 2 more");
        assert_eq!(listed(std::iter::once("ж".repeat(20)), ", ", 5), "жж");
    }
}
