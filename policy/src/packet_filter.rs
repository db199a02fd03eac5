//! What is asked of the node, where it sets the packet filter of a pod: the annotation by which admission tells it.
//!
//! The container runtime hands the annotations of a pod to the plugins that make its network, before anything in the pod starts.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::datagrams::MOST;

/// The annotation of a pod whose packet filter the node sets.
pub const ANNOTATION: &str = "shekara.dev/packet-filter";

/// The packet filter of one pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PacketFilter {
    /// The user by which it knows the sidecar, never root; by the mark of its sockets where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<NonZeroU32>,
    /// Until when the pod observes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe_until: Option<Timestamp>,
    /// The addresses and ports that are open for datagrams, in the order of their local ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datagrams: Vec<SocketAddr>,
}

/// The annotation cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum PacketFilterError {
    /// It is not what admission writes.
    #[error("the annotation {ANNOTATION} cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// It is another kind of JSON, or none.
    #[error("the annotation {ANNOTATION} is no JSON object, which begins with a brace")]
    NoObject,
    /// There are no ports for so many.
    #[error("the annotation {ANNOTATION} lists {0} addresses for datagrams, and there are ports for {MOST}")]
    TooMany(usize),
}

impl PacketFilter {
    /// Reads what admission wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_json(text: &str) -> Result<Self, PacketFilterError> {
        // a list would be read as the fields in their order
        if !text.starts_with('{') {
            return Err(PacketFilterError::NoObject);
        }
        let filter: Self = serde_json::from_str(text)?;
        if filter.datagrams.len() > MOST {
            return Err(PacketFilterError::TooMany(filter.datagrams.len()));
        }
        Ok(filter)
    }

    /// What admission writes.
    ///
    /// # Errors
    /// None at present: every value has a form in JSON.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let whole = PacketFilter {
            user: NonZeroU32::new(1_900_000_000),
            observe_until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
            datagrams: vec!["192.0.2.40:5000".parse().unwrap(), "[2001:db8::4]:123".parse().unwrap()],
        };
        for filter in [PacketFilter::default(), whole] {
            assert_eq!(PacketFilter::from_json(&filter.to_json().unwrap()).unwrap(), filter);
        }
        assert_eq!(PacketFilter::default().to_json().unwrap(), "{}");
    }

    #[rstest]
    #[case::nothing("", "no JSON object")]
    #[case::a_list("[1000]", "no JSON object")]
    #[case::a_field_twice(r#"{"user":65533,"user":1000}"#, "duplicate field")]
    #[case::another_field(r#"{"open":true}"#, "unknown field `open`")]
    #[case::root(r#"{"user":0}"#, "a nonzero u32")]
    #[case::a_name(r#"{"user":"root"}"#, "cannot be read")]
    fn what_admission_does_not_write_is_refused(#[case] text: &str, #[case] expected: &str) {
        let said = PacketFilter::from_json(text).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn there_are_no_more_datagrams_than_ports() {
        let filter = PacketFilter { datagrams: vec!["192.0.2.40:5000".parse().unwrap(); MOST + 1], ..PacketFilter::default() };
        assert!(matches!(PacketFilter::from_json(&filter.to_json().unwrap()), Err(PacketFilterError::TooMany(_))));
    }
}
