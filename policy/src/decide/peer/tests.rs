use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::decide::tests::{World, document};
use crate::document::StandardNetworks;
use crate::peer::{PeerSource, ServiceName};

/// One peer at every address, and one address that the cluster takes.
struct Everywhere(Peer);

impl PeerSource for Everywhere {
    fn peer(&self, _at: SocketAddr) -> Option<Arc<Peer>> {
        Some(Arc::new(self.0.clone()))
    }

    fn captures(&self, address: IpAddr) -> bool {
        address.to_string() == "203.0.113.7"
    }
}

fn flow_to(address: &str) -> Flow {
    let address = Some(Address::new(address.parse().unwrap()));
    Flow { protocol: Protocol::Tcp, name: None, address, port: 5432, tls: None, ech: false, via: None }
}

fn verdict_at(address: &str, documents: &[PolicyDocument], peer: &Peer) -> Verdict {
    let peers = Everywhere(peer.clone());
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    crate::decide(Judge { documents, geo: &World, peers: &peers, now }, &flow_to(address))
}

fn verdict(documents: &[PolicyDocument], peer: &Peer) -> Verdict {
    verdict_at("10.244.0.7", documents, peer)
}

fn cover(holding: &str, data: &[Category], enforcing: bool) -> Cover {
    Cover { holding: holding.into(), data: data.iter().copied().collect(), standards: ["kz".to_owned()].into(), enforcing }
}

/// The same, bound by these standards.
fn bound(cover: Cover, standards: &[&str]) -> Cover {
    Cover { standards: standards.iter().map(|standard| (*standard).to_owned()).collect(), ..cover }
}

fn pod(covers: &[Cover]) -> End {
    End::Pod(covers.iter().cloned().collect())
}

fn peer(services: &[&str], ends: &[End]) -> Peer {
    let name = |service: &&str| ServiceName { namespace: "archive".into(), name: (*service).to_owned() };
    Peer { services: services.iter().map(name).collect(), ends: ends.iter().cloned().collect(), sources: [].into() }
}

const FACE: Category = Category::BiometricFace;
const PLACE: Category = Category::VehicleLocation;

