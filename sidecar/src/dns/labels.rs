//! Labels that applications choose below listed wildcards: what they can say in names to whoever serves them.
//!
//! A listed wildcard opens names that nobody has written down. Each label is a choice of the application's, and a program that wants
//! to say something says it in many of them. So the distinct ones of an hour are bounded, by their number and by their bytes.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::{HostName, Limits};
use tokio::time::Instant;

/// For how long a label counts.
const HOUR: Duration = Duration::from_secs(3600);

/// The labels of the hour, by the name that they stand below.
#[derive(Debug, Default)]
pub struct Labels(Mutex<BTreeMap<HostName, Hour>>);

#[derive(Debug)]
struct Hour {
    began: Instant,
    labels: HashSet<Box<str>>,
    bytes: u64,
}

impl Labels {
    /// Counts the first label of a name below a parent, and gives the bytes that it adds: 0 for one that was said in this hour
    /// already. None where it is one too many.
    #[must_use]
    pub fn take(&self, parent: &HostName, name: &HostName, limits: Limits, now: Instant) -> Option<u64> {
        let label = name.as_str().split('.').next().unwrap_or_default();
        let mut hours = self.0.lock();
        // wildcards that were taken from the documents need no count any more
        hours.retain(|_, hour| now.saturating_duration_since(hour.began) < HOUR);
        let new = || Hour { began: now, labels: HashSet::new(), bytes: 0 };
        let hour = hours.entry(parent.clone()).or_insert_with(new);
        if hour.labels.contains(label) {
            return Some(0);
        }
        let bytes = label.len() as u64;
        if hour.labels.len() as u64 >= u64::from(limits.labels_per_hour)
            || hour.bytes + bytes > u64::from(limits.label_bytes_per_hour)
        {
            return None;
        }
        hour.labels.insert(label.into());
        hour.bytes += bytes;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    #[test]
    fn distinct_labels_of_an_hour_are_bounded_and_the_same_one_is_free() {
        let (labels, now) = (Labels::default(), Instant::now());
        let limits = Limits { labels_per_hour: 2, ..Limits::default() };
        let take = |label: &str, seconds| {
            labels.take(&name("store.kz"), &name(&format!("{label}.store.kz")), limits, now + Duration::from_secs(seconds))
        };
        assert_eq!([take("ab", 0), take("c", 1), take("ab", 2), take("d", 3)], [Some(2), Some(1), Some(0), None]);
        assert_eq!([take("ab", 3599), take("d", 3599)], [Some(0), None]);
        assert_eq!([take("d", 3600), take("ab", 3600)], [Some(1), Some(2)]);
        assert_eq!(labels.take(&name("other.kz"), &name("d.other.kz"), limits, now), Some(1), "each wildcard has its own");
    }

    #[test]
    fn their_bytes_are_bounded_too() {
        let limits = Limits { label_bytes_per_hour: 10, ..Limits::default() };
        let labels = Labels::default();
        let take = |label: &str| labels.take(&name("store.kz"), &name(&format!("{label}.store.kz")), limits, Instant::now());
        assert_eq!([take("12345678a"), take("bc"), take("d"), take("e")], [Some(9), None, Some(1), None]);
    }
}
