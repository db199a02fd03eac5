use std::net::IpAddr;

use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::address::Address;
use crate::decide::tests::{World, document, inbound};
use crate::document::{Constraint, PlatformSource};
use crate::peer::{Cover, PeerSource};

const FACE: Category = Category::BiometricFace;
const PLACE: Category = Category::VehicleLocation;

/// One peer at every address, asked for as a client.
struct Everywhere(Option<Peer>);

impl PeerSource for Everywhere {
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>> {
        assert_eq!(at.port(), 0);
        self.0.clone().map(Arc::new)
    }

    fn captures(&self, _address: IpAddr) -> bool {
        false
    }
}

fn verdict(documents: &[PolicyDocument], client: &str, port: u16, peer: Option<Peer>) -> Verdict {
    let peers = Everywhere(peer);
    let now = Timestamp::UNIX_EPOCH;
    let flow = Inflow { client: Address::new(client.parse().unwrap()), port };
    decide_inbound(Judge { documents, geo: &World, peers: &peers, now }, &flow)
}

fn listing(name: &str) -> PolicyDocument {
    PolicyDocument { inbound: Some(inbound()), ..document("cameras", name) }
}

fn pod(data: &[Category], enforcing: bool) -> End {
    bound(data, &["kz"], enforcing)
}

fn bound(data: &[Category], standards: &[&str], enforcing: bool) -> End {
    let standards = standards.iter().map(|standard| (*standard).to_owned()).collect();
    End::Pod([Cover { holding: "a/h".into(), data: data.iter().copied().collect(), standards, enforcing }].into())
}

fn bare() -> End {
    End::Pod([].into())
}

fn peer(ends: &[End], sources: &[&str]) -> Option<Peer> {
    let name = |name: &&str| SourceName { standard: "kz".into(), name: (*name).to_owned() };
    Some(Peer { services: [].into(), ends: ends.iter().cloned().collect(), sources: sources.iter().map(name).collect() })
}

#[rstest]
#[case::covered(peer(&[pod(&[FACE, PLACE], true)], &[]), None)]
#[case::other_data(peer(&[pod(&[PLACE], true)], &[]), Some(Reason::InboundOtherData))]
#[case::bound_by_no_standard(peer(&[bound(&[FACE, PLACE], &[], true)], &[]), Some(Reason::InboundOtherStandards))]
#[case::starting(peer(&[pod(&[FACE], false)], &[]), Some(Reason::InboundNotEnforcing))]
#[case::bare(peer(&[bare()], &[]), Some(Reason::InboundUnlisted))]
#[case::bare_beside_covered(peer(&[bare(), pod(&[FACE], true)], &[]), Some(Reason::InboundUnlisted))]
#[case::ingress(peer(&[bare()], &["ingress"]), None)]
#[case::another_source(peer(&[bare()], &["scraper"]), Some(Reason::InboundUnlisted))]
#[case::known_by_its_network_alone(peer(&[bare()], &["balancer"]), Some(Reason::InboundUnlisted))]
#[case::ingress_and_a_node(peer(&[bare(), End::Node], &["ingress"]), Some(Reason::InboundUnlisted))]
#[case::node(peer(&[End::Node], &[]), Some(Reason::InboundUnlisted))]
#[case::api_server(peer(&[End::ApiServer], &[]), Some(Reason::InboundUnlisted))]
#[case::nobody(peer(&[], &["ingress"]), Some(Reason::InboundUnlisted))]
#[case::unanswered(None, Some(Reason::PeerUnanswered))]
fn inside_the_cluster(#[case] peer: Option<Peer>, #[case] reason: Option<Reason>) {
    let verdict = verdict(&[listing("street")], "10.244.0.7", 8080, peer);
    assert_eq!((verdict.reason(), verdict.country()), (reason, None), "{verdict:?}");
}

