use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::address::Address;
use crate::category::Category;
use crate::document::*;
use crate::flow::{Protocol, TlsVersion};
use crate::host_name::{HostName, HostPattern};
use crate::peer::{End, Peer, ServiceName};

mod properties;

/// Documentation ranges as if each were in a country.
pub(crate) struct World;

impl CountrySource for World {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        let country = match address.to_string() {
            ip if ip.starts_with("192.0.2.") || ip.starts_with("2001:db8:") => "KZ",
            ip if ip.starts_with("198.51.100.") => "DE",
            _ => "ZZ",
        };
        vec![country.parse().unwrap()]
    }
}

/// The archive, which holdings may list, and nobody else.
pub(crate) struct Archive;

impl PeerSource for Archive {
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>> {
        let service = ServiceName { namespace: "archive".into(), name: "vectors".into() };
        let archive = Peer { services: [service].into(), ends: [End::Pod([].into())].into(), sources: [].into() };
        let stranger = Peer { services: [].into(), ends: [End::Pod([].into())].into(), sources: [].into() };
        Some(Arc::new(if at == "10.96.0.20:5432".parse().unwrap() { archive } else { stranger }))
    }

    fn captures(&self, _address: IpAddr) -> bool {
        false
    }
}

pub(crate) fn document(namespace: &str, name: &str) -> PolicyDocument {
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "holding": {"namespace": namespace, "name": name, "uid": "1"},
        "data": ["biometric.face"],
        "standards": [{"standard": "kz", "networks": [
            {"cidr": "10.40.0.0/16", "country": "KZ"}, {"cidr": "203.0.113.0/24", "country": "KZ"}, {"cidr": "203.0.113.128/25", "country": "DE"}], "minSources": 1}],
        "routes": [
            {"recipient": "clinic", "data": ["biometric.face"],
             "endpoints": [
                {"target": {"host": "api.clinic.example.kz"}, "ports": [443], "protocol": "TLS"},
                {"target": {"host": "*.clinic.example.kz"}, "ports": [80], "protocol": "HTTP"},
                {"target": {"host": "broker.example.kz"}, "ports": [1883], "protocol": "TCP"}],
             "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}],
             "permits": [{"data": ["biometric.face"], "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2027-01-01T00:00:00Z"}], "barred": null},
            {"recipient": "cameras", "data": ["biometric.face"],
             "endpoints": [{"target": {"network": "10.40.0.0/24"}, "ports": [554], "protocol": "TCP"}, {"target": {"network": "203.0.113.0/24"}, "ports": [8443], "protocol": "TLS"}],
             "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}],
             "permits": null, "barred": null}],
        "inCluster": [{"namespace": "archive", "service": "vectors", "data": ["biometric.face"]}],
        "cluster": {"networks": ["10.244.0.0/16", "10.96.0.0/16"], "domain": "cluster.local", "resolvers": ["10.96.0.10:53"]}
    }))
    .unwrap()
}

