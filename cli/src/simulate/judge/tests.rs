//! What is simulated is what the sidecar's own code decides, over generated flows and the documents of the examples.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use shekara_crds::compile::{Surroundings, compile};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};
use shekara_policy::document::Cluster;
use shekara_policy::geo::CountrySource;
use shekara_policy::peer::{Cover, End, NoPeers, Peer, PeerSource, ServiceName};
use shekara_policy::{Category, Country, PolicyDocument};
use shekara_sidecar::flow::judge::{Plan, dialable, plan};

use super::*;

/// Knows 192.0.2.0/25 and what is not of documentation to be at home: beside what the standard declares.
struct Geo;

impl CountrySource for Geo {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        let known = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 8);
        if known { vec!["KZ".parse().unwrap()] } else { vec![] }
    }
}

fn examples(kind: &str) -> Vec<serde_json::Value> {
    let files = ["1-standard", "2-recipients", "3-cameras", "4-telematics"];
    // told at run time: a folder of builds may serve several checkouts
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap() + "/../examples";
    let documents = files.into_iter().flat_map(|file| {
        let text = std::fs::read_to_string(format!("{folder}/{file}.yaml")).unwrap();
        serde_saphyr::from_multiple::<serde_json::Value>(&text).unwrap()
    });
    documents.filter(|document| document["kind"] == kind).collect()
}

fn read<K: serde::de::DeserializeOwned>(kind: &str) -> Vec<K> {
    examples(kind).into_iter().map(|object| serde_json::from_value(object).unwrap()).collect()
}

/// The documents of the examples, and one with networks and a Service.
fn documents() -> Vec<PolicyDocument> {
    let standards: Vec<SovereigntyStandard> = read("SovereigntyStandard");
    let mut recipients: BTreeMap<String, Recipient> = BTreeMap::new();
    for recipient in read::<Recipient>("Recipient") {
        recipients.insert(recipient.metadata.name.clone().unwrap(), recipient);
    }
    let networks = serde_json::json!([
        {"network": "192.0.2.64/28", "ports": [443, 1883], "protocol": "TLS"},
        {"network": "192.0.2.128/28", "ports": [1883], "protocol": "TCP"},
        {"network": "10.1.0.0/16", "ports": [443], "protocol": "HTTP"},
        {"network": "192.0.2.192/28", "ports": [7], "protocol": "UDP"},
    ]);
    let own = recipients.get_mut("fleet-database").unwrap();
    own.spec.endpoints.extend(serde_json::from_value::<Vec<shekara_crds::recipient::Endpoint>>(networks).unwrap());
    let cluster =
        Cluster { networks: vec!["10.96.0.0/16".parse().unwrap()], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
    let labels = BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "city".to_owned())]);
    let holdings: Vec<DataHolding> = read("DataHolding");
    let around = Surroundings {
        standards: &standards,
        recipients: &recipients,
        namespace_labels: &labels,
        services: &[],
        cluster: &cluster,
        now: now(),
    };
    holdings.iter().map(|holding| compile(holding, around).document).collect()
}

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

/// The steps of the sidecar for an application that dials the address, was answered it for the name, and says that name.
fn sidecar(judge: Judge<'_>, to: &Destination, ip: IpAddr) -> Option<Reason> {
    let chosen = Address::new(ip);
    let pins: Vec<HostName> = to.name.iter().cloned().collect();
    let as_chosen = match plan(judge, chosen, to.port, &pins) {
        Plan::Refuse(denial, _) => return Some(denial.reason),
        Plan::Dial(_) => return None,
        Plan::Tunnel => return Some(Reason::ProxyRequest),
        Plan::Read { as_chosen } => as_chosen,
    };
    if to.protocol == Protocol::Tcp {
        return Some(Reason::UnreadableHello);
    }
    let flow = |name: &Option<HostName>, address| Flow {
        protocol: to.protocol,
        name: name.clone(),
        address,
        port: to.port,
        tls: to.tls.filter(|_| to.protocol == Protocol::Tls),
        ech: false,
        via: None,
    };
    let unnamed = as_chosen.then(|| decide(judge, &flow(&None, Some(chosen))));
    match (unnamed, &to.name) {
        (Some(Verdict::Allow(_)), _) => None,
        (Some(Verdict::Deny(denial)), None) => Some(denial.reason),
        (None, None) => Some(Reason::NoName),
        (_, Some(_)) => {
            let named = flow(&to.name, None);
            match decide(judge, &named) {
                Verdict::Deny(denial) => Some(denial.reason),
                Verdict::Allow(_) => dialable(judge, &named, chosen, &[ip]).err().map(|denial| denial.reason),
            }
        }
    }
}

