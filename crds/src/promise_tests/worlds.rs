//! Generated standards, recipients, holdings, edits and flows, of few values so that they meet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shekara_policy::flow::TlsVersion;
use shekara_policy::geo::CountrySource;
use shekara_policy::{Address, Country, Flow, Protocol};

use crate::data_holding::{Approval, Held, Mode, Transfer};
use crate::{DataHolding, DataHoldingSpec, Recipient, SovereigntyStandard};

const CATEGORIES: [&str; 4] = ["biometric.face", "biometric.iris", "vehicle.location", "vehicle.cabin-audio"];
const PATTERNS: [&str; 6] = ["biometric.*", "vehicle.*", "biometric.*", "vehicle.*", "biometric.face", "vehicle.location"];
const COUNTRIES: [&str; 3] = ["KZ", "KZ", "DE"];
const GROUNDS: [&str; 3] = ["Law", "Contract", "Consent"];
const PURPOSES: [&str; 4] = ["maps", " Maps", "search  for people", "search for people and more"];
const INSTANTS: [&str; 4] = ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"];
const NETWORKS: [&str; 4] = ["192.0.2.0/24", "192.0.2.0/28", "198.51.100.0/24", "10.0.0.0/8"];
const ADDRESSES: [&str; 5] = ["192.0.2.1", "192.0.2.200", "198.51.100.1", "203.0.113.1", "10.0.0.1"];
const HOSTS: [&str; 2] = ["a.example.kz", "b.example.de"];
const SIZES: [&str; 4] = ["0", "100", "1Ki", "2k"];
const RECIPIENTS: [&str; 3] = ["r0", "r1", "r2"];

/// A size of the test in bytes.
pub(super) fn size(text: &str) -> u64 {
    [0, 100, 1024, 2000][SIZES.iter().position(|size| *size == text).unwrap()]
}

/// What the geo sources know.
pub(super) fn country_of(address: IpAddr) -> Option<&'static str> {
    match address.to_string() {
        ip if ip.starts_with("192.0.2.") => Some("KZ"),
        ip if ip.starts_with("198.51.100.") => Some("DE"),
        _ => None,
    }
}

pub(super) struct Geo;

impl CountrySource for Geo {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        country_of(address).map(|country| country.parse().unwrap()).into_iter().collect()
    }
}

/// The labels of the holding's namespace.
pub(super) fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("tier".to_owned(), "a".to_owned())])
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) standards: Vec<SovereigntyStandard>,
    pub(super) recipients: BTreeMap<String, Recipient>,
    pub(super) holding: DataHolding,
    pub(super) edits: Vec<Edit>,
    pub(super) flows: Vec<Flow>,
    pub(super) now: &'static str,
}

/// What the owner of a holding may do to it.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Hold(&'static str),
    HoldNoMore(usize),
    Send(Transfer),
    SendNoMore(usize),
    Carry(usize, Vec<&'static str>),
    Purpose(usize, Option<&'static str>),
    Bound(usize, Option<&'static str>),
    Approve(usize, bool),
    Select(&'static str),
    Mode(Mode),
    Again(usize),
}

impl Edit {
    pub(super) fn make(&self, spec: &mut DataHoldingSpec) {
        let count = spec.transfers.len().max(1);
        match self {
            Self::Hold(category) => spec.data.push(held(category)),
            Self::HoldNoMore(index) if spec.data.len() > 1 => drop(spec.data.remove(index % spec.data.len())),
            Self::HoldNoMore(_) => {}
            Self::Send(transfer) => spec.transfers.push(transfer.clone()),
            Self::SendNoMore(index) if !spec.transfers.is_empty() => drop(spec.transfers.remove(index % count)),
            Self::SendNoMore(_) => {}
            Self::Carry(index, data) => {
                on(spec, *index, |transfer| transfer.data = data.iter().map(ToString::to_string).collect())
            }
            Self::Purpose(index, purpose) => on(spec, *index, |transfer| transfer.purpose = purpose.map(str::to_owned)),
            Self::Bound(index, size) => on(spec, *index, |transfer| transfer.max_out_per_day = size.map(str::to_owned)),
            Self::Approve(index, approved) => on(spec, *index, |transfer| transfer.approval = approved.then(approval)),
            Self::Select(app) => drop(spec.workload_selector.match_labels.insert("app".into(), (*app).to_owned())),
            Self::Mode(mode) => spec.enforcement.mode = *mode,
            Self::Again(index) => {
                if let Some(transfer) = spec.transfers.get(index % count).cloned() {
                    spec.transfers.push(transfer);
                }
            }
        }
    }
}

/// Edits one of the transfers, if there is any.
fn on(spec: &mut DataHoldingSpec, index: usize, edit: impl FnOnce(&mut Transfer)) {
    let count = spec.transfers.len().max(1);
    if let Some(transfer) = spec.transfers.get_mut(index % count) {
        edit(transfer);
    }
}

fn approval() -> Approval {
    Approval { by: "b".into(), document: "44".into(), date: "2026-01-20".into() }
}

static HELD: LazyLock<Held> = LazyLock::new(|| serde_json::from_value(json!({"category": "biometric.face"})).unwrap());

fn held(category: &str) -> Held {
    Held { category: category.to_owned(), ..HELD.clone() }
}

fn some_of(
    from: &'static [&'static str],
    count: impl Into<proptest::collection::SizeRange>,
) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(from), count).prop_map(|mut chosen| {
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    })
}

