//! Durations, as Kubernetes writes them (`26280h`, `1h30m`), and in days (`1095d`), as retention is commonly said.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a row of numbers, each with its unit.
    #[error("{0:?} is not a duration, as in 1095d, 26280h or 1h30m")]
    Unreadable(String),
    /// More than can be meant.
    #[error("{0:?} is longer than a thousand years")]
    TooLong(String),
}

/// A thousand years of 365 days, in seconds.
const LONGEST: u64 = 1000 * 365 * 86_400;

/// The duration. The units are `d` (24 hours), `h`, `m` and `s`, each with a whole number; what stands side by side is added.
/// Parts of a number, signs and smaller units, which Kubernetes also takes, mean nothing for periods of a law and are refused.
///
/// # Errors
/// When the text is no such row, or the sum is longer than a thousand years.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    let unreadable = || DurationError::Unreadable(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).filter(|end| *end > 0).ok_or_else(unreadable)?;
        let (number, behind) = rest.split_at_checked(end).ok_or_else(unreadable)?;
        let seconds = match behind.chars().next() {
            Some('d') => 86_400,
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(unreadable()),
        };
        rest = behind.get(1..).ok_or_else(unreadable)?;
        let number: u64 = number.parse().map_err(|_| too_long())?;
        total = number.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
    }
    match total {
        _ if text.is_empty() => Err(unreadable()),
        total if total > LONGEST => Err(too_long()),
        total => Ok(Duration::from_secs(total)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0s", 0)]
    #[case("26280h", 26_280 * 3600)]
    #[case("1095d", 1095 * 86_400)]
    #[case("1h30m", 5400)]
    #[case("1d1h1m1s", 90_061)]
    #[case("365000d", LONGEST)]
    fn durations(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
    }

    #[rstest]
    #[case("")]
    #[case("h")]
    #[case("1")]
    #[case("1h1")]
    #[case("-1h")]
    #[case("1.5h")]
    #[case("1 h")]
    #[case("1y")]
    #[case("1ms")]
    #[case("1H")]
    #[case("365001d")]
    #[case("99999999999999999999999d")]
    #[case("18446744073709551615d")]
    #[case("1ч")]
    fn what_is_none(#[case] text: &str) {
        assert!(duration(text).is_err(), "{text}: {:?}", duration(text));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(days in 0u64..1000, hours in 0u64..1000, minutes in 0u64..1000, seconds in 0u64..1000) {
            let read = duration(&format!("{days}d{hours}h{minutes}m{seconds}s"));
            prop_assert_eq!(read, Ok(Duration::from_secs(days * 86_400 + hours * 3600 + minutes * 60 + seconds)));
        }

        #[test]
        fn no_text_is_more_than_a_reading_or_an_error(text in "\\PC{0,40}") {
            let _ = duration(&text);
        }

        #[test]
        fn what_looks_like_a_duration_never_panics(text in "([0-9]{0,25}[dhms]?){0,4}") {
            let _ = duration(&text);
        }
    }
}
