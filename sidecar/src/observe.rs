//! Observe: until when the pod's verdicts are recorded and do not hold, as admission said it once for the pod's whole life.
//!
//! The signed documents say it as well, and the earlier of both counts: no later declaration makes a pod observe that was admitted
//! to enforce, or longer than it was admitted for.

use jiff::Timestamp;

use crate::config::ConfigError;

/// The variable with the instant (RFC 3339), told to packet filter, proxy and proof alike.
pub const VARIABLE: &str = "SHEKARA_OBSERVE_UNTIL";

/// The first instant at which the pod enforces, by a function that gives the value of a variable; none where it does from the start.
///
/// # Errors
/// When the variable is set and is no instant.
pub fn until(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Timestamp>, ConfigError> {
    let value = variable(VARIABLE).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let read = |value: String| match value.parse() {
        Ok(until) => Ok(until),
        Err(_) => Err(ConfigError::Invalid { variable: VARIABLE, value, problem: "it is an instant as in RFC 3339".to_owned() }),
    };
    value.map(read).transpose()
}

/// The same by the variables of this process, as long as it is to come.
///
/// # Errors
/// When the variable is set and is no instant.
pub fn still(now: Timestamp) -> Result<Option<Timestamp>, ConfigError> {
    Ok(until(|name| std::env::var(name).ok())?.filter(|until| *until > now))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, Ok(None))]
    #[case(Some(" "), Ok(None))]
    #[case(Some("2026-12-01T00:00:00Z"), Ok(Some(1_796_083_200)))]
    #[case(Some("always"), Err(()))]
    fn an_instant_or_nothing(#[case] value: Option<&str>, #[case] expected: Result<Option<i64>, ()>) {
        let read = until(|name| value.filter(|_| name == VARIABLE).map(str::to_owned));
        assert_eq!(read.map(|until| until.map(Timestamp::as_second)).map_err(|_| ()), expected);
    }
}