fn transfer() -> impl Strategy<Value = Transfer> {
    let recipient = select(&["r0", "r0", "r1", "r2", "nobody"][..]);
    let purpose = option::of(select(&PURPOSES[..]));
    let bound = option::weighted(0.2, select(&SIZES[..]));
    (recipient, some_of(&CATEGORIES, 0..3), purpose, bound, any::<bool>()).prop_map(
        |(recipient, data, purpose, bound, approved)| Transfer {
            recipient: recipient.to_owned(),
            data: data.into_iter().map(str::to_owned).collect(),
            purpose: purpose.map(str::to_owned),
            max_out_per_day: bound.map(str::to_owned),
            approval: approved.then(approval),
        },
    )
}

fn standard() -> impl Strategy<Value = Value> {
    let rule = (
        some_of(&PATTERNS, 1..3),
        some_of(&COUNTRIES, 1..3),
        some_of(&GROUNDS, 2..7),
        option::weighted(0.3, select(&["1.2", "1.3"][..])),
    )
        .prop_map(|(data, countries, grounds, tls)| {
            let mut rule = json!({"data": data, "countries": countries, "grounds": grounds});
            if let Some(tls) = tls {
                rule["minTLS"] = json!(tls);
            }
            rule
        });
    let network =
        (select(&NETWORKS[..]), select(&COUNTRIES[..])).prop_map(|(cidr, country)| json!({"cidr": cidr, "country": country}));
    let leave = || select(&["Denied", "Bounded", "Allowed"][..]);
    let shared = select(&["Unknown", "Located"][..]);
    let hidden = select(&["Denied", "OuterName", "OuterName"][..]);
    let selector = select(&[0, 0, 0, 1, 2][..]);
    let bound = select(&SIZES[..]);
    (some_of(&PATTERNS, 1..3), selector, some_of(&COUNTRIES, 1..3), vec(network, 0..2), vec(rule, 1..3), (leave(), leave(), bound, shared, hidden)).prop_map(
        |(data, selector, home, mut networks, rules, (at_home, abroad, bound, shared, hidden))| {
            let selector = [json!({}), json!({"matchLabels": {"tier": "a"}}), json!({"matchLabels": {"tier": "b"}})][selector].clone();
            // a network that is said twice in one standard has no meaning
            networks.dedup_by(|one, other| one["cidr"] == other["cidr"]);
            json!({"title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"namespaceSelector": selector, "data": data},
                "homeCountries": home, "networks": networks, "transfers": rules, "emptyTransfers": {"home": at_home, "abroad": abroad},
                "maxEmptyOutPerDay": bound, "sharedTenancy": shared, "encryptedClientHello": hidden})
        },
    )
}