#[rstest]
#[case::at_home("192.0.2.7", 443, None)]
#[case::at_home_v6("2001:db8::7", 443, Some(Reason::InboundUnlisted))]
#[case::another_port("192.0.2.7", 80, Some(Reason::InboundUnlisted))]
#[case::abroad("198.51.100.7", 443, Some(Reason::InboundCrossBorder))]
#[case::mapped_and_abroad("::ffff:198.51.100.7", 443, Some(Reason::InboundCrossBorder))]
#[case::unknown("8.8.8.8", 443, Some(Reason::InboundUnknownCountry))]
#[case::private_and_located("10.40.0.7", 443, None)]
#[case::private("10.9.0.7", 443, Some(Reason::InboundUnknownCountry))]
#[case::loopback("127.0.0.1", 443, Some(Reason::InboundUnlisted))]
#[case::platform("10.50.0.7", 443, None)]
#[case::platform_on_another_port("10.50.0.7", 444, Some(Reason::InboundUnlisted))]
fn outside_the_cluster(#[case] client: &str, #[case] port: u16, #[case] reason: Option<Reason>) {
    let verdict = verdict(&[listing("street")], client, port, None);
    assert_eq!(verdict.reason(), reason, "{verdict:?}");
}

#[test]
fn where_no_standard_asks_for_lists_everybody_passes_and_the_grant_says_so() {
    let Verdict::Allow(grant) = verdict(&[document("cameras", "street")], "198.51.100.7", 1, None) else { panic!("it is open") };
    assert_eq!((grant.rules[0].recipient.as_str(), grant.country), (OPEN, "DE".parse().ok()));
    let both = [document("cameras", "cars"), listing("street")];
    let Verdict::Deny(denial) = verdict(&both, "198.51.100.7", 443, None) else { panic!("one document lists") };
    assert_eq!((denial.holding.as_deref(), denial.standard.as_deref()), (Some("cameras/street"), Some("kz")));
    assert_eq!(verdict(&[], "192.0.2.7", 443, None).reason(), Some(Reason::NoDocument));
}

#[test]
fn each_standard_must_list_a_source_of_the_platform() {
    let mut document = listing("street");
    let other = InboundTerms { standard: "platform".into(), from: vec![] };
    document.inbound.as_mut().unwrap().standards.push(other);
    let documents = [document];
    let Verdict::Deny(denial) = verdict(&documents, "10.244.0.7", 80, peer(&[bare()], &["ingress"])) else {
        panic!("one does not")
    };
    assert_eq!((denial.reason, denial.standard.as_deref()), (Reason::InboundUnlisted, Some("platform")));
    assert!(verdict(&documents, "10.244.0.7", 80, peer(&[pod(&[FACE], true)], &[])).is_allowed());
    assert!(verdict(&documents, "192.0.2.7", 443, None).is_allowed());
}

#[test]
fn where_a_standard_denies_peers_covered_clients_are_denied_too() {
    let mut denying = listing("street");
    denying.peers_denied = true;
    let covered = peer(&[pod(&[FACE], true)], &[]);
    assert_eq!(verdict(&[denying], "10.244.0.7", 80, covered).reason(), Some(Reason::InboundPeerDenied));
}

#[test]
fn a_client_that_is_barred_or_that_no_standard_constrains_may_not_connect() {
    let mut document = listing("street");
    document.inbound.as_mut().unwrap().clients[0].barred = Some(Reason::RouteInvalid);
    assert_eq!(verdict(&[document.clone()], "192.0.2.7", 443, None).reason(), Some(Reason::RouteInvalid));
    let client = &mut document.inbound.as_mut().unwrap().clients[0];
    (client.barred, client.constraints) = (None, vec![]);
    assert_eq!(verdict(&[document], "192.0.2.7", 443, None).reason(), Some(Reason::NoStandard));
}

fn any_data() -> impl Strategy<Value = BTreeSet<Category>> {
    proptest::collection::btree_set(proptest::sample::select(&[FACE, PLACE][..]), 0..3)
}

fn any_ports() -> impl Strategy<Value = BTreeSet<u16>> {
    proptest::collection::btree_set(proptest::sample::select(&[80u16, 443][..]), 0..2)
}

