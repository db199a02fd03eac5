//! Sums of flows by what they have in common.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shekara_policy::exchange::{Checkpoint, FlowTotal};
use shekara_policy::{Category, Country, Reason};

/// How many kinds of flows a sum tells apart; further ones are counted by their reason alone.
const BOUND: usize = 1000;

/// What flows have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shared {
    pub(crate) recipients: BTreeSet<String>,
    pub(crate) country: Option<Country>,
    pub(crate) data: BTreeSet<Category>,
    pub(crate) reason: Option<Reason>,
    /// Whether they passed in spite of the reason, since their pod observed.
    pub(crate) observed: bool,
    /// Whether they came from clients.
    pub(crate) inbound: bool,
}

/// How many flows and bytes, and the latest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) flows: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) last: Timestamp,
    pub(crate) last_destination: String,
}

/// Sums of flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals(BTreeMap<Shared, Counted>);

impl Totals {
    /// Every sum.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Shared, &Counted)> {
        self.0.iter()
    }

    /// Adds another sum.
    pub(crate) fn add(&mut self, other: &Self) {
        for (shared, counted) in &other.0 {
            self.count(shared.clone(), counted);
        }
    }

    /// Adds what a start of a sidecar has counted.
    pub(crate) fn add_checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.add_list(&checkpoint.totals);
        // the sink does not know where its datagrams were to go, so they are nobody's flow and counted beside the flows
        let told = checkpoint.totals.iter().any(|total| total.reason == Some(Reason::UnlistedDatagram));
        if checkpoint.datagrams_denied > 0 && !told {
            let shared = Shared::of(Some(Reason::UnlistedDatagram), false, false);
            let flows = checkpoint.datagrams_denied;
            let last = checkpoint.totals.iter().map(|total| total.last).max().unwrap_or(checkpoint.started);
            self.count(shared, &Counted { flows, bytes_out: 0, bytes_in: 0, last, last_destination: String::new() });
        }
    }

    /// The sums, one an entry, as a checkpoint has them.
    pub(super) fn to_list(&self) -> Vec<FlowTotal> {
        let total = |(shared, counted): (&Shared, &Counted)| FlowTotal {
            recipients: shared.recipients.clone(),
            country: shared.country,
            data: shared.data.clone(),
            reason: shared.reason,
            observed: shared.observed,
            inbound: shared.inbound,
            flows: counted.flows,
            bytes_out: counted.bytes_out,
            bytes_in: counted.bytes_in,
            last: counted.last,
            last_destination: counted.last_destination.clone(),
        };
        self.0.iter().map(total).collect()
    }

    /// Adds a list of sums.
    pub(super) fn add_list(&mut self, totals: &[FlowTotal]) {
        for total in totals {
            let shared = Shared {
                recipients: total.recipients.clone(),
                country: total.country,
                data: total.data.clone(),
                reason: total.reason,
                observed: total.observed,
                inbound: total.inbound,
            };
            let counted = Counted {
                flows: total.flows,
                bytes_out: total.bytes_out,
                bytes_in: total.bytes_in,
                last: total.last,
                last_destination: total.last_destination.clone(),
            };
            self.count(shared, &counted);
        }
    }

    fn count(&mut self, shared: Shared, counted: &Counted) {
        let shared = if self.0.len() < BOUND || self.0.contains_key(&shared) {
            shared
        } else {
            Shared::of(shared.reason, shared.observed, shared.inbound)
        };
        let Some(sum) = self.0.get_mut(&shared) else {
            self.0.insert(shared, counted.clone());
            return;
        };
        sum.add(counted);
    }
}

impl Counted {
    /// Adds other flows.
    pub(crate) fn add(&mut self, other: &Self) {
        self.flows = self.flows.saturating_add(other.flows);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        if other.last >= self.last {
            self.last = other.last;
            self.last_destination.clone_from(&other.last_destination);
        }
    }
}

impl Shared {
    fn of(reason: Option<Reason>, observed: bool, inbound: bool) -> Self {
        Self { recipients: BTreeSet::new(), country: None, data: BTreeSet::new(), reason, observed, inbound }
    }
}
