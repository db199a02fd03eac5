use rstest::rstest;
use shekara_policy::geo::NoSource;

use super::*;
use crate::flow::tests::{Archive, document};

fn judged<T>(documents: &[shekara_policy::PolicyDocument], decide: impl FnOnce(Judge<'_>) -> T) -> T {
    decide(Judge { documents, geo: &NoSource, peers: &Archive, now: "2026-06-01T00:00:00Z".parse().unwrap() })
}

fn address(text: &str) -> Address {
    Address::new(text.parse().unwrap())
}

fn planned(text: &str, port: u16, pinned: &[&str]) -> Plan {
    let pinned: Vec<HostName> = pinned.iter().map(|name| name.parse().unwrap()).collect();
    judged(&[document()], |judge| plan(judge, address(text), port, &pinned))
}

fn reason(plan: &Plan) -> Option<Reason> {
    match plan {
        Plan::Refuse(denial, _) => Some(denial.reason),
        _ => None,
    }
}

#[rstest]
#[case::unlisted_port("192.0.2.1", 9999, &[], Reason::UnlistedParty)]
#[case::no_pin("192.0.2.1", 1883, &[], Reason::UnlistedParty)]
#[case::pinned_abroad("198.51.100.1", 1883, &["broker.example.kz"], Reason::CrossBorder)]
#[case::pinned_nowhere("203.0.113.1", 1883, &["broker.example.kz"], Reason::UnknownCountry)]
#[case::in_cluster("10.96.0.1", 443, &[], Reason::ClusterAPIDenied)]
#[case::metadata("169.254.169.254", 80, &[], Reason::ForbiddenAddress)]
fn refused(#[case] to: &str, #[case] port: u16, #[case] pinned: &[&str], #[case] expected: Reason) {
    assert_eq!(reason(&planned(to, port, pinned)), Some(expected));
}

#[test]
fn a_refusal_says_the_name_that_was_judged() {
    let Plan::Refuse(_, name) = planned("198.51.100.1", 1883, &["broker.example.kz"]) else { panic!("not refused") };
    assert_eq!(name.as_ref().map(HostName::as_str), Some("broker.example.kz"));
}

#[rstest]
#[case::service("10.96.0.20", 5432, &[], None)]
#[case::network("10.40.0.7", 554, &[], None)]
#[case::pinned("192.0.2.11", 1883, &["other.example.kz", "broker.example.kz"], Some("broker.example.kz"))]
fn dialled_as_chosen(#[case] to: &str, #[case] port: u16, #[case] pinned: &[&str], #[case] name: Option<&str>) {
    let Plan::Dial(flow) = planned(to, port, pinned) else { panic!("not dialled") };
    assert_eq!((flow.address, flow.port, flow.protocol), (Some(address(to)), port, Protocol::Tcp));
    assert_eq!(flow.name.as_ref().map(HostName::as_str), name);
}

#[test]
fn names_are_read_where_names_are_listed() {
    assert_eq!(planned("203.0.113.1", 443, &[]), Plan::Read { as_chosen: false });
    assert_eq!(planned("10.40.0.7", 8443, &[]), Plan::Read { as_chosen: true });
}

#[test]
fn one_document_may_list_the_network_and_another_the_name() {
    let mut other = document();
    other.holding.name = "faces".into();
    let endpoint = serde_json::json!({"target": {"network": "192.0.2.0/24"}, "ports": [1883], "protocol": "TCP"});
    other.routes[1].endpoints = vec![serde_json::from_value(endpoint).unwrap()];
    other.routes.remove(0);
    let documents = [other, document()];
    let pinned = ["broker.example.kz".parse().unwrap()];
    let plans = |pinned| judged(&documents, |judge| plan(judge, address("192.0.2.11"), 1883, pinned));
    assert!(matches!(plans(&pinned), Plan::Dial(Flow { name: Some(_), .. })));
    assert_eq!(reason(&plans(&[])), Some(Reason::UnlistedParty));
}

fn named() -> Flow {
    let name = Some("api.clinic.example.kz".parse().unwrap());
    Flow { protocol: Protocol::Tls, name, address: None, port: 443, tls: None, ech: false, via: None }
}

fn dialled(chosen: &str, found: &[&str]) -> Result<Vec<String>, Reason> {
    let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
    let flows = judged(&[document()], |judge| dialable(judge, &named(), address(chosen), &found));
    flows.map(|flows| flows.iter().map(|flow| flow.address.unwrap().to_string()).collect()).map_err(|denial| denial.reason)
}

#[rstest]
#[case::chosen_first("192.0.2.2", &["192.0.2.1", "192.0.2.2"], &["192.0.2.2", "192.0.2.1"])]
#[case::another_than_chosen("203.0.113.9", &["192.0.2.1", "192.0.2.2"], &["192.0.2.1", "192.0.2.2"])]
#[case::home_and_abroad("198.51.100.1", &["198.51.100.1", "192.0.2.1"], &["192.0.2.1"])]
#[case::twice("192.0.2.1", &["192.0.2.1", "::ffff:192.0.2.1"], &["192.0.2.1"])]
fn only_judged_addresses_are_dialled(#[case] chosen: &str, #[case] found: &[&str], #[case] expected: &[&str]) {
    assert_eq!(dialled(chosen, found).unwrap(), expected);
}

#[rstest]
#[case::none(&[], Reason::NoAddress)]
#[case::abroad_says_most(&["203.0.113.1", "198.51.100.1", "127.0.0.1"], Reason::CrossBorder)]
#[case::unknown_before_forbidden(&["127.0.0.1", "203.0.113.1"], Reason::UnknownCountry)]
#[case::rebinding(&["169.254.169.254"], Reason::ForbiddenAddress)]
#[case::into_the_cluster(&["10.96.0.1"], Reason::ClusterAPIDenied)]
fn the_most_telling_denial_is_given(#[case] found: &[&str], #[case] expected: Reason) {
    assert_eq!(dialled("192.0.2.1", found), Err(expected));
}

proptest::proptest! {
    #[test]
    fn what_is_dialled_was_found_and_is_allowed(chosen: u32, found: Vec<u32>, near: bool) {
        let ip = |bits: u32| IpAddr::V4(if near { 0xc000_0200 | bits & 0x1ff } else { bits }.into());
        let found: Vec<IpAddr> = found.into_iter().map(ip).collect();
        judged(&[document()], |judge| {
            for flow in dialable(judge, &named(), Address::new(ip(chosen)), &found).unwrap_or_default() {
                assert!(found.contains(&flow.address.unwrap().ip()));
                assert!(decide(judge, &flow).is_allowed());
            }
        });
    }
}