fn any_network() -> impl Strategy<Value = ipnet::IpNet> {
    let networks = ["192.0.2.0/24", "198.51.100.0/24", "10.244.0.0/16", "0.0.0.0/0", "2001:db8::/32"];
    proptest::sample::select(networks.to_vec()).prop_map(|network| network.parse().unwrap())
}

fn any_source() -> impl Strategy<Value = PlatformSource> {
    (proptest::sample::select(&["ingress", "scraper"][..]), any::<bool>(), proptest::option::of(any_network()), any_ports())
        .prop_map(|(name, pods, network, ports)| PlatformSource {
            name: name.into(),
            pods,
            networks: network.into_iter().collect(),
            ports,
        })
}

fn any_terms() -> impl Strategy<Value = InboundTerms> {
    (proptest::sample::select(&["kz", "other"][..]), proptest::collection::vec(any_source(), 0..3))
        .prop_map(|(standard, from)| InboundTerms { standard: standard.into(), from })
}

fn any_constraint() -> impl Strategy<Value = Constraint> {
    proptest::collection::btree_set(proptest::sample::select(&["KZ", "DE"][..]), 0..3).prop_map(|countries| Constraint {
        standard: "kz".into(),
        countries: countries.into_iter().map(|country| country.parse().unwrap()).collect(),
        min_tls: None,
        rule: None,
    })
}

fn any_client() -> impl Strategy<Value = Client> {
    let country = proptest::option::of(proptest::sample::select(&["KZ", "DE"][..]));
    let constraints = proptest::collection::vec(any_constraint(), 0..3);
    (any_network(), country, any_ports(), any_data(), constraints, proptest::option::weighted(0.2, Just(Reason::RouteInvalid)))
        .prop_map(|(network, country, ports, data, constraints, barred)| Client {
            network,
            country: country.map(|country| country.parse().unwrap()),
            ports,
            data,
            constraints,
            barred,
        })
}

fn any_documents() -> impl Strategy<Value = Vec<PolicyDocument>> {
    let inbound = (proptest::collection::vec(any_terms(), 0..3), proptest::collection::vec(any_client(), 0..3))
        .prop_map(|(standards, clients)| Inbound { standards, clients });
    let document = (any_data(), proptest::option::weighted(0.8, inbound), proptest::bool::weighted(0.2))
        .prop_map(|(data, inbound, peers_denied)| PolicyDocument { data, inbound, peers_denied, ..document("n", "h") });
    proptest::collection::vec(document, 0..3)
}

fn any_peer() -> impl Strategy<Value = Option<Peer>> {
    let end = prop_oneof![
        4 => (any_data(), any::<bool>()).prop_map(|(data, enforcing)| pod(&data.into_iter().collect::<Vec<_>>(), enforcing)),
        2 => Just(bare()),
        1 => Just(End::Node),
        1 => Just(End::Unknown),
    ];
    let sources = proptest::collection::btree_set(proptest::sample::select(&["ingress", "scraper"][..]), 0..2);
    proptest::option::weighted(
        0.9,
        (proptest::collection::vec(end, 0..3), sources)
            .prop_map(|(ends, sources)| peer(&ends, &sources.into_iter().collect::<Vec<_>>()).unwrap()),
    )
}

fn any_address() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["192.0.2.7", "198.51.100.7", "8.8.8.8", "10.244.0.7", "2001:db8::7", "127.0.0.1"][..])
}

fn any_port() -> impl Strategy<Value = u16> {
    proptest::sample::select(&[80u16, 443][..])
}