/// The same peer everywhere, and addresses of a listed network that the cluster takes.
struct Everywhere(Option<Peer>);

impl PeerSource for Everywhere {
    fn peer(&self, _at: SocketAddr) -> Option<Arc<Peer>> {
        self.0.clone().map(Arc::new)
    }

    fn captures(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if v4.octets()[..3] == [192, 0, 2] && v4.octets()[3] < 160)
    }
}

/// An end as far as it is known: pods of which it may not be said whether they enforce the holding that covers them.
#[derive(Clone, Debug)]
enum Half {
    Known(End),
    Pod(BTreeSet<Category>, Option<bool>),
}

impl Half {
    fn end(&self, unsaid: bool) -> End {
        match self {
            Self::Known(end) => end.clone(),
            Self::Pod(data, enforcing) => {
                let standards = documents_once().iter().flat_map(|document| &document.standards);
                let standards = standards.map(|binding| binding.standard.clone()).collect();
                let cover =
                    Cover { holding: "n/h".into(), data: data.clone(), standards, enforcing: enforcing.unwrap_or(unsaid) };
                End::Pod([cover].into())
            }
        }
    }
}

fn peer(ends: impl Iterator<Item = End>) -> Everywhere {
    let service = ServiceName { namespace: "archive".into(), name: "vectors".into() };
    Everywhere(Some(Peer { services: [service].into(), ends: ends.collect(), sources: [].into() }))
}

fn halves() -> impl Strategy<Value = Vec<Half>> {
    let vehicle: BTreeSet<Category> = documents_once()[1].data.clone();
    let data = prop::sample::select(vec![vehicle, ["biometric.face".parse().unwrap()].into()]);
    let pod =
        (data, prop::sample::select(vec![Some(true), Some(false), None, None])).prop_map(|(data, said)| Half::Pod(data, said));
    let known = [End::Pod([].into()), End::Node, End::ApiServer, End::Outside("192.0.2.129:1883".parse().unwrap()), End::Unknown];
    let known = prop::sample::select(known.to_vec()).prop_map(Half::Known);
    prop::collection::vec(prop_oneof![4 => pod, 1 => known], 0..4)
}

