//! Sizes in bytes, as Kubernetes writes quantities: `50Mi`, `1.5Gi`, `2G`, `1e6`, `1048576`; and amounts of any resource, also in
//! parts: `250m`.

/// A text that is not a size in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with a suffix of Kubernetes.
    #[error("{0:?} is not a size in bytes, as in 50Mi, 1.5Gi or 2G")]
    Unreadable(String),
    /// Not a number with a suffix of Kubernetes, for an amount of which there can be parts.
    #[error("{0:?} is not a quantity of Kubernetes")]
    NoAmount(String),
    /// A part of a byte.
    #[error("{0:?} is not a whole number of bytes")]
    Fraction(String),
    /// More than can be counted.
    #[error("{0:?} is more than 8Ei")]
    TooLarge(String),
}

/// The largest size that is taken, 8 `Ei` less one byte: the largest number that every reader of JSON in Kubernetes holds.
const LARGEST: u128 = i64::MAX as u128;

/// The number of bytes. Unlike the API server, which rounds up, this takes no size that is not a whole number of bytes.
///
/// # Errors
/// When the text is not a quantity, is negative, is not whole, or is larger than 8 `Ei`.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    let (scaled, divisor) = fraction(text, scale, || QuantityError::Unreadable(text.to_owned()))?;
    if scaled % divisor != 0 {
        return Err(QuantityError::Fraction(text.to_owned()));
    }
    let bytes = scaled / divisor;
    u64::try_from(bytes).ok().filter(|_| bytes <= LARGEST).ok_or_else(|| QuantityError::TooLarge(text.to_owned()))
}

/// The number of thousandths, as 250 for `250m` and 1000 for `1`; parts of one are rounded up, as the API server does.
///
/// # Errors
/// When the text is not a quantity, is negative, or is larger than 8 `Ei`.
pub fn thousandths(text: &str) -> Result<u128, QuantityError> {
    let scale = |suffix: &str| match suffix {
        "n" | "u" | "m" => Some(1),
        suffix => scale(suffix),
    };
    let (scaled, divisor) = fraction(text, scale, || QuantityError::NoAmount(text.to_owned()))?;
    let parts = match text.as_bytes().last() {
        Some(b'n') => 1_000_000_000,
        Some(b'u') => 1_000_000,
        Some(b'm') => 1000,
        _ => 1,
    };
    let too_large = || QuantityError::TooLarge(text.to_owned());
    let thousandths = scaled.checked_mul(1000).ok_or_else(too_large)?.div_ceil(divisor.checked_mul(parts).ok_or_else(too_large)?);
    Some(thousandths).filter(|thousandths| *thousandths <= LARGEST * 1000).ok_or_else(too_large)
}

/// A quantity as a fraction, by what a suffix multiplies by.
fn fraction(
    text: &str,
    scale: impl Fn(&str) -> Option<u128>,
    unreadable: impl Fn() -> QuantityError,
) -> Result<(u128, u128), QuantityError> {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end).ok_or_else(&unreadable)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = scale(suffix).ok_or_else(&unreadable)?;
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.len() <= 24;
    if whole.is_empty() || number.ends_with('.') || !is_number(whole) || !is_number(fraction) {
        return Err(unreadable());
    }
    let too_large = || QuantityError::TooLarge(text.to_owned());
    let digits: u128 = format!("{whole}{fraction}").parse().map_err(|_| too_large())?;
    let places = u32::try_from(fraction.len()).map_err(|_| unreadable())?;
    let divisor = 10u128.checked_pow(places).ok_or_else(too_large)?;
    Ok((digits.checked_mul(scale).ok_or_else(too_large)?, divisor))
}

