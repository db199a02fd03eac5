//! What applications can say in the names that they choose: labels below listed wildcards, to whoever serves them, and names of the
//! cluster, to whomever the cluster's DNS asks for some of them.
//!
//! A listed wildcard opens names that nobody has written down. Each label is a choice of the application's, and a program that wants
//! to say something says it in many of them. So the distinct ones of an hour are bounded, by their number and by their bytes. The
//! same holds for names of the cluster: a Service of type `ExternalName`, and a reverse zone that falls through, have the cluster's DNS
//! ask others.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::{HostName, Limits};
use tokio::time::Instant;

/// For how long a label counts.
const HOUR: Duration = Duration::from_secs(3600);

/// How many times as much may be said in names of the cluster as below one wildcard: honest clients ask for many more of them. With
/// the search domains of pods (`ndots:5`) each name outside is asked as three names of the cluster first, of which each has the whole
/// name outside in it, and each client's address may be asked for in reverse. By default that leaves room for some 600 names
/// outside an hour, and each Service that is listed can be asked for whatever else was said. What was answered NXDOMAIN counts like
/// the rest: whoever was asked has heard the name.
const IN_CLUSTER: u64 = 16;

/// What was said in the hour, by the name of the wildcard that it stood below; without one, in names of the cluster.
#[derive(Debug, Default)]
pub struct Labels(Mutex<BTreeMap<Option<HostName>, Hour>>);

#[derive(Debug)]
struct Hour {
    began: Instant,
    said: HashSet<Box<str>>,
    bytes: u64,
}

/// What may be said in an hour.
#[derive(Clone, Copy, Debug)]
struct Most {
    number: u64,
    bytes: u64,
}

impl Labels {
    /// Counts the first label of a name below a parent, and gives the bytes that it adds: 0 for one that was said in this hour
    /// already. None where it is one too many.
    #[must_use]
    pub fn take(&self, parent: &HostName, name: &HostName, limits: Limits, now: Instant) -> Option<u64> {
        let label = name.as_str().split('.').next().unwrap_or_default();
        self.count(Some(parent), label, most(limits, 1), now)
    }

    /// The same for what is said in a name of the cluster.
    #[must_use]
    pub fn take_in_cluster(&self, said: &str, limits: Limits, now: Instant) -> Option<u64> {
        self.count(None, said, most(limits, IN_CLUSTER), now)
    }

    fn count(&self, below: Option<&HostName>, said: &str, most: Most, now: Instant) -> Option<u64> {
        let mut hours = self.0.lock();
        // wildcards that were taken from the documents need no count any more
        hours.retain(|_, hour| now.saturating_duration_since(hour.began) < HOUR);
        let new = || Hour { began: now, said: HashSet::new(), bytes: 0 };
        let hour = hours.entry(below.cloned()).or_insert_with(new);
        if hour.said.contains(said) {
            return Some(0);
        }
        let bytes = said.len() as u64;
        if hour.said.len() as u64 >= most.number || hour.bytes + bytes > most.bytes {
            return None;
        }
        hour.said.insert(said.into());
        hour.bytes += bytes;
        Some(bytes)
    }
}

fn most(limits: Limits, times: u64) -> Most {
    Most { number: u64::from(limits.labels_per_hour) * times, bytes: u64::from(limits.label_bytes_per_hour) * times }
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

    #[test]
    fn names_of_the_cluster_have_a_larger_bound_of_their_own() {
        let limits = Limits { labels_per_hour: 1, label_bytes_per_hour: 63, ..Limits::default() };
        let (labels, now) = (Labels::default(), Instant::now());
        assert_eq!(labels.take(&name("store.kz"), &name("ab.store.kz"), limits, now), Some(2));
        for number in 0..IN_CLUSTER {
            assert_eq!(labels.take_in_cluster(&format!("n{number:02}.cameras.svc"), limits, now), Some(15));
        }
        let take = |said: &str, seconds| labels.take_in_cluster(said, limits, now + Duration::from_secs(seconds));
        assert_eq!([take("n00.cameras.svc", 3599), take("n99.cameras.svc", 3599)], [Some(0), None]);
        assert_eq!([take(&"n".repeat(1009), 3600), take("n99.cameras.svc", 3600)], [None, Some(15)], "by bytes too");
    }
}
