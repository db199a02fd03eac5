//! Countries, as ISO 3166-1 alpha-2 writes them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A country code of two upper-case letters (ISO 3166-1 alpha-2), `ZZ` for a country that is not known, or `XA` for many at once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

/// The text is not a country code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country: two letters of ISO 3166-1 alpha-2 are expected, for example KZ")]
pub struct CountryError(pub String);

impl Country {
    /// The country is not known. It is never allowed by any rule.
    pub const UNKNOWN: Self = Self(*b"ZZ");

    /// The address is announced from many places at once: `XA`, which ISO 3166-1 leaves to its users. A source that says so counts
    /// more than any that knows a country, and no rule allows it.
    pub const MANY: Self = Self(*b"XA");

    /// Whether the country is known.
    #[must_use]
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN && self != Self::MANY
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII letters are ever stored, so the fallback is never taken; it denies all the same.
        std::str::from_utf8(&self.0).unwrap_or("ZZ")
    }

    /// The two letters as bytes, as the geo table stores them.
    #[must_use]
    pub fn bytes(self) -> [u8; 2] {
        self.0
    }

    /// The country of two bytes of a geo table; `None` if they are not ASCII upper-case letters.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }
}

impl FromStr for Country {
    type Err = CountryError;

    fn from_str(text: &str) -> Result<Self, CountryError> {
        match text.as_bytes() {
            &[a, b] => Self::from_bytes([a.to_ascii_uppercase(), b.to_ascii_uppercase()]),
            _ => None,
        }
        .ok_or_else(|| CountryError(text.to_owned()))
    }
}

impl TryFrom<String> for Country {
    type Error = CountryError;

    fn try_from(text: String) -> Result<Self, CountryError> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.as_str().to_owned()
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_upper_cased_and_everything_else_is_refused() {
        assert_eq!("kz".parse::<Country>().unwrap().as_str(), "KZ");
        for wrong in ["", "K", "KAZ", "K1", "қ", "??"] {
            assert!(wrong.parse::<Country>().is_err(), "{wrong}");
        }
    }
}