fn destinations() -> impl Strategy<Value = Destination> {
    let names =
        ["api.clinic.example.kz", "mqtt.telematics.example.kz", "mqtt.vendor.example.de", "db.example.kz", "ads.example.com"];
    let name = prop::option::weighted(0.8, prop::sample::select(names.to_vec()).prop_map(|name| name.parse().unwrap()));
    let address = prop_oneof![
        any::<u8>().prop_map(|last| IpAddr::from([192, 0, 2, last])),
        any::<u8>().prop_map(|last| IpAddr::from([198, 51, 100, last])),
        any::<[u8; 2]>().prop_map(|[a, b]| IpAddr::from([10, a % 4, b, 1])),
        Just(IpAddr::from([10, 96, 0, 1])),
        Just(IpAddr::from([8, 8, 8, 8])),
        any::<u32>().prop_map(|v4| IpAddr::from(v4.to_be_bytes())),
        any::<u128>().prop_map(|v6| IpAddr::from(v6.to_be_bytes())),
    ];
    let port = prop::sample::select(vec![80, 443, 1883, 5432, 8883, 7, 9000]);
    let protocol = prop::sample::select(vec![Protocol::Tls, Protocol::Http, Protocol::Tcp]);
    let tls = prop::sample::select(vec![None, Some(TlsVersion::V12), Some(TlsVersion::V13)]);
    (name, address, port, protocol, tls).prop_map(|(name, address, port, protocol, tls)| Destination {
        name,
        addresses: vec![address],
        port,
        protocol,
        tls: tls.filter(|_| protocol == Protocol::Tls),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn the_simulation_says_what_the_sidecar_decides(to in destinations(), which in 0..4usize) {
        let all = documents_once();
        let documents = match which { 0 => &all[..0], 1 => &all[..1], 2 => &all[1..], _ => all };
        for peers in [&NoPeers as &dyn PeerSource, &peer([End::Node].into_iter()), &Everywhere(None)] {
            let judging = Judge { documents, geo: &Geo, peers, now: now() };
            let said = judge(judging, &to).verdict.reason();
            prop_assert_eq!(said, sidecar(judging, &to, to.addresses[0]), "{:?}", to);
        }
    }

    #[test]
    fn a_verdict_that_is_not_open_is_the_sidecars_whatever_is_true_of_what_is_not_known(ends in halves(), truth in any::<[bool; 4]>()) {
        let documents = &documents_once()[1..];
        let to = Destination { name: None, addresses: vec![IpAddr::from([10, 96, 0, 1])], port: 80, protocol: Protocol::Tcp, tls: None };
        let (strict, kind) = (peer(ends.iter().map(|end| end.end(false))), peer(ends.iter().map(|end| end.end(true))));
        let judging = |peers| Judge { documents, geo: &Geo, peers, now: now() };
        let said = judge_surely(judging(&strict), judging(&kind), &to);
        let real = peer(ends.iter().zip(truth).map(|(end, unsaid)| end.end(unsaid)));
        let real = sidecar(judging(&real), &to, to.addresses[0]);
        prop_assert!(said.open || said.verdict.is_allowed() == real.is_none(), "{:?} is said of {:?}", said, ends);
        let unsaid = ends.iter().any(|end| matches!(end, Half::Pod(_, None)));
        prop_assert!(unsaid || !said.open, "{:?} is open, and all is known of {:?}", said, ends);
        prop_assert!(unsaid || said.verdict.reason() == real, "{:?} is said of {:?}", said, ends);
    }
}

#[test]
fn what_is_said_of_nobody_is_open_and_one_address_that_is_allowed_is_enough() {
    let documents = &documents_once()[1..];
    let judging = |peers| Judge { documents, geo: &Geo, peers, now: now() };
    let to =
        Destination { name: None, addresses: vec![IpAddr::from([10, 96, 0, 1])], port: 80, protocol: Protocol::Tcp, tls: None };
    let unread = Everywhere(None);
    assert!(judge_surely(judging(&unread), judging(&unread), &to).open);
    let covered = peer([Half::Pod(documents[0].data.clone(), Some(true)).end(false)].into_iter());
    assert!(!judge_surely(judging(&covered), judging(&covered), &to).open);
    assert!(judge_surely(judging(&covered), judging(&covered), &to).verdict.is_allowed());
}

fn documents_once() -> &'static [PolicyDocument] {
    static DOCUMENTS: std::sync::OnceLock<Vec<PolicyDocument>> = std::sync::OnceLock::new();
    DOCUMENTS.get_or_init(documents)
}

/// The generated flows reach what is to be compared.
#[test]
fn every_outcome_is_among_the_cases() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<Option<Reason>, usize> = BTreeMap::new();
    for _ in 0..4096 {
        let to = destinations().new_tree(&mut runner).unwrap().current();
        let judging = Judge { documents: &documents_once()[1..], geo: &Geo, peers: &NoPeers, now: now() };
        *seen.entry(judge(judging, &to).verdict.reason()).or_default() += 1;
    }
    let expected = [
        None,
        Some(Reason::CrossBorder),
        Some(Reason::UnlistedParty),
        Some(Reason::ForbiddenAddress),
        Some(Reason::PeerUnanswered),
        Some(Reason::NoName),
        Some(Reason::UnreadableHello),
        Some(Reason::ProtocolMismatch),
        Some(Reason::UnknownCountry),
    ];
    for outcome in expected {
        assert!(seen.contains_key(&outcome), "{outcome:?} is not among {seen:?}");
    }
}

#[test]
fn one_allowed_address_is_enough_and_of_denials_the_most_telling_is_said() {
    let documents = &documents_once()[..1];
    let judging = Judge { documents, geo: &Geo, peers: &NoPeers, now: now() };
    let to = |addresses: &[&str]| Destination {
        name: Some("api.clinic.example.kz".parse().unwrap()),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        port: 443,
        protocol: Protocol::Tls,
        tls: Some(TlsVersion::V13),
    };
    assert!(judge(judging, &to(&["10.0.0.1", "198.51.100.1", "192.0.2.1"])).verdict.is_allowed());
    let denied = judge(judging, &to(&["10.0.0.1", "198.51.100.1"]));
    assert_eq!(denied.verdict.reason(), Some(Reason::CrossBorder));
    assert_eq!(denied.addresses[0].verdict.reason(), Some(Reason::ForbiddenAddress));
}