#[rstest]
#[case::covered(&[], &[pod(&[cover("a/h", &[FACE, PLACE], true)])], None)]
#[case::covered_by_two(&[], &[pod(&[cover("a/h", &[PLACE], true), cover("a/i", &[FACE], true)])], None)]
#[case::uncovered(&[], &[pod(&[])], Some(Reason::InClusterUnlisted))]
#[case::other_data(&[], &[pod(&[cover("a/h", &[PLACE], true)])], Some(Reason::PeerOtherData))]
#[case::bound_by_no_standard(&[], &[pod(&[bound(cover("a/h", &[FACE], true), &[])])], Some(Reason::PeerOtherStandards))]
#[case::bound_by_another(&[], &[pod(&[bound(cover("a/h", &[FACE], true), &["eu"])])], Some(Reason::PeerOtherStandards))]
#[case::bound_by_more(&[], &[pod(&[bound(cover("a/h", &[FACE], true), &["eu", "kz"])])], None)]
#[case::bound_by_one_that_starts(&[], &[pod(&[bound(cover("a/h", &[FACE], true), &[]), cover("a/i", &[FACE], false)])], Some(Reason::PeerNotEnforcing))]
#[case::bound_by_no_standard_and_listed(&["vectors"], &[pod(&[bound(cover("a/h", &[FACE], true), &[])])], None)]
#[case::starting(&[], &[pod(&[cover("a/h", &[FACE], false)])], Some(Reason::PeerNotEnforcing))]
#[case::proven_for_other_data_alone(&[], &[pod(&[cover("a/h", &[PLACE], true), cover("a/i", &[FACE], false)])], Some(Reason::PeerNotEnforcing))]
#[case::one_uncovered(&[], &[pod(&[cover("a/h", &[FACE], true)]), pod(&[])], Some(Reason::InClusterUnlisted))]
#[case::one_starting_and_one_uncovered(&[], &[pod(&[cover("a/h", &[FACE], false)]), pod(&[])], Some(Reason::InClusterUnlisted))]
#[case::listed(&["vectors"], &[pod(&[])], None)]
#[case::listed_and_starting(&["vectors"], &[pod(&[cover("a/h", &[FACE], false)])], None)]
#[case::another_service(&["tables"], &[pod(&[])], Some(Reason::InClusterUnlisted))]
#[case::nobody(&["vectors"], &[], Some(Reason::PeerUnknown))]
#[case::node(&[], &[End::Node], Some(Reason::PeerNodeAddress))]
#[case::listed_node(&["vectors"], &[End::Node], None)]
#[case::unknown(&["vectors"], &[End::Unknown], Some(Reason::PeerUnknown))]
#[case::api_server(&["vectors"], &[End::ApiServer], Some(Reason::ClusterAPIDenied))]
#[case::leads_abroad(&["vectors"], &[End::Outside("198.51.100.1:554".parse().unwrap())], Some(Reason::UnlistedParty))]
#[case::leads_to_a_listed_network(&[], &[End::Outside("10.40.0.7:554".parse().unwrap())], None)]
#[case::leads_to_a_listed_network_on_another_port(&[], &[End::Outside("10.40.0.7:555".parse().unwrap())], Some(Reason::ForbiddenAddress))]
#[case::leads_to_a_network_that_speaks_tls(&[], &[End::Outside("203.0.113.5:8443".parse().unwrap())], Some(Reason::ProtocolMismatch))]
#[case::leads_to_metadata(&["vectors"], &[End::Outside("169.254.169.254:80".parse().unwrap())], Some(Reason::ForbiddenAddress))]
fn peers(#[case] services: &[&str], #[case] ends: &[End], #[case] reason: Option<Reason>) {
    let verdict = verdict(&[document("cameras", "street")], &peer(services, ends));
    assert_eq!(verdict.reason(), reason, "{verdict:?}");
}

#[test]
fn all_data_of_all_holdings_must_be_covered_and_all_documents_list_a_service() {
    let (street, mut cars) = (document("cameras", "street"), document("cameras", "cars"));
    cars.data = [PLACE].into();
    let face = peer(&[], &[pod(&[cover("a/h", &[FACE], true)])]);
    assert!(verdict(std::slice::from_ref(&street), &face).is_allowed());
    assert_eq!(verdict(&[street.clone(), cars.clone()], &face).reason(), Some(Reason::PeerOtherData));
    let listed = peer(&["vectors"], &[pod(&[])]);
    assert!(verdict(&[street.clone(), cars.clone()], &listed).is_allowed());
    cars.in_cluster.clear();
    let Verdict::Deny(denial) = verdict(&[street, cars], &listed) else { panic!("one document does not list it") };
    assert_eq!((denial.reason, denial.holding.as_deref()), (Reason::InClusterUnlisted, Some("cameras/cars")));
}

#[test]
fn a_holding_without_data_is_not_covered_by_a_pod_without_holdings() {
    let mut document = document("cameras", "street");
    document.data.clear();
    assert_eq!(verdict(std::slice::from_ref(&document), &peer(&[], &[pod(&[])])).reason(), Some(Reason::InClusterUnlisted));
    assert_eq!(verdict(&[document], &peer(&[], &[pod(&[cover("a/h", &[], false)])])).reason(), Some(Reason::PeerNotEnforcing));
}

#[test]
fn the_api_server_is_open_to_those_alone_whose_every_document_grants_it() {
    let api = peer(&[], &[End::ApiServer]);
    let (mut street, cars) = (document("cameras", "street"), document("cameras", "cars"));
    street.cluster_api = true;
    let Verdict::Allow(grant) = verdict(std::slice::from_ref(&street), &api) else { panic!("it is granted") };
    assert_eq!(grant.rules[0].recipient, "default/kubernetes");
    assert_eq!(verdict(&[street, cars], &api).reason(), Some(Reason::ClusterAPIDenied));
}

