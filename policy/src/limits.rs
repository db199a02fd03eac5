//! What one sidecar holds at once: bounds that the platform sets, so that no application can use up the sidecar that judges it.

use serde::{Deserialize, Serialize};

/// The bounds of a sidecar. What is beyond one is denied, with a reason that names the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// TCP flows at once that the pod began, from the first packet to the last word; and as many of clients.
    pub flows: u32,
    /// Flows of the pod that have not reached their destination yet: that wait for a name, for a resolver, or for an answer; and those
    /// that have, and wait for the rest of a later request.
    pub half_open: u32,
    /// Bytes that a client may say until it has named its destination.
    pub hello_bytes: u32,
    /// Seconds that it may take.
    pub hello_seconds: u32,
    /// DNS questions that wait for a resolver at once.
    pub questions: u32,
    /// Associations of UDP at once.
    pub associations: u32,
    /// Distinct labels an hour below one listed wildcard.
    pub labels_per_hour: u32,
    /// The bytes of those labels together.
    pub label_bytes_per_hour: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 8192,
            half_open: 1024,
            // a ClientHello with post-quantum keys has less than 2 KiB
            hello_bytes: 16_384,
            hello_seconds: 10,
            questions: 256,
            associations: 1024,
            labels_per_hour: 256,
            label_bytes_per_hour: 4096,
        }
    }
}

/// Bounds that cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// Not the JSON form, or with a name that is none.
    #[error("the limits cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A bound that would close everything or bound nothing.
    #[error("{0} is not from {1} to {2}")]
    Range(&'static str, u32, u32),
}

impl Limits {
    /// Reads the JSON form; what it does not say has its default.
    ///
    /// # Errors
    /// When it is no such form, or a bound is out of its range.
    pub fn from_json(json: &str) -> Result<Self, LimitsError> {
        let limits: Self = serde_json::from_str(json)?;
        for (name, value, least, most) in [
            ("flows", limits.flows, 16, 65_536),
            ("halfOpen", limits.half_open, 16, 65_536),
            ("helloBytes", limits.hello_bytes, 2048, 16_384),
            ("helloSeconds", limits.hello_seconds, 1, 60),
            ("questions", limits.questions, 8, 4096),
            ("associations", limits.associations, 1, 16_384),
            ("labelsPerHour", limits.labels_per_hour, 1, 1_000_000),
            ("labelBytesPerHour", limits.label_bytes_per_hour, 63, 63_000_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(LimitsError::Range(name, least, most));
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let limits = Limits::from_json(r#"{"flows": 100}"#).unwrap();
        assert_eq!(limits, Limits { flows: 100, ..Limits::default() });
        let written = serde_json::to_string(&Limits::default()).unwrap();
        assert_eq!(Limits::from_json(&written).unwrap(), Limits::default());
    }

    #[rstest]
    #[case(r#"{"flow": 100}"#, "unknown field")]
    #[case(r#"{"helloBytes": 99999}"#, "helloBytes is not from 2048 to 16384")]
    #[case(r#"{"flows": 0}"#, "flows is not from 16 to 65536")]
    #[case("", "cannot be read")]
    fn what_cannot_be_kept_is_refused(#[case] json: &str, #[case] problem: &str) {
        let error = Limits::from_json(json).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}
