//! The proposal: a pure function of what was seen, what is declared and who is listed. Its form is stable, and docs/cli.md
//! describes it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::draft::is_draft;
use shekara_crds::recipient::Endpoint;
use shekara_crds::{DataHolding, Recipient};
use shekara_policy::{Country, HostPattern, Protocol, Reason};

use super::seen::{Party, Seen, full_name};

/// What is proposed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Proposal {
    pub(super) kind: &'static str,
    /// Every group of flows that Enforce denies.
    pub(super) denied: Vec<Denied>,
    /// Recipients that nobody has listed yet.
    pub(super) recipients: Vec<Draft>,
    /// Endpoints that listed recipients lack.
    pub(super) endpoints: Vec<MissingEndpoint>,
    /// Transfers that holdings lack.
    pub(super) transfers: Vec<MissingTransfer>,
    /// Holdings that annotations made and that nobody has taken over yet, as `namespace/name`.
    pub(super) drafts: Vec<String>,
}

/// Flows that Enforce denies.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Denied {
    /// `namespace/name`; null where it is not known.
    pub(super) holding: Option<String>,
    pub(super) destination: String,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
    pub(super) reason: String,
    /// What happened and what can be done, where the code is known.
    pub(super) sentence: Option<&'static str>,
    pub(super) flows: u64,
    pub(super) last: Option<Timestamp>,
    pub(super) countries: BTreeSet<Country>,
}

/// A recipient to be completed by whoever knows the legal facts.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) endpoints: Vec<DraftEndpoint>,
    /// The holdings that would use it.
    pub(super) holders: BTreeSet<String>,
}

/// An endpoint as it was seen. Port and protocol are null where only a question for the name was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DraftEndpoint {
    pub(super) host: Option<String>,
    pub(super) network: Option<IpNet>,
    pub(super) port: Option<u16>,
    pub(super) protocol: Option<Protocol>,
}

/// An endpoint that a listed recipient lacks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MissingEndpoint {
    pub(super) recipient: String,
    pub(super) endpoint: DraftEndpoint,
}

/// A transfer that a holding lacks.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MissingTransfer {
    pub(super) holding: String,
    pub(super) recipient: String,
}

/// Who a party is, by the recipients that are listed.
enum Known<'a> {
    /// A recipient lists it on this port.
    Listed(&'a Recipient),
    /// A recipient lists it on other ports or by other protocols.
    Elsewhere(&'a Recipient),
    /// None lists it.
    Unknown,
}

impl Proposal {
    pub(super) fn of(seen: &[Seen], holdings: &[DataHolding], recipients: &[Recipient]) -> Self {
        let mut drafts: BTreeMap<Party, Draft> = BTreeMap::new();
        let (mut endpoints, mut transfers) = (BTreeSet::new(), BTreeSet::new());
        for seen in seen.iter().filter(|seen| is_unlisted(&seen.key.reason) && seen.key.party != Party::Nobody) {
            let key = &seen.key;
            let recipient = match known(seen, recipients) {
                Known::Listed(recipient) => recipient.name_any(),
                Known::Elsewhere(recipient) => {
                    endpoints.insert(MissingEndpoint { recipient: recipient.name_any(), endpoint: endpoint(seen) });
                    recipient.name_any()
                }
                Known::Unknown => {
                    let draft = drafts.entry(key.party.clone()).or_insert_with(|| draft(&key.party, recipients));
                    if !draft.endpoints.contains(&endpoint(seen)) {
                        draft.endpoints.push(endpoint(seen));
                    }
                    draft.holders.extend(key.holding.clone());
                    draft.name.clone()
                }
            };
            if let Some(holding) = key.holding.as_ref().filter(|holding| !declares(holding, &recipient, holdings)) {
                transfers.insert(MissingTransfer { holding: holding.clone(), recipient });
            }
        }
        Self {
            kind: "Proposal",
            denied: seen.iter().map(denied).collect(),
            recipients: drafts.into_values().collect(),
            endpoints: endpoints.into_iter().collect(),
            transfers: transfers.into_iter().collect(),
            drafts: holdings.iter().filter(|holding| is_draft(holding)).map(full_name).collect(),
        }
    }
}

/// Whether a denial for this reason would end if the destination were listed. Others have to do with permits, countries and
/// protocols, which no draft can settle.
fn is_unlisted(reason: &str) -> bool {
    let unlisted = [
        Reason::UnlistedParty,
        Reason::UnlistedQuestion,
        Reason::UnlistedDatagram,
        Reason::NoName,
        Reason::NameTimeout,
        Reason::UnreadableHello,
        Reason::ForbiddenAddress,
    ];
    unlisted.into_iter().any(|unlisted| unlisted.code() == reason)
}

fn known<'a>(seen: &Seen, recipients: &'a [Recipient]) -> Known<'a> {
    let lists = |endpoint: &Endpoint| match (&seen.key.party, &endpoint.host, &endpoint.network) {
        (Party::Name(name), Some(host), _) => host.parse::<HostPattern>().is_ok_and(|pattern| pattern.matches(name)),
        (Party::Address(address), _, Some(network)) => network.parse::<IpNet>().is_ok_and(|network| network.contains(address)),
        _ => false,
    };
    let on_port = |endpoint: &&Endpoint| seen.key.port.is_none_or(|port| endpoint.ports.contains(&i32::from(port)));
    let listing = |recipient: &&Recipient| recipient.spec.endpoints.iter().any(|endpoint| lists(endpoint) && on_port(&endpoint));
    if let Some(recipient) = recipients.iter().find(listing) {
        return Known::Listed(recipient);
    }
    let elsewhere = recipients.iter().find(|recipient| recipient.spec.endpoints.iter().any(lists));
    elsewhere.map_or(Known::Unknown, Known::Elsewhere)
}

fn draft(party: &Party, recipients: &[Recipient]) -> Draft {
    let name: String = party.to_string().chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let name = format!("{}{}", if matches!(party, Party::Address(_)) { "address-" } else { "" }, name.trim_matches('-'));
    let taken = recipients.iter().any(|recipient| recipient.name_any() == name);
    Draft { name: if taken { format!("{name}-draft") } else { name }, endpoints: vec![], holders: BTreeSet::new() }
}

fn endpoint(seen: &Seen) -> DraftEndpoint {
    let (host, network) = match &seen.key.party {
        Party::Name(name) => (Some(name.to_string()), None),
        Party::Address(address) => (None, Some(IpNet::from(*address))),
        Party::Nobody => (None, None),
    };
    DraftEndpoint { host, network, port: seen.key.port, protocol: seen.key.protocol }
}

fn declares(holding: &str, recipient: &str, holdings: &[DataHolding]) -> bool {
    let is_it = |found: &&DataHolding| full_name(found) == holding;
    let transfers = holdings.iter().find(is_it).map(|holding| &holding.spec.transfers);
    transfers.into_iter().flatten().any(|transfer| transfer.recipient == recipient)
}

fn denied(seen: &Seen) -> Denied {
    let key = seen.key.clone();
    Denied {
        holding: key.holding,
        destination: key.party.to_string(),
        port: key.port,
        protocol: key.protocol,
        sentence: Reason::ALL.iter().find(|reason| reason.code() == key.reason).map(|reason| reason.sentence()),
        reason: key.reason,
        flows: seen.flows,
        last: seen.last,
        countries: seen.countries.clone(),
    }
}