/// What a suffix multiplies by. `m` is none: no part of a byte leaves.
fn scale(suffix: &str) -> Option<u128> {
    const LETTERS: [&str; 6] = ["K", "M", "G", "T", "P", "E"];
    let power = |letter: &str| LETTERS.iter().position(|known| *known == letter).and_then(|place| u32::try_from(place + 1).ok());
    match suffix {
        "" => Some(1),
        "k" => Some(1000),
        // written large, a thousand is none: Kubernetes knows k alone
        "K" => None,
        _ => {
            if let Some(letter) = suffix.strip_suffix('i') {
                return power(letter).and_then(|power| 1024u128.checked_pow(power));
            }
            if let Some(power) = power(suffix) {
                return 1000u128.checked_pow(power);
            }
            let exponent = suffix.strip_prefix(['e', 'E']).filter(|digits| (1..=2).contains(&digits.len()))?;
            let exponent: u32 =
                Some(exponent).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?.parse().ok()?;
            10u128.checked_pow(exponent)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0)]
    #[case("50Mi", 50 * 1024 * 1024)]
    #[case("1.5Gi", 3 * 512 * 1024 * 1024)]
    #[case("2G", 2_000_000_000)]
    #[case("2k", 2000)]
    #[case("1e6", 1_000_000)]
    #[case("1E", 1_000_000_000_000_000_000)]
    #[case("1E3", 1000)]
    #[case("9223372036854775807", i64::MAX.unsigned_abs())]
    fn sizes(#[case] text: &str, #[case] expected: u64) {
        assert_eq!(bytes(text), Ok(expected));
    }

    #[rstest]
    #[case("250m", 250)]
    #[case("1", 1000)]
    #[case("0.5", 500)]
    #[case("1.5Mi", 1_572_864_000)]
    #[case("1500u", 2)]
    #[case("1n", 1)]
    #[case("1e3", 1_000_000)]
    fn amounts(#[case] text: &str, #[case] expected: u128) {
        assert_eq!(thousandths(text), Ok(expected));
    }

    #[rstest]
    #[case("")]
    #[case("m")]
    #[case("-1m")]
    #[case("1mm")]
    #[case("many")]
    #[case("99999999999999999999999")]
    fn what_is_no_amount(#[case] text: &str) {
        assert!(thousandths(text).is_err(), "{text}: {:?}", thousandths(text));
    }

    #[rstest]
    #[case("")]
    #[case("Mi")]
    #[case("-1")]
    #[case("+1")]
    #[case("1.")]
    #[case(".5Gi")]
    #[case("1.2.3")]
    #[case("1 Mi")]
    #[case("1K")]
    #[case("1m")]
    #[case("1mi")]
    #[case("1e")]
    #[case("1e-3")]
    #[case("1e+3")]
    #[case("1.5")]
    #[case("0.0001Ki")]
    #[case("8Ei")]
    #[case("1e99")]
    #[case("99999999999999999999999999999999")]
    #[case("١")]
    fn what_is_none(#[case] text: &str) {
        assert!(bytes(text).is_err(), "{text}: {:?}", bytes(text));
    }

    proptest! {
        #[test]
        fn whole_sizes_are_what_they_say(number in 0u64..1_000_000, place in 0usize..7) {
            let suffix = ["", "Ki", "Mi", "Gi", "k", "M", "G"][place];
            let scale = [1u64, 1 << 10, 1 << 20, 1 << 30, 1000, 1_000_000, 1_000_000_000][place];
            prop_assert_eq!(bytes(&format!("{number}{suffix}")), Ok(number * scale));
            prop_assert_eq!(bytes(&format!("{number}.0{suffix}")), Ok(number * scale));
        }

        #[test]
        fn no_text_is_more_than_a_reading_or_an_error(text in "\\PC{0,40}") {
            let _ = (bytes(&text), thousandths(&text));
        }

        #[test]
        fn what_looks_like_a_size_never_panics(text in "[0-9.]{0,30}([kKMGTPEe]i?[0-9]{0,3})?") {
            let _ = thousandths(&text);
            if let Ok(size) = bytes(&text) {
                prop_assert!(u128::from(size) <= LARGEST);
            }
        }
    }
}