/// What a standard and a holding list of clients.
pub(crate) fn inbound() -> Inbound {
    serde_json::from_value(serde_json::json!({
        "standards": [{"standard": "kz", "from": [
            {"name": "ingress", "pods": true}, {"name": "balancer", "networks": ["10.50.0.0/24"], "ports": [443]}]}],
        "clients": [{"network": "0.0.0.0/0", "country": "KZ", "ports": [443], "data": ["biometric.face"],
            "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}]}]
    }))
    .unwrap()
}

fn flow(protocol: Protocol, name: &str, address: &str, port: u16) -> Flow {
    Flow {
        protocol,
        name: (!name.is_empty()).then(|| name.parse().unwrap()),
        address: (!address.is_empty()).then(|| Address::new(address.parse().unwrap())),
        port,
        tls: (protocol == Protocol::Tls).then_some(TlsVersion::V13),
        ech: false,
        via: None,
    }
}

fn at(time: &str, documents: &[PolicyDocument], flow: &Flow) -> Verdict {
    decide(Judge { documents, geo: &World, peers: &Archive, now: time.parse().unwrap() }, flow)
}

const NOW: &str = "2026-06-01T00:00:00Z";

#[rstest]
#[case::listed(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443, None)]
#[case::listed_v6(Protocol::Tls, "api.clinic.example.kz", "2001:db8::10", 443, None)]
#[case::before_lookup(Protocol::Tls, "api.clinic.example.kz", "", 443, None)]
#[case::wildcard(Protocol::Http, "www.clinic.example.kz", "192.0.2.10", 80, None)]
#[case::opaque_by_pin(Protocol::Tcp, "broker.example.kz", "192.0.2.11", 1883, None)]
#[case::network(Protocol::Tcp, "", "10.40.0.7", 554, None)]
#[case::network_by_longest_prefix(Protocol::Tls, "", "203.0.113.5", 8443, None)]
#[case::in_cluster(Protocol::Tcp, "", "10.96.0.20", 5432, None)]
#[case::mapped(Protocol::Tls, "api.clinic.example.kz", "::ffff:192.0.2.10", 443, None)]
#[case::other_name(Protocol::Tls, "ads.example.com", "192.0.2.10", 443, Some(Reason::UnlistedParty))]
#[case::other_port(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 8443, Some(Reason::UnlistedParty))]
#[case::no_name(Protocol::Tls, "", "192.0.2.10", 443, Some(Reason::UnlistedParty))]
#[case::abroad(Protocol::Tls, "api.clinic.example.kz", "198.51.100.1", 443, Some(Reason::CrossBorder))]
#[case::unknown(Protocol::Tls, "api.clinic.example.kz", "8.8.8.8", 443, Some(Reason::UnknownCountry))]
#[case::declared_abroad(Protocol::Tls, "", "203.0.113.200", 8443, Some(Reason::CrossBorder))]
#[case::plain_on_tls_port(Protocol::Http, "api.clinic.example.kz", "192.0.2.10", 443, Some(Reason::ProtocolMismatch))]
#[case::rebinding(Protocol::Tls, "api.clinic.example.kz", "169.254.169.254", 443, Some(Reason::ForbiddenAddress))]
#[case::rebinding_private(Protocol::Tls, "api.clinic.example.kz", "10.40.0.7", 443, Some(Reason::ForbiddenAddress))]
#[case::rebinding_mapped(Protocol::Tls, "api.clinic.example.kz", "::ffff:127.0.0.1", 443, Some(Reason::ForbiddenAddress))]
#[case::rebinding_6to4(Protocol::Tls, "api.clinic.example.kz", "2002:c000:20a::1", 443, Some(Reason::ForbiddenAddress))]
#[case::rebinding_in_cluster(Protocol::Tls, "api.clinic.example.kz", "10.96.0.1", 443, Some(Reason::InClusterUnlisted))]
#[case::in_cluster_other_port(Protocol::Tcp, "", "10.96.0.20", 5433, Some(Reason::InClusterUnlisted))]
#[case::in_cluster_udp(Protocol::Udp, "", "10.96.0.20", 5432, Some(Reason::InClusterUnlisted))]
#[case::udp(Protocol::Udp, "", "192.0.2.10", 443, Some(Reason::UnlistedDatagram))]
#[case::metadata(Protocol::Tcp, "", "169.254.169.254", 80, Some(Reason::ForbiddenAddress))]
fn flows(
    #[case] protocol: Protocol,
    #[case] name: &str,
    #[case] address: &str,
    #[case] port: u16,
    #[case] reason: Option<Reason>,
) {
    let verdict = at(NOW, &[document("cameras", "street")], &flow(protocol, name, address, port));
    assert_eq!(verdict.reason(), reason, "{verdict:?}");
}

#[rstest]
#[case("2025-12-31T23:59:59Z", Some(Reason::PermitNotYetValid))]
#[case("2026-01-01T00:00:00Z", None)]
#[case("2026-12-31T23:59:59Z", None)]
#[case("2027-01-01T00:00:00Z", Some(Reason::PermitExpired))]
fn permits_begin_and_end_by_the_clock(#[case] now: &str, #[case] reason: Option<Reason>) {
    let verdict = at(now, &[document("cameras", "street")], &flow(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443));
    assert_eq!(verdict.reason(), reason);
}

#[test]
fn a_standard_that_asks_for_tls_is_not_met_by_older_or_plain_flows() {
    let mut document = document("cameras", "street");
    document.routes[0].constraints[0].min_tls = Some(TlsVersion::V13);
    let documents = [document];
    let mut tls = flow(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443);
    assert!(at(NOW, &documents, &tls).is_allowed());
    for older in [Some(TlsVersion::V12), None] {
        tls.tls = older;
        assert_eq!(at(NOW, &documents, &tls).reason(), Some(Reason::TLSTooOld));
    }
    assert_eq!(
        at(NOW, &documents, &flow(Protocol::Http, "www.clinic.example.kz", "192.0.2.10", 80)).reason(),
        Some(Reason::TLSTooOld)
    );
}

/// For each standard of the holding, whether it takes the outer name.
#[rstest]
#[case::denied(&[false], Some(Reason::EncryptedClientHello))]
#[case::taken(&[true], None)]
#[case::by_one_of_two(&[true, false], Some(Reason::EncryptedClientHello))]
#[case::by_both(&[true, true], None)]
#[case::by_nobody(&[], Some(Reason::EncryptedClientHello))]
fn a_name_that_may_be_hidden_is_taken_for_the_outer_one_only_where_every_standard_does(
    #[case] standards: &[bool],
    #[case] reason: Option<Reason>,
) {
    let mut document = document("cameras", "street");
    let standard = document.standards.remove(0);
    document.standards =
        standards.iter().map(|passes_ech| StandardNetworks { passes_ech: *passes_ech, ..standard.clone() }).collect();
    let documents = [document];
    let seen = flow(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443);
    let verdict = at(NOW, &documents, &Flow { ech: true, ..seen.clone() });
    assert_eq!(verdict.reason(), reason);
    if let Verdict::Deny(denial) = verdict {
        assert_eq!((denial.recipient.as_deref(), denial.standard.is_some()), (Some("clinic"), !standards.is_empty()));
    }
    assert!(at(NOW, &documents, &seen).is_allowed());
    let elsewhere = Flow { ech: true, ..flow(Protocol::Tls, "ads.example.com", "192.0.2.10", 443) };
    assert_eq!(at(NOW, &documents, &elsewhere).reason(), Some(Reason::UnlistedParty), "the outer name is judged in any case");
}

#[test]
fn what_one_holding_allows_and_another_does_not_stays() {
    let mut other = document("cameras", "faces");
    other.routes.remove(0);
    let verdict =
        at(NOW, &[document("cameras", "street"), other], &flow(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443));
    let Verdict::Deny(denial) = verdict else { panic!("{verdict:?}") };
    assert_eq!((denial.reason, denial.holding.as_deref()), (Reason::UnlistedParty, Some("cameras/faces")));
}

#[test]
fn standards_or_sources_that_differ_leave_the_country_unknown() {
    struct Two;
    impl CountrySource for Two {
        fn countries(&self, _: IpAddr) -> Vec<Country> {
            vec!["KZ".parse().unwrap(), "DE".parse().unwrap()]
        }
    }
    let mut document = document("cameras", "street");
    let flow = flow(Protocol::Tls, "api.clinic.example.kz", "192.0.2.10", 443);
    let now = NOW.parse().unwrap();
    let verdict = decide(Judge { documents: std::slice::from_ref(&document), geo: &Two, peers: &Archive, now }, &flow);
    assert_eq!(verdict.reason(), Some(Reason::SourcesDisagree));
    struct Anycast;
    impl CountrySource for Anycast {
        fn countries(&self, _: IpAddr) -> Vec<Country> {
            vec!["KZ".parse().unwrap(), Country::MANY]
        }
    }
    let verdict = decide(Judge { documents: std::slice::from_ref(&document), geo: &Anycast, peers: &Archive, now }, &flow);
    assert_eq!((verdict.reason(), verdict.country()), (Some(Reason::ManyPlaces), Some(Country::UNKNOWN)));
    document.standards[0].min_sources = 2;
    let verdict = decide(Judge { documents: &[document], geo: &World, peers: &Archive, now }, &flow);
    assert_eq!(verdict.reason(), Some(Reason::UnknownCountry));
}

#[rstest]
#[case("192.0.2.10", 443, &[], Approach::ReadName)]
#[case("192.0.2.10", 1883, &["broker.example.kz"], Approach::Opaque(Some("broker.example.kz".parse().unwrap())))]
#[case("192.0.2.10", 1883, &["api.clinic.example.kz"], Approach::Deny(Reason::UnlistedParty))]
#[case("192.0.2.10", 1883, &[], Approach::Deny(Reason::UnlistedParty))]
#[case("10.40.0.7", 554, &[], Approach::Opaque(None))]
#[case("203.0.113.7", 8443, &[], Approach::ReadThenDialChosen)]
#[case("10.96.0.1", 443, &[], Approach::InCluster)]
#[case("169.254.169.254", 80, &[], Approach::Deny(Reason::ForbiddenAddress))]
#[case("127.0.0.1", 443, &[], Approach::Deny(Reason::ForbiddenAddress))]
fn approaches(#[case] address: &str, #[case] port: u16, #[case] pinned: &[&str], #[case] expected: Approach) {
    let pinned: Vec<HostName> = pinned.iter().map(|name| name.parse().unwrap()).collect();
    let address = Address::new(address.parse().unwrap());
    assert_eq!(approach(&[document("cameras", "street")], address, port, &pinned), expected);
    assert_eq!(approach(&[], address, port, &pinned), Approach::Deny(Reason::NoDocument));
}

#[rstest]
#[case("api.clinic.example.kz", Question::Listed)]
#[case("broker.example.kz", Question::Listed)]
#[case("vectors.archive.svc.cluster.local", Question::InCluster)]
#[case("api.clinic.example.kz.cameras.svc.cluster.local", Question::InCluster)]
#[case("20.0.96.10.in-addr.arpa", Question::InCluster)]
#[case("1.2.0.192.in-addr.arpa", Question::Denied(Reason::UnlistedQuestion))]
#[case("secret.ads.example.com", Question::Denied(Reason::UnlistedQuestion))]
#[case("clinic.example.kz", Question::Denied(Reason::UnlistedQuestion))]
fn questions(#[case] name: &str, #[case] expected: Question) {
    assert_eq!(decide_question(&[document("cameras", "street")], &name.parse().unwrap(), NOW.parse().unwrap()), expected);
}

#[rstest]
#[case("2026-12-31T23:59:59Z", Question::Listed)]
#[case("2027-01-01T00:00:00Z", Question::Denied(Reason::PermitExpired))]
#[case("2025-12-31T23:59:59Z", Question::Denied(Reason::PermitNotYetValid))]
fn names_of_a_recipient_without_a_permit_in_force_are_not_asked(#[case] now: &str, #[case] expected: Question) {
    let name = "api.clinic.example.kz".parse().unwrap();
    assert_eq!(decide_question(&[document("cameras", "street")], &name, now.parse().unwrap()), expected);
}

#[test]
fn labels_below_a_wildcard_are_the_applications_choice_unless_somebody_lists_the_whole_name() {
    let (first, mut second) = (document("cameras", "street"), document("cameras", "faces"));
    let below =
        |documents: &[PolicyDocument], name: &str| chosen_below(documents, &name.parse().unwrap()).map(ToString::to_string);
    let parent = Some("clinic.example.kz".to_owned());
    assert_eq!(below(std::slice::from_ref(&first), "secret.clinic.example.kz"), parent);
    assert_eq!(below(std::slice::from_ref(&first), "api.clinic.example.kz"), None, "this name is listed as a whole");
    assert_eq!(below(std::slice::from_ref(&first), "broker.example.kz"), None);
    let whole = HostPattern::Exact("secret.clinic.example.kz".parse().unwrap());
    second.routes[0].endpoints[0].target = Target::Host(whole);
    assert_eq!(below(&[first, second], "secret.clinic.example.kz"), None);
}

#[rstest]
#[case::searched("face-4711.cameras.svc.cluster.local", Some("face-4711.cameras.svc"))]
#[case::the_domain_itself("cluster.local", Some(""))]
#[case::reversed("20.0.96.10.in-addr.arpa", Some("20.0.96.10.in-addr.arpa"))]
#[case::listed_service("vectors.archive.svc.cluster.local", None)]
#[case::below_a_listed_service("face-4711.vectors.archive.svc.cluster.local", Some("face-4711.vectors.archive.svc"))]
#[case::searched_beside_a_listed_service("vectors.archive.cameras.svc.cluster.local", Some("vectors.archive.cameras.svc"))]
#[case::api_server("kubernetes.default.svc.cluster.local", None)]
#[case::outside("api.clinic.example.kz", None)]
#[case::address_outside("1.2.0.192.in-addr.arpa", None)]
fn names_of_the_cluster_are_the_applications_choice_unless_a_document_lists_the_service(
    #[case] name: &str,
    #[case] chosen: Option<&str>,
) {
    let name = name.parse().unwrap();
    assert_eq!(chosen_in_cluster(&[document("cameras", "street")], &name), chosen);
    assert_eq!(chosen_in_cluster(&[], &name), None);
}

#[rstest]
#[case("192.0.2.10", true)]
#[case("2001:db8::10", true)]
#[case::translated_by_the_cluster("64:ff9b::192.0.2.10", true)]
#[case::in_the_cluster_where_peers_are_judged("10.96.0.20", true)]
#[case::listed_as_a_network("10.40.0.7", true)]
#[case::private("10.41.0.7", false)]
#[case::loopback("127.0.0.1", false)]
#[case::loopback_v6("::1", false)]
#[case::mapped("::ffff:127.0.0.1", false)]
#[case::translated_loopback("64:ff9b::127.0.0.1", false)]
#[case::metadata("169.254.169.254", false)]
#[case::link_local("fe80::1", false)]
#[case::unique_local("fd00::1", false)]
#[case::six_to_four("2002:c000:20a::1", false)]
#[case::teredo("2001:0:1::1", false)]
#[case::unspecified("0.0.0.0", false)]
fn names_do_not_lead_back_to_the_pod_or_its_surroundings(#[case] address: &str, #[case] expected: bool) {
    let documents = [document("cameras", "street")];
    let judge = Judge { documents: &documents, geo: &World, peers: &Archive, now: NOW.parse().unwrap() };
    assert_eq!(can_be_answer(judge, Address::new(address.parse().unwrap())), expected);
}

/// A standard's country rule is for what is measured. Whom a proxy reaches is not, so only the standards themselves can let it be used.
#[rstest]
#[case::listed("api.clinic.example.kz", "", 443, None)]
#[case::at_a_literal_address("", "203.0.113.5", 8443, None)]
#[case::abroad_at_a_literal_address("", "203.0.113.200", 8443, Some(Reason::CrossBorder))]
#[case::in_the_cluster("", "10.96.0.20", 443, Some(Reason::InClusterUnlisted))]
#[case::unlisted("ads.example.com", "", 443, Some(Reason::UnlistedParty))]
#[case::another_port("api.clinic.example.kz", "", 8443, Some(Reason::UnlistedParty))]
fn what_is_handed_to_a_proxy_is_judged_by_its_name(
    #[case] name: &str,
    #[case] address: &str,
    #[case] port: u16,
    #[case] reason: Option<Reason>,
) {
    let proxy: SocketAddr = "10.20.0.5:3128".parse().unwrap();
    let handed = Flow { via: Some(proxy), ..flow(Protocol::Tls, name, address, port) };
    let unnamed = document("cameras", "street");
    assert_eq!(at(NOW, std::slice::from_ref(&unnamed), &handed).reason(), Some(Reason::ProxyRequest));
    let mut named = unnamed.clone();
    named.standards[0].egress_via = vec![EgressProxy { network: "10.20.0.4/31".parse().unwrap(), ports: [3128].into() }];
    assert!(is_egress(std::slice::from_ref(&named), proxy) && !is_egress(&[named.clone(), unnamed.clone()], proxy));
    assert!(!is_egress(&[], proxy) && !is_egress(std::slice::from_ref(&named), "10.20.0.5:3129".parse().unwrap()));
    let verdict = at(NOW, std::slice::from_ref(&named), &handed);
    assert_eq!(verdict.reason(), reason, "{verdict:?}");
    if address.is_empty() {
        assert_eq!(verdict.country(), None, "nobody has measured it");
    }
    assert_eq!(at("2027-01-01T00:00:00Z", &[named.clone()], &handed).is_allowed(), address == "203.0.113.5");
    assert_eq!(at(NOW, &[named, unnamed], &handed).reason(), Some(Reason::ProxyRequest), "each standard must name it");
}

#[test]
fn a_route_without_data_through_a_proxy_is_one_abroad() {
    let mut document = document("cameras", "street");
    let proxy: SocketAddr = "10.20.0.5:3128".parse().unwrap();
    document.standards[0].egress_via = vec![EgressProxy { network: "10.20.0.5/32".parse().unwrap(), ports: [3128].into() }];
    document.routes[0].data.clear();
    let terms = EmptyTerms {
        standard: "kz".into(),
        home: ["KZ".parse().unwrap()].into(),
        at_home: Leave::Allowed,
        abroad: Leave::Denied,
    };
    document.routes[0].empty = Some(EmptyRoute { approved: true, terms: vec![terms] });
    let handed = Flow { via: Some(proxy), ..flow(Protocol::Tls, "api.clinic.example.kz", "", 443) };
    assert_eq!(at(NOW, &[document], &handed).reason(), Some(Reason::EmptyTransferDenied));
}
