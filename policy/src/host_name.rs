//! Host names and the patterns that list them: one spelling for each name, so that a comparison cannot be fooled.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A host name in its one canonical spelling: ASCII (IDNA A-labels, UTS #46), lower case, without a trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostName(String);

/// A text that is not a host name, with what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a host name: {problem}")]
pub struct HostNameError {
    text: String,
    problem: HostNameProblem,
}

/// What is wrong about a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostNameProblem {
    /// No characters, or a dot alone.
    #[error("it is empty")]
    Empty,
    /// More than 253 characters (RFC 1035, section 2.3.4, in text form).
    #[error("it is longer than 253 characters")]
    TooLong,
    /// A label that is empty, longer than 63 characters, or begins or ends with a hyphen.
    #[error("each label has 1 to 63 letters, digits, hyphens or underscores, and neither begins nor ends with a hyphen")]
    Label,
    /// Not valid under IDNA (UTS #46).
    #[error("it is not valid under IDNA")]
    Idna,
    /// An address or a number that resolvers read as one.
    #[error("it is an address, not a name")]
    Address,
    /// A wildcard elsewhere than as the whole first label, or with fewer than two labels behind it.
    #[error("a wildcard stands for the whole first label alone, before at least two others, as in *.example.kz")]
    Wildcard,
}

impl HostName {
    /// The name as text, without a trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `zone` or below it.
    #[must_use]
    pub fn is_within(&self, zone: &Self) -> bool {
        self == zone || self.0.strip_suffix(&zone.0).is_some_and(|rest| rest.ends_with('.'))
    }
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        canonical(text).map(Self).map_err(|problem| HostNameError { text: shortened(text), problem })
    }
}

fn canonical(text: &str) -> Result<String, HostNameProblem> {
    // Bounded before any work, since the text may come from an application: 253 characters of U-labels and their dot.
    if text.len() > 1024 {
        return Err(HostNameProblem::TooLong);
    }
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(HostNameProblem::Empty);
    }
    let ascii = if text.is_ascii() && !has_punycode(text) {
        text.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii_strict(text).map_err(|_| HostNameProblem::Idna)?
    };
    if ascii.len() > 253 {
        return Err(HostNameProblem::TooLong);
    }
    if !ascii.split('.').all(is_label) {
        return Err(HostNameProblem::Label);
    }
    if looks_like_an_address(&ascii) {
        return Err(HostNameProblem::Address);
    }
    Ok(ascii)
}

fn has_punycode(text: &str) -> bool {
    text.split('.').any(|label| label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--")))
}

/// Letters, digits, hyphens (RFC 1123, section 2.1) and the underscore that service labels begin with (RFC 2782).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A last label that is a number makes resolvers read the text as an address (WHATWG URL, "ends in a number"): 127.1, 0x7f.1.
fn looks_like_an_address(ascii: &str) -> bool {
    let last = ascii.rsplit('.').next().unwrap_or(ascii);
    let digits = last
        .strip_prefix("0x")
        .map_or_else(|| last.bytes().all(|byte| byte.is_ascii_digit()), |hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    digits || ascii.parse::<IpAddr>().is_ok()
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl TryFrom<String> for HostName {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl From<HostName> for String {
    fn from(name: HostName) -> Self {
        name.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which names a recipient's endpoint lists: one name, or `*.` and a name, where the wildcard is exactly one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// Exactly this name.
    Exact(HostName),
    /// Exactly one label before this name, as TLS certificates understand wildcards (RFC 6125, section 6.4.3).
    Wildcard(HostName),
}

impl HostPattern {
    /// Whether the pattern lists the name.
    #[must_use]
    pub fn matches(&self, name: &HostName) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Wildcard(parent) => name.0.split_once('.').is_some_and(|(_, rest)| rest == parent.0),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, HostNameError> {
        let wildcard = || HostNameError { text: shortened(text), problem: HostNameProblem::Wildcard };
        match text.strip_prefix("*.") {
            Some(parent) => {
                let parent: HostName = parent.parse().map_err(|_| wildcard())?;
                if parent.0.contains('.') { Ok(Self::Wildcard(parent)) } else { Err(wildcard()) }
            }
            None if text.contains('*') => Err(wildcard()),
            None => text.parse().map(Self::Exact),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = HostNameError;

    fn try_from(text: String) -> Result<Self, HostNameError> {
        text.parse()
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests;