fn recipient() -> impl Strategy<Value = Value> {
    let target = prop_oneof![
        select(&HOSTS[..]).prop_map(|host| json!({"host": host})),
        select(&NETWORKS[..]).prop_map(|network| json!({"network": network})),
    ];
    let protocol = select(&["TLS", "TLS", "HTTP", "TCP"][..]);
    let endpoint = (target, protocol, any::<prop::sample::Index>(), prop::bool::weighted(0.2)).prop_map(
        |(mut endpoint, protocol, port, shared)| {
            endpoint["ports"] = [json!([443]), json!([443, 80])][port.index(2)].clone();
            endpoint["protocol"] = json!(protocol);
            endpoint["tenancy"] = json!(if shared { "Shared" } else { "Single" });
            endpoint
        },
    );
    let holders = select(&["[]", "[]", "[\"n/*\"]", "[\"n/h\"]", "[\"n/other\"]", "[\"m/*\"]"][..]);
    let purposes = select(&["[]", "[]", "[\"maps\"]", "[\"Search for people\"]"][..]);
    let instant = || option::weighted(0.3, select(&INSTANTS[..]));
    let permit = (some_of(&CATEGORIES, 3..7), select(&GROUNDS[..]), holders, purposes, instant(), instant()).prop_map(
        |(data, ground, holders, purposes, from, until)| {
            let list = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let mut permit = json!({"data": data, "ground": ground, "holders": list(holders), "purposes": list(purposes)});
            if let Some(from) = from {
                permit["validFrom"] = json!(from);
            }
            if let Some(until) = until {
                permit["validUntil"] = json!(until);
            }
            permit
        },
    );
    let role = select(&["Processor", "Processor", "Emergency", "Self"][..]);
    (select(&COUNTRIES[..]), role, vec(endpoint, 1..4), vec(permit, 0..4)).prop_map(|(country, role, endpoints, permits)| {
        json!({"legalName": "R", "country": country, "role": role, "endpoints": endpoints, "permits": permits})
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = || 0usize..4;
    prop_oneof![
        select(&CATEGORIES[..]).prop_map(Edit::Hold),
        place().prop_map(Edit::HoldNoMore),
        transfer().prop_map(Edit::Send),
        place().prop_map(Edit::SendNoMore),
        (place(), some_of(&CATEGORIES, 0..3)).prop_map(|(index, data)| Edit::Carry(index, data)),
        (place(), option::of(select(&PURPOSES[..]))).prop_map(|(index, purpose)| Edit::Purpose(index, purpose)),
        (place(), option::of(select(&SIZES[..]))).prop_map(|(index, size)| Edit::Bound(index, size)),
        (place(), any::<bool>()).prop_map(|(index, approved)| Edit::Approve(index, approved)),
        select(&["a", "b"][..]).prop_map(Edit::Select),
        select(&[Mode::Enforce, Mode::Observe][..]).prop_map(Edit::Mode),
        place().prop_map(Edit::Again),
    ]
}

fn flow() -> impl Strategy<Value = Flow> {
    let protocol = select(&[Protocol::Tls, Protocol::Tls, Protocol::Http, Protocol::Tcp][..]);
    let tls = select(&[Some(TlsVersion::V13), Some(TlsVersion::V12), None][..]);
    let ech = prop::bool::weighted(0.1);
    let ports = select(&[443u16, 443, 80][..]);
    (protocol, option::weighted(0.8, select(&HOSTS[..])), select(&ADDRESSES[..]), ports, tls, ech).prop_map(
        |(protocol, name, address, port, tls, ech)| Flow {
            protocol,
            name: name.map(|name| name.parse().unwrap()),
            address: Some(Address::new(address.parse().unwrap())),
            port,
            tls: tls.filter(|_| protocol == Protocol::Tls),
            ech: ech && protocol == Protocol::Tls,
            via: None,
        },
    )
}

/// Makes a flow one to this endpoint, as far as its address may be there.
fn aim(flow: &mut Flow, endpoint: &Value) {
    flow.protocol = match endpoint["protocol"].as_str().unwrap() {
        "TLS" => Protocol::Tls,
        "HTTP" => Protocol::Http,
        _ => Protocol::Tcp,
    };
    flow.tls = flow.tls.or(Some(TlsVersion::V13)).filter(|_| flow.protocol == Protocol::Tls);
    flow.ech &= flow.protocol == Protocol::Tls;
    flow.port = 443;
    flow.name = endpoint["host"].as_str().map(|host| host.parse().unwrap());
}

static HOLDING: LazyLock<DataHolding> = LazyLock::new(|| {
    serde_json::from_value(json!({
        "metadata": {"name": "h", "namespace": "n", "uid": "u"},
        "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": "a"}}, "data": []}
    }))
    .unwrap()
});

/// A world with a holding, what its owner does to it, and flows.
pub(super) fn world() -> impl Strategy<Value = World> {
    let held = some_of(&CATEGORIES, 1..4);
    let parties = (vec(standard(), 0..3), vec(recipient(), RECIPIENTS.len()));
    let aims = vec((any::<bool>(), 0usize..2, 0usize..3), 6);
    (parties, held, vec(transfer(), 1..4), vec(edit(), 0..5), (vec(flow(), 6), aims), select(&INSTANTS[..])).prop_map(
        |((standards, recipients), data, transfers, edits, (mut flows, aims), now)| {
            for (flow, (hits, recipient, endpoint)) in flows.iter_mut().zip(aims) {
                let endpoints = recipients[recipient]["endpoints"].as_array().unwrap();
                if hits {
                    aim(flow, &endpoints[endpoint % endpoints.len()]);
                }
            }
            let standard = |(index, spec): (usize, Value)| {
                serde_json::from_value(json!({"metadata": {"name": format!("s{index}")}, "spec": spec})).unwrap()
            };
            let recipient = |(name, spec): (&str, Value)| {
                (name.to_owned(), serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap())
            };
            let mut holding = HOLDING.clone();
            holding.spec.data = data.into_iter().map(self::held).collect();
            holding.spec.transfers = transfers;
            World {
                standards: standards.into_iter().enumerate().map(standard).collect(),
                recipients: RECIPIENTS.into_iter().zip(recipients).map(recipient).collect(),
                holding,
                edits,
                flows,
                now,
            }
        },
    )
}
