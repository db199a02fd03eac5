//! The totals of flows for checkpoints: what recipients, country, data and reason have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use parking_lot::Mutex;
use shekara_policy::exchange::FlowTotal;
use shekara_policy::verdict::{Denial, Verdict};
use shekara_policy::{Category, Country, Reason};
use tokio::sync::Notify;

/// The most entries of a checkpoint.
const MOST: usize = 1000;

/// Entries kept free for flows that no longer get an entry of their own, in each direction: for each reason one for those that were
/// denied and one for those that passed all the same, and one for allowed flows.
const RESERVED: usize = 2 * (2 * Reason::ALL.len() + 1);

/// Every flow since the start, as totals that only grow.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<BTreeMap<Kind, Entry>>,
    news: Notify,
}

/// What the flows of one total have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// They came from clients.
    inbound: bool,
    reason: Option<Reason>,
    observed: bool,
    recipients: BTreeSet<String>,
    country: Option<Country>,
    data: BTreeSet<Category>,
}

impl Kind {
    /// The kind of a flow with this verdict.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Allow(grant) => Self {
                inbound: false,
                reason: None,
                observed: false,
                recipients: grant.rules.iter().map(|rule| rule.recipient.clone()).collect(),
                country: grant.country,
                data: grant.data.clone(),
            },
            Verdict::Deny(denial) => Self {
                inbound: false,
                reason: Some(denial.reason),
                observed: false,
                recipients: denial.recipient.iter().cloned().collect(),
                country: denial.country,
                data: BTreeSet::new(),
            },
        }
    }

    /// Why the flows were denied.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The same of a flow that a client began.
    #[must_use]
    pub fn inbound(self) -> Self {
        Self { inbound: true, ..self }
    }

    /// The kind of a flow that is denied and passes all the same, since the pod observes.
    #[must_use]
    pub fn observed(denial: &Denial) -> Self {
        Self { observed: true, ..Self::of(&Verdict::Deny(denial.clone())) }
    }
}

#[derive(Debug)]
struct Entry {
    flows: u64,
    last: Timestamp,
    last_destination: String,
    bytes: Arc<Bytes>,
}

/// Bytes that flows have carried: counted while they flow, so that a checkpoint has those of living flows too.
#[derive(Debug, Default)]
pub struct Bytes {
    from_pod: AtomicU64,
    to_pod: AtomicU64,
}

impl Bytes {
    /// Counts bytes from the pod to the destination or client.
    pub fn add_out(&self, bytes: u64) {
        self.from_pod.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes from the destination or client to the pod.
    pub fn add_in(&self, bytes: u64) {
        self.to_pod.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes no more that have not left and never will.
    pub fn take_back(&self, bytes: u64) {
        self.from_pod.fetch_sub(bytes.min(self.out()), Ordering::Relaxed);
    }

    /// Bytes from the pod so far.
    #[must_use]
    pub fn out(&self) -> u64 {
        self.from_pod.load(Ordering::Relaxed)
    }

    /// Bytes to the pod so far.
    #[must_use]
    pub fn inward(&self) -> u64 {
        self.to_pod.load(Ordering::Relaxed)
    }
}

impl Ledger {
    /// Counts a flow as it begins, or is denied; what it carries is to be added to the bytes.
    pub fn count(&self, kind: Kind, began: Timestamp, destination: &str) -> Arc<Bytes> {
        let mut entries = self.entries.lock();
        let own = entries.contains_key(&kind) || entries.len() + RESERVED < MOST;
        let (kind, destination) = if own {
            (kind, destination)
        } else {
            (Kind { inbound: kind.inbound, reason: kind.reason, observed: kind.observed, ..Kind::default() }, "")
        };
        if kind.reason.is_some() && !entries.contains_key(&kind) {
            self.news.notify_one();
        }
        let new = || Entry { flows: 0, last: began, last_destination: String::new(), bytes: Arc::default() };
        let entry = entries.entry(kind).or_insert_with(new);
        entry.flows += 1;
        entry.last = entry.last.max(began);
        destination.clone_into(&mut entry.last_destination);
        entry.bytes.clone()
    }

    /// Every total at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Vec<FlowTotal> {
        self.entries.lock().iter().map(|(kind, entry)| total(kind, entry)).collect()
    }

    /// Waits until a denial of a new kind is counted; one that came since the last wait counts.
    pub async fn news(&self) {
        self.news.notified().await;
    }
}

fn total(kind: &Kind, entry: &Entry) -> FlowTotal {
    FlowTotal {
        recipients: kind.recipients.clone(),
        country: kind.country,
        data: kind.data.clone(),
        reason: kind.reason,
        observed: kind.observed,
        inbound: kind.inbound,
        flows: entry.flows,
        bytes_out: entry.bytes.out(),
        bytes_in: entry.bytes.inward(),
        last: entry.last,
        last_destination: entry.last_destination.clone(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use shekara_policy::verdict::{Grant, Rule};

    use super::*;

    fn denied(reason: Reason, recipient: Option<String>) -> Kind {
        Kind::of(&Verdict::Deny(Denial { recipient, ..Denial::of(reason) }))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn flows_of_a_kind_are_one_total_with_the_bytes_so_far() {
        let ledger = Ledger::default();
        let allowed = Kind::of(&Verdict::Allow(Grant {
            rules: vec![
                Rule { holding: "a/a".into(), recipient: "clinic".into() },
                Rule { holding: "a/b".into(), recipient: "clinic".into() },
            ],
            data: BTreeSet::from([Category::BiometricFace]),
            country: Some("KZ".parse().unwrap()),
            budgets: vec![],
        }));
        let first = ledger.count(allowed.clone(), at(5), "one.example.kz");
        let second = ledger.count(allowed, at(4), "two.example.kz");
        first.add_out(3);
        second.add_out(4);
        second.add_in(10);
        let totals = ledger.snapshot();
        assert_eq!(totals.len(), 1);
        let total = &totals[0];
        assert_eq!((total.flows, total.bytes_out, total.bytes_in, total.last), (2, 7, 10, at(5)));
        assert_eq!((total.recipients.len(), total.last_destination.as_str()), (1, "two.example.kz"));
    }

    #[test]
    fn the_first_denial_of_a_kind_is_news_and_the_second_is_not() {
        let ledger = Ledger::default();
        ledger.count(Kind::default(), at(0), "allowed");
        assert!(ledger.news().now_or_never().is_none());
        ledger.count(denied(Reason::UnlistedParty, None), at(0), "a");
        assert!(ledger.news().now_or_never().is_some());
        ledger.count(denied(Reason::UnlistedParty, None), at(0), "b");
        assert!(ledger.news().now_or_never().is_none());
        ledger.count(denied(Reason::CrossBorder, Some("maps".into())), at(0), "c");
        assert!(ledger.news().now_or_never().is_some());
    }

    #[test]
    fn past_the_bound_flows_are_counted_by_reason_alone() {
        let ledger = Ledger::default();
        for number in 0..5000 {
            let reason = Reason::ALL[number % Reason::ALL.len()];
            ledger.count(denied(reason, Some(number.to_string())), at(0), "x").add_out(1);
        }
        let totals = ledger.snapshot();
        assert!(totals.len() <= MOST, "{}", totals.len());
        assert_eq!(totals.iter().map(|total| total.flows).sum::<u64>(), 5000);
        assert_eq!(totals.iter().map(|total| total.bytes_out).sum::<u64>(), 5000);
        assert!(totals.iter().filter(|total| total.recipients.is_empty()).all(|total| total.last_destination.is_empty()));
    }
}