/// The rule said a second time, as plainly as can be.
fn plainly(documents: &[PolicyDocument], client: &str, port: u16, peer: Option<&Peer>) -> bool {
    let ip: IpAddr = client.parse().unwrap();
    let inside = client.starts_with("10.244.");
    let pods = peer.is_some_and(|peer| !peer.ends.is_empty() && peer.ends.iter().all(|end| matches!(end, End::Pod(_))));
    let held: BTreeSet<Category> = documents.iter().flat_map(|document| document.data.clone()).collect();
    let covered = inside
        && pods
        && !documents.iter().any(|document| document.peers_denied)
        && peer.unwrap().ends.iter().all(|end| match end {
            End::Pod(covers) => covers.iter().any(|cover| cover.enforcing && held.is_subset(&cover.data)),
            _ => false,
        });
    let home = if client.starts_with("192.0.2.") || client.starts_with("2001:") {
        "KZ"
    } else if client.starts_with("198.") {
        "DE"
    } else {
        "ZZ"
    };
    !documents.is_empty()
        && documents.iter().all(|document| {
            let Some(inbound) = &document.inbound else { return true };
            let declared = !inside
                && client != "127.0.0.1"
                && inbound.clients.iter().any(|client| {
                    client.network.contains(&ip)
                        && (client.ports.is_empty() || client.ports.contains(&port))
                        && client.barred.is_none()
                        && home != "ZZ"
                        && client.country.is_none_or(|country| country.to_string() == home)
                        && !client.constraints.is_empty()
                        && client.constraints.iter().all(|constraint| constraint.countries.iter().any(|c| c.to_string() == home))
                });
            let listed = |terms: &InboundTerms| {
                terms.from.iter().any(|source| {
                    let by_pods = || {
                        let name = SourceName { standard: terms.standard.clone(), name: source.name.clone() };
                        source.pods && inside && pods && peer.unwrap().sources.contains(&name)
                    };
                    (source.ports.is_empty() || source.ports.contains(&port))
                        && (source.networks.iter().any(|network| network.contains(&ip)) || by_pods())
                })
            };
            !inbound.standards.is_empty() && (covered || declared || inbound.standards.iter().all(listed))
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_client_passes_exactly_where_the_rule_lets_it(documents in any_documents(), client in any_address(), port in any_port(), peer in any_peer()) {
        let verdict = verdict(&documents, client, port, peer.clone());
        prop_assert_eq!(verdict.is_allowed(), plainly(&documents, client, port, peer.as_ref()), "{:?}", verdict);
    }

    #[test]
    fn another_document_another_standard_or_less_listed_never_lets_more_in(documents in any_documents(), more in any_documents(), terms in any_terms(), constraint in any_constraint(), lists in any::<bool>(), client in any_address(), port in any_port(), peer in any_peer()) {
        if documents.is_empty() {
            return Ok(());
        }
        let mut stricter = documents.clone();
        for inbound in stricter.iter_mut().filter_map(|document| document.inbound.as_mut()) {
            inbound.standards.push(terms.clone());
            inbound.clients.iter_mut().filter(|client| !client.constraints.is_empty()).for_each(|client| client.constraints.push(constraint.clone()));
            if !lists {
                inbound.clients.clear();
            }
        }
        // what has no standard at all is closed, and one more standard is the first to open something
        let closed = documents.iter().any(|document| document.inbound.as_ref().is_some_and(|inbound| inbound.standards.is_empty()));
        for stricter in [stricter, documents.iter().cloned().chain(more).collect()] {
            if !closed && verdict(&stricter, client, port, peer.clone()).is_allowed() {
                prop_assert!(verdict(&documents, client, port, peer.clone()).is_allowed());
            }
        }
    }

    #[test]
    fn another_end_and_fewer_sources_never_let_more_in(documents in any_documents(), port in any_port(), peer in any_peer(), more in any_peer()) {
        let (Some(peer), Some(more)) = (peer, more) else { return Ok(()) };
        if peer.ends.is_empty() {
            return Ok(());
        }
        let other = Peer {
            services: [].into(),
            ends: peer.ends.union(&more.ends).cloned().collect(),
            sources: peer.sources.intersection(&more.sources).cloned().collect(),
        };
        if verdict(&documents, "10.244.0.7", port, Some(other)).is_allowed() {
            prop_assert!(verdict(&documents, "10.244.0.7", port, Some(peer)).is_allowed());
        }
    }
}