#[test]
fn the_grant_names_the_service_or_the_holding_and_the_country_where_it_leads_outside() {
    let documents = [document("cameras", "street")];
    let recipient = |peer: &Peer| match verdict(&documents, peer) {
        Verdict::Allow(grant) => (grant.rules[0].recipient.clone(), grant.country),
        Verdict::Deny(denial) => panic!("{denial:?}"),
    };
    let end = pod(&[cover("a/h", &[FACE], true)]);
    assert_eq!(recipient(&peer(&[], std::slice::from_ref(&end))), ("a/h".into(), None));
    assert_eq!(recipient(&peer(&["vectors"], &[end])), ("archive/vectors".into(), None));
    let outside = peer(&[], &[End::Outside("10.40.0.7:554".parse().unwrap())]);
    assert_eq!(recipient(&outside), ("cameras".into(), Some("KZ".parse().unwrap())));
}

#[test]
fn an_address_that_the_cluster_takes_is_judged_as_inside_whatever_a_transfer_lists() {
    let mut document = document("cameras", "street");
    document.routes[1].endpoints = vec![
        serde_json::from_value(serde_json::json!({"target": {"network": "203.0.113.0/24"}, "ports": [5432], "protocol": "TCP"}))
            .unwrap(),
    ];
    let documents = [document];
    let uncovered = peer(&[], &[pod(&[])]);
    assert!(verdict_at("203.0.113.8", &documents, &uncovered).is_allowed());
    assert_eq!(verdict_at("203.0.113.7", &documents, &uncovered).reason(), Some(Reason::InClusterUnlisted));
}

#[test]
fn without_an_answer_it_is_denied() {
    let documents = [document("cameras", "street")];
    let judge = Judge { documents: &documents, geo: &World, peers: &crate::peer::NoPeers, now: Timestamp::UNIX_EPOCH };
    assert_eq!(crate::decide(judge, &flow_to("10.244.0.7")).reason(), Some(Reason::PeerUnanswered));
}

fn any_data() -> impl Strategy<Value = BTreeSet<Category>> {
    proptest::collection::btree_set(proptest::sample::select(&[FACE, PLACE, Category::VehicleCabinVideo][..]), 0..4)
}

fn any_standards() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(proptest::sample::select(&["kz", "eu"][..]).prop_map(str::to_owned), 0..3)
}

fn any_end() -> impl Strategy<Value = End> {
    let covers = (any_data(), any_standards(), any::<bool>(), 0..3u8).prop_map(|(data, standards, enforcing, number)| Cover {
        holding: format!("n/h{number}"),
        data,
        standards,
        enforcing,
    });
    prop_oneof![
        4 => proptest::collection::btree_set(covers, 0..3).prop_map(End::Pod),
        1 => Just(End::Node),
        1 => Just(End::ApiServer),
        1 => Just(End::Unknown),
        1 => proptest::sample::select(&["10.40.0.7:554", "198.51.100.1:554", "192.0.2.1:443"][..]).prop_map(|at| End::Outside(at.parse().unwrap())),
    ]
}

fn any_peer() -> impl Strategy<Value = Peer> {
    (any::<bool>(), proptest::collection::btree_set(any_end(), 0..4))
        .prop_map(|(listed, ends)| peer(if listed { &["vectors"] } else { &[] }, &ends.into_iter().collect::<Vec<_>>()))
}

