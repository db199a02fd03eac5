//! What was denied, grouped by holding, party, port and protocol: from the status of holdings and the records of sidecars.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_crds::DataHolding;
use shekara_policy::record::{Decision, Direction, FlowRecord};
use shekara_policy::{Country, HostName, Protocol, Reason};

/// Flows that were denied and have holding, party, port, protocol and reason in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) key: Key,
    pub(super) flows: u64,
    pub(super) last: Option<Timestamp>,
    pub(super) countries: BTreeSet<Country>,
}

/// What flows have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// `namespace/name`; none where the record does not say and several holdings may be meant.
    pub(super) holding: Option<String>,
    pub(super) party: Party,
    /// None where only a question for the name was seen, or a status, which names none.
    pub(super) port: Option<u16>,
    /// None as the port.
    pub(super) protocol: Option<Protocol>,
    /// The stable code.
    pub(super) reason: String,
}

/// To whom a flow was meant to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    Name(HostName),
    Address(IpAddr),
    /// Neither is known.
    Nobody,
}

impl Party {
    fn of(name: Option<&str>, address: Option<IpAddr>) -> Self {
        // a name that is none cannot be listed, but the address may be
        match (name.and_then(|name| name.parse::<HostName>().ok()), address) {
            (Some(name), _) => Self::Name(name),
            (None, Some(address)) => Self::Address(address),
            (None, None) => name.and_then(|name| name.parse().ok()).map_or(Self::Nobody, Self::Address),
        }
    }
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Nobody => f.write_str("-"),
        }
    }
}

/// Everything that was denied. What a record tells in full is not repeated from a status, which tells less.
pub(super) fn all(holdings: &[DataHolding], records: &[FlowRecord]) -> Vec<Seen> {
    let only = if let [one] = holdings { Some(full_name(one)) } else { None };
    let names: BTreeSet<String> = holdings.iter().map(full_name).collect();
    let mut found: BTreeMap<Key, Seen> = BTreeMap::new();
    for record in records.iter().filter(|record| record.verdict == Decision::Deny && record.direction == Direction::Outbound) {
        let holding = record.denied_by.clone().or_else(|| only.clone());
        if holding.as_ref().is_none_or(|holding| names.contains(holding)) {
            add(&mut found, from_record(record, holding));
        }
    }
    let told: BTreeSet<(Option<String>, Party)> = found.keys().map(|key| (key.holding.clone(), key.party.clone())).collect();
    for seen in holdings.iter().flat_map(from_status) {
        let unassigned = (None, seen.key.party.clone());
        if !told.contains(&(seen.key.holding.clone(), seen.key.party.clone())) && !told.contains(&unassigned) {
            add(&mut found, seen);
        }
    }
    without_questions(found).into_values().collect()
}

/// `namespace/name`.
pub(super) fn full_name(holding: &DataHolding) -> String {
    format!("{}/{}", holding.namespace().unwrap_or_default(), holding.name_any())
}

fn add(found: &mut BTreeMap<Key, Seen>, seen: Seen) {
    match found.get_mut(&seen.key) {
        Some(before) => {
            before.flows += seen.flows;
            before.last = before.last.max(seen.last);
            before.countries.extend(seen.countries);
        }
        None => drop(found.insert(seen.key.clone(), seen)),
    }
}

fn from_record(record: &FlowRecord, holding: Option<String>) -> Seen {
    let is_question = record.protocol == Protocol::Dns;
    let key = Key {
        holding,
        party: Party::of(record.name.as_deref(), record.destination.filter(|_| !is_question)),
        port: Some(record.port).filter(|_| !is_question),
        protocol: Some(record.protocol).filter(|_| !is_question),
        reason: record.reason.map(Reason::code).unwrap_or_default().to_owned(),
    };
    Seen { key, flows: 1, last: Some(record.time), countries: record.country.into_iter().collect() }
}

fn from_status(holding: &DataHolding) -> Vec<Seen> {
    let denials = holding.status.iter().flat_map(|status| &status.denials);
    let seen = |denial: &shekara_crds::data_holding::status::DenialSummary| Seen {
        key: Key {
            holding: Some(full_name(holding)),
            party: Party::of(denial.last_destination.as_deref(), None),
            port: None,
            protocol: None,
            reason: denial.reason.clone(),
        },
        flows: u64::try_from(denial.flows).unwrap_or_default(),
        last: denial.last.as_ref().and_then(|last| last.parse().ok()),
        countries: BTreeSet::new(),
    };
    denials.map(seen).collect()
}

/// Leaves out questions for names that flows were seen to as well.
fn without_questions(mut found: BTreeMap<Key, Seen>) -> BTreeMap<Key, Seen> {
    let connected: BTreeSet<(Option<String>, Party)> =
        found.keys().filter(|key| key.port.is_some()).map(|key| (key.holding.clone(), key.party.clone())).collect();
    let connected = |key: &Key| {
        connected.iter().any(|(holding, party)| *party == key.party && (key.holding.is_none() || key.holding == *holding))
    };
    found.retain(|key, _| key.reason != Reason::UnlistedQuestion.code() || !connected(key));
    found
}
