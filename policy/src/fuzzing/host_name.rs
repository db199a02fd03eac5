//! Host names and patterns.

use std::net::IpAddr;

use jiff::Timestamp;

use super::DOCUMENT;
use crate::decide::{Question, decide_question};
use crate::document::PolicyDocument;
use crate::host_name::{HostName, HostPattern};

/// One spelling for each name; nothing that a resolver takes for an address; patterns and zones by whole labels.
pub fn host_name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(name) = text.parse::<HostName>() {
        spelling(text, &name);
        listing(&name);
    }
    if let Ok(pattern) = text.parse::<HostPattern>() {
        matching(&pattern);
    }
}

fn spelling(text: &str, name: &HostName) {
    let canonical = name.as_str();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    assert!(canonical.bytes().all(plain), "{canonical:?}");
    assert!(canonical.len() <= 253 && canonical.split('.').all(|label| (1..=63).contains(&label.len())), "{canonical:?}");
    for same in [canonical.to_owned(), canonical.to_ascii_uppercase(), format!("{canonical}.")] {
        assert_eq!(same.parse::<HostName>().as_ref(), Ok(name), "{same:?}");
    }
    // dots of other scripts count under IDNA, and two dots at the end are none
    assert!(!text.ends_with("..") && !text.contains('\0'));
    assert!(canonical.parse::<IpAddr>().is_err() && !is_inet_aton(canonical), "{canonical:?} is an address");
    let json = serde_json::to_string(name).unwrap();
    assert_eq!(serde_json::from_str::<HostName>(&json).as_ref().ok(), Some(name));
}

/// Whether `inet_aton` (POSIX, System Interfaces) takes it for an address: up to four numbers, decimal, octal or hexadecimal.
fn is_inet_aton(text: &str) -> bool {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).is_ok() || digits.is_empty(),
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).is_ok(),
        None => part.bytes().all(|byte| byte.is_ascii_digit()) && part.parse::<u32>().is_ok(),
    };
    text.split('.').count() <= 4 && text.split('.').all(number)
}

/// A name is listed because a pattern of the document spells it, and is asked outside for no other reason.
fn listing(name: &HostName) {
    let document = PolicyDocument::from_json(DOCUMENT).unwrap();
    let spelt = |pattern: &str| match pattern.strip_prefix('*') {
        Some(rest) => name.as_str().strip_suffix(rest).is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => pattern == name.as_str(),
    };
    // every permit of the document is in force
    let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
    match decide_question(std::slice::from_ref(&document), name, now) {
        Question::Listed => assert!(patterns(&document).iter().any(|pattern| spelt(pattern)), "{name}"),
        Question::InCluster => {
            let name = format!(".{name}");
            assert!([".cluster.local", ".in-addr.arpa", ".ip6.arpa"].iter().any(|zone| name.ends_with(zone)), "{name}");
        }
        Question::Denied(_) => assert!(!patterns(&document).iter().any(|pattern| spelt(pattern)), "{name}"),
    }
    assert!(matches!(decide_question(&[], name, now), Question::Denied(_)));
}

fn patterns(document: &PolicyDocument) -> Vec<String> {
    let json = serde_json::to_value(document).unwrap();
    let routes = json["routes"].as_array().unwrap().iter().filter(|route| route["barred"].is_null());
    let endpoints = routes.flat_map(|route| route["endpoints"].as_array().unwrap());
    endpoints.filter_map(|endpoint| endpoint["target"]["host"].as_str().map(str::to_owned)).collect()
}

fn matching(pattern: &HostPattern) {
    let written = pattern.to_string();
    assert_eq!(written.parse::<HostPattern>().as_ref(), Ok(pattern));
    match pattern {
        HostPattern::Exact(name) => {
            assert!(pattern.matches(name) && name.is_within(name));
            if let Ok(child) = format!("x.{name}").parse() {
                assert!(!pattern.matches(&child) && HostName::is_within(&child, name) && !name.is_within(&child));
            }
        }
        HostPattern::Wildcard(parent) => {
            assert!(!pattern.matches(parent));
            if let Ok(child) = format!("x.{parent}").parse() {
                assert!(pattern.matches(&child));
            }
            for other in [format!("x.y.{parent}"), format!("x.y{parent}")] {
                assert!(!other.parse().is_ok_and(|name| pattern.matches(&name)), "{other}");
            }
        }
    }
}