fn any_documents() -> impl Strategy<Value = Vec<PolicyDocument>> {
    let plain = document("n", "h");
    let another = StandardNetworks { standard: "eu".into(), networks: vec![], ..plain.standards[0].clone() };
    let document = (any_data(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(move |(data, two, lists, cluster_api)| {
        let mut document = plain.clone();
        (document.data, document.cluster_api) = (data, cluster_api);
        document.standards.extend(two.then(|| another.clone()));
        if !lists {
            document.in_cluster.clear();
        }
        document
    });
    proptest::collection::vec(document, 1..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    /// The rule said a second time, as plainly as can be.
    #[test]
    fn nothing_is_allowed_that_the_rule_does_not_allow(documents in any_documents(), peer in any_peer()) {
        if !verdict(&documents, &peer).is_allowed() {
            return Ok(());
        }
        let listed = !peer.services.is_empty() && documents.iter().all(|document| !document.in_cluster.is_empty());
        prop_assert!(!peer.ends.is_empty());
        for end in &peer.ends {
            let fine = match end {
                End::Pod(covers) => listed || covers.iter().any(|cover| cover.enforcing) && documents.iter().flat_map(|document| &document.data)
                    .all(|category| covers.iter().any(|cover| cover.enforcing && cover.data.contains(category)))
                    && documents.iter().flat_map(|document| &document.standards)
                        .all(|binding| covers.iter().any(|cover| cover.enforcing && cover.standards.contains(&binding.standard))),
                End::Node => listed,
                End::ApiServer => documents.iter().all(|document| document.cluster_api),
                End::Outside(at) => at.to_string() == "10.40.0.7:554",
                End::Unknown => false,
            };
            prop_assert!(fine, "{end:?}");
        }
    }

    #[test]
    fn another_end_never_widens(documents in any_documents(), peer in any_peer(), end in any_end()) {
        let mut more = peer.clone();
        more.ends.insert(end);
        if !peer.ends.is_empty() && verdict(&documents, &more).is_allowed() {
            prop_assert!(verdict(&documents, &peer).is_allowed());
        }
    }

    #[test]
    fn less_data_less_proof_fewer_standards_and_fewer_services_never_widen(documents in any_documents(), peer in any_peer(), category in proptest::sample::select(&[FACE, PLACE][..]), kept in any_standards(), proven in any::<bool>(), services in any::<bool>()) {
        let weaken = |cover: Cover| Cover {
            data: cover.data.into_iter().filter(|kept| *kept != category).collect(),
            standards: cover.standards.intersection(&kept).cloned().collect(),
            enforcing: cover.enforcing && proven,
            ..cover
        };
        let ends = peer.ends.iter().cloned().map(|end| match end {
            End::Pod(covers) => End::Pod(covers.into_iter().map(weaken).collect()),
            other => other,
        });
        let less = Peer { services: if services { peer.services.clone() } else { BTreeSet::new() }, ends: ends.collect(), sources: [].into() };
        if verdict(&documents, &less).is_allowed() {
            prop_assert!(verdict(&documents, &peer).is_allowed());
        }
    }

    #[test]
    fn another_holding_standard_or_more_data_never_widen(documents in any_documents(), more in any_documents(), peer in any_peer(), data in any_data()) {
        let stricter = documents.iter().cloned().map(|mut document| { document.data.extend(data.iter().copied()); document });
        let stricter: Vec<_> = stricter.chain(more).collect();
        if verdict(&stricter, &peer).is_allowed() {
            prop_assert!(verdict(&documents, &peer).is_allowed());
        }
    }
}

#[rstest]
#[case::nobody(&[pod(&[])], Some(Reason::InClusterUnlisted))]
#[case::covered_for_other_data(&[pod(&[cover("a/h", &[PLACE], true)])], None)]
#[case::not_enforced(&[pod(&[cover("a/h", &[PLACE], false)])], Some(Reason::PeerOtherData))]
#[case::node(&[End::Node], Some(Reason::PeerNodeAddress))]
fn where_a_standard_asks_for_cover_a_listed_service_needs_it(#[case] ends: &[End], #[case] reason: Option<Reason>) {
    let mut document = document("cameras", "street");
    document.in_cluster[0].covered = true;
    assert_eq!(verdict(&[document], &peer(&["vectors"], ends)).reason(), reason);
}

#[test]
fn where_a_standard_denies_peers_the_same_data_are_no_reason_to_go_there() {
    let same = [pod(&[cover("a/h", &[FACE], true)])];
    let mut denying = document("cameras", "street");
    denying.in_cluster.clear();
    denying.peers_denied = true;
    for documents in [vec![denying.clone()], vec![document("cameras", "other"), denying]] {
        assert_eq!(verdict(&documents, &peer(&[], &same)).reason(), Some(Reason::PeerDenied));
    }
}
