//! What left and what did not, as the status of a holding says it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shekara_crds::Compiled;
use shekara_crds::compile::Party;
use shekara_crds::data_holding::status::{DenialSummary, TransferSummary, TransferVerdict};
use shekara_policy::{Category, PolicyDocument};

use crate::ledger::{Counted, Shared, Totals};

/// How many entries a list of status has at most.
pub(super) const LIST: usize = 64;
/// How many denials it has at most, one for each reason: more than there are, so that none is left out.
pub(super) const DENIALS: usize = 128;
/// What flows are called that were too many to tell apart.
pub(super) const OTHERS: &str = "others";

/// Flows by what became of them.
#[derive(Debug, Default)]
pub(super) struct Flows {
    pub(super) transfers: Vec<TransferSummary>,
    pub(super) denials: Vec<DenialSummary>,
    pub(super) denied: i64,
    pub(super) truncated: bool,
}

/// Sums up the flows of a holding's pods.
pub(super) fn flows(totals: &Totals, compiled: &Compiled) -> Flows {
    summed(totals, &declared(&compiled.document), &compiled.parties)
}

/// The same by the recipients that a holding declares with their data, and what is known of them.
pub(super) fn summed(
    totals: &Totals,
    declared: &BTreeMap<String, BTreeSet<Category>>,
    parties: &BTreeMap<String, Party>,
) -> Flows {
    let mut transfers: BTreeMap<Row, Counted> = BTreeMap::new();
    let mut denials: BTreeMap<&'static str, Counted> = BTreeMap::new();
    let mut observed: BTreeMap<&'static str, Counted> = BTreeMap::new();
    let mut passed = 0_u64;
    for (shared, counted) in totals.iter().filter(|(shared, _)| !shared.inbound) {
        match (shared.reason, recipient(shared, declared)) {
            (None, recipient) => add(&mut transfers, Row::of(shared, recipient.unwrap_or(OTHERS), &shared.data, None), counted),
            (Some(reason), recipient) => {
                add(&mut denials, reason.code(), counted);
                if shared.observed {
                    passed = passed.saturating_add(counted.flows);
                    add(&mut observed, reason.code(), counted);
                }
                if let Some(recipient) = recipient {
                    // What was denied was not judged to carry anything; its row says what the route would.
                    let data = declared.get(recipient).unwrap_or(&shared.data);
                    add(&mut transfers, Row::of(shared, recipient, data, Some(reason.code())), counted);
                }
            }
        }
    }
    let (transfers, cut) = summarise(transfers, parties);
    Flows {
        denied: number(denials.values().fold(0, |sum: u64, counted| sum.saturating_add(counted.flows)).saturating_sub(passed)),
        denials: denials.into_iter().take(DENIALS).map(|(reason, all)| denial(reason, all, observed.get(reason))).collect(),
        transfers,
        truncated: cut,
    }
}

/// The recipients of the holding's own document with the data declared for them: a pod in two holdings names those of both.
fn declared(document: &PolicyDocument) -> BTreeMap<String, BTreeSet<Category>> {
    let inside = document.in_cluster.iter().map(|route| (format!("{}/{}", route.namespace, route.service), &route.data));
    let outside = document.routes.iter().map(|route| (route.recipient.clone(), &route.data));
    let mut declared: BTreeMap<String, BTreeSet<Category>> = BTreeMap::new();
    for (recipient, data) in outside.chain(inside) {
        declared.entry(recipient).or_default().extend(data);
    }
    declared
}

/// The recipient of these flows, if they have one: one that the holding declares before another.
fn recipient<'a>(shared: &'a Shared, declared: &BTreeMap<String, BTreeSet<Category>>) -> Option<&'a str> {
    let own = shared.recipients.iter().find(|recipient| declared.contains_key(*recipient));
    own.or_else(|| shared.recipients.first()).map(String::as_str)
}

/// What the flows of one entry have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    recipient: String,
    country: Option<String>,
    data: Vec<String>,
    reason: Option<&'static str>,
    /// They left in spite of it.
    observed: bool,
}

impl Row {
    fn of(shared: &Shared, recipient: &str, data: &BTreeSet<Category>, reason: Option<&'static str>) -> Self {
        Self {
            recipient: recipient.to_owned(),
            country: shared.country.map(|country| country.to_string()),
            data: data.iter().map(ToString::to_string).collect(),
            reason,
            observed: shared.observed,
        }
    }

    /// Whether something left.
    fn left(&self) -> bool {
        self.reason.is_none() || self.observed
    }

    fn verdict(&self) -> TransferVerdict {
        match self.reason {
            None => TransferVerdict::Allowed,
            Some(_) if self.observed => TransferVerdict::Observed,
            Some(_) => TransferVerdict::Denied,
        }
    }
}

pub(super) fn add<K: Ord>(sums: &mut BTreeMap<K, Counted>, key: K, counted: &Counted) {
    match sums.get_mut(&key) {
        Some(sum) => sum.add(counted),
        None => drop(sums.insert(key, counted.clone())),
    }
}

/// The entries, cut to those with the most flows; denied ones only for recipients to whom nothing was allowed, since a route
/// that is open in part is no denied route.
fn summarise(transfers: BTreeMap<Row, Counted>, parties: &BTreeMap<String, Party>) -> (Vec<TransferSummary>, bool) {
    let open: BTreeSet<String> = transfers.keys().filter(|row| row.reason.is_none()).map(|row| row.recipient.clone()).collect();
    let mut rows: Vec<(Row, Counted)> =
        transfers.into_iter().filter(|(row, _)| row.left() || !open.contains(&row.recipient)).collect();
    let cut = rows.len() > LIST;
    if cut {
        rows.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.flows));
        rows.truncate(LIST);
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    (rows.into_iter().map(|(row, counted)| transfer(row, &counted, parties)).collect(), cut)
}

fn transfer(row: Row, counted: &Counted, parties: &BTreeMap<String, Party>) -> TransferSummary {
    let (party, verdict) = (parties.get(&row.recipient), row.verdict());
    TransferSummary {
        recipient: row.recipient,
        country: row.country,
        parent_country: party.and_then(|party| party.parent_country).map(|country| country.to_string()),
        shared: party.is_some_and(|party| party.shared),
        data: row.data,
        verdict,
        reason: row.reason.map(str::to_owned),
        flows: number(counted.flows),
        bytes_out: number(counted.bytes_out),
        bytes_in: number(counted.bytes_in),
        last: Some(second(counted.last)),
    }
}

pub(super) fn denial(reason: &str, counted: Counted, observed: Option<&Counted>) -> DenialSummary {
    DenialSummary {
        reason: reason.to_owned(),
        flows: number(counted.flows),
        observed: observed.map(|observed| number(observed.flows)),
        bytes_out: observed.map(|observed| number(observed.bytes_out)),
        last_destination: Some(counted.last_destination).filter(|destination| !destination.is_empty()),
        last: Some(second(counted.last)),
    }
}

pub(super) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An instant in whole seconds: finer ones would only make status longer.
pub(super) fn second(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
