use rstest::rstest;
use serde_json::{Value, json};
use shekara_policy::decide::{Judge, decide};
use shekara_policy::flow::{Flow, Protocol, TlsVersion};
use shekara_policy::geo::CountrySource;
use shekara_policy::{Address, Country, Reason};

use super::*;

const NOW: &str = "2026-06-01T00:00:00Z";

struct Fixture {
    holding: Value,
    standards: Vec<Value>,
    recipient: Value,
}

fn fixture() -> Fixture {
    Fixture {
        holding: json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding", "metadata": {"name": "street", "namespace": "cameras", "uid": "u1"},
            "spec": {
                "title": "Street video", "controller": {"name": "Akimat", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": "recognizer"}},
                "data": [{"category": "biometric.face"}, {"category": "vehicle.location"}],
                "transfers": [{"recipient": "clinic", "data": ["biometric.face"]}]
            }
        }),
        standards: vec![json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
            "spec": {
                "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"namespaceSelector": {}, "data": ["biometric.*"]},
                "homeCountries": ["KZ"], "networks": [{"cidr": "10.40.0.0/16", "country": "KZ"}],
                "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Law", "Contract"], "minTLS": "1.2"}]
            }
        })],
        recipient: json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "Recipient", "metadata": {"name": "clinic"},
            "spec": {
                "legalName": "Clinic", "country": "KZ", "role": "Processor",
                "endpoints": [{"host": "api.clinic.example.kz", "ports": [443], "protocol": "TLS"}],
                "permits": [{"data": ["biometric.face"], "ground": "Contract", "holders": ["cameras/*"], "validUntil": "2027-01-01T00:00:00Z"}]
            }
        }),
    }
}

impl Fixture {
    fn compile(&self) -> Compiled {
        let holding: DataHolding = serde_json::from_value(self.holding.clone()).unwrap();
        let standards: Vec<SovereigntyStandard> =
            self.standards.iter().cloned().map(|standard| serde_json::from_value(standard).unwrap()).collect();
        let recipients = BTreeMap::from([("clinic".to_owned(), serde_json::from_value(self.recipient.clone()).unwrap())]);
        let cluster = Cluster {
            networks: vec!["10.96.0.0/16".parse().unwrap()],
            domain: "cluster.local".parse().unwrap(),
            resolvers: vec![],
        };
        let service = |name: &str, external_name| ListedService { namespace: "archive".into(), name: name.into(), external_name };
        let services = [service("vectors", false), service("alias", true)];
        compile(
            &holding,
            Surroundings {
                standards: &standards,
                recipients: &recipients,
                namespace_labels: &BTreeMap::new(),
                services: &services,
                cluster: &cluster,
                now: NOW.parse().unwrap(),
            },
        )
    }

    fn reason(&self) -> Option<Reason> {
        struct Home;
        impl CountrySource for Home {
            fn countries(&self, _: std::net::IpAddr) -> Vec<Country> {
                vec!["KZ".parse().unwrap()]
            }
        }
        let compiled = self.compile();
        let flow = Flow {
            protocol: Protocol::Tls,
            name: Some("api.clinic.example.kz".parse().unwrap()),
            address: Some(Address::new("192.0.2.10".parse().unwrap())),
            port: 443,
            tls: Some(TlsVersion::V13),
        };
        decide(
            Judge {
                documents: &[compiled.document],
                geo: &Home,
                peers: &shekara_policy::peer::NoPeers,
                now: NOW.parse().unwrap(),
            },
            &flow,
        )
        .reason()
    }
}

#[test]
fn a_sound_declaration_opens_its_route() {
    let compiled = fixture().compile();
    assert_eq!(compiled.problems, []);
    assert_eq!(compiled.standards, ["kz"]);
    assert_eq!(compiled.expires, Some("2027-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(fixture().reason(), None);
}

/// Each edit closes the route, and the problem names the field.
#[rstest]
#[case("/holding/spec/transfers/0/recipient", json!("nobody"), "spec.transfers[0].recipient: there is no Recipient \"nobody\"", Reason::UnlistedParty)]
#[case("/holding/spec/data", json!([{"category": "biometric.iris"}]), "spec.transfers[0].data: the holding does not hold biometric.face: spec.data does not name it", Reason::RouteInvalid)]
#[case("/holding/spec/transfers/0/data", json!([]), "spec.transfers[0]: recipient clinic: a standard does not allow routes that claim to carry no data", Reason::EmptyTransferDenied)]
#[case("/recipient/spec/country", json!("DE"), "spec.transfers[0]: recipient clinic: the recipient's own country is not one that the standards allow for this data", Reason::CrossBorder)]
#[case("/recipient/spec/permits", json!([]), "spec.transfers[0]: recipient clinic: no permit covers the route's data for this holding", Reason::NoPermit)]
#[case("/recipient/spec/permits/0/holders", json!(["vehicles/*"]), "spec.transfers[0]: recipient clinic: no permit covers the route's data for this holding", Reason::NoPermit)]
#[case("/recipient/spec/permits/0/ground", json!("Consent"), "spec.transfers[0]: recipient clinic: no permit rests on a ground that the standards allow for this data", Reason::GroundNotAllowed)]
#[case("/recipient/spec/permits/0/validUntil", json!("2026-05-31T00:00:00Z"), "spec.transfers[0]: the permit of Recipient/clinic for biometric.face has expired (spec.permits[].validUntil)", Reason::PermitExpired)]
#[case("/recipient/spec/permits/0/validFrom", json!("2026-06-02T00:00:00Z"), "spec.transfers[0]: the permit of Recipient/clinic for biometric.face is not valid yet (spec.permits[].validFrom)", Reason::PermitNotYetValid)]
#[case("/recipient/spec/endpoints/0/host", json!("clinic..kz"), "Recipient/clinic spec.endpoints[0].host: \"clinic..kz\" is not a host name: each label has 1 to 63 letters, digits, hyphens or underscores, and neither begins nor ends with a hyphen", Reason::UnlistedParty)]
#[case("/standards/0/spec/networks/0/cidr", json!("10.40.0.0/99"), "SovereigntyStandard/kz spec.networks[0].cidr: \"10.40.0.0/99\" is not a CIDR, as in 192.0.2.0/24", Reason::RouteInvalid)]
#[case("/standards/0/spec/appliesTo/data", json!(["vehicle.cabin-audio"]), "spec.data: no SovereigntyStandard applies to this namespace and data, so no route is open", Reason::NoStandard)]
fn each_fault_closes_the_route_and_is_named(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] problem: &str,
    #[case] reason: Reason,
) {
    let mut fixture = fixture();
    let (object, path) = pointer.trim_start_matches('/').split_once('/').unwrap();
    match object {
        "holding" => set(&mut fixture.holding, &format!("/{path}"), value),
        "recipient" => set(&mut fixture.recipient, &format!("/{path}"), value),
        _ => set(&mut fixture.standards[0], &format!("/{}", path.trim_start_matches("0/")), value),
    }
    let problems: Vec<String> = fixture.compile().problems.iter().map(ToString::to_string).collect();
    assert!(problems.contains(&problem.to_owned()), "{problems:#?}");
    assert_eq!(fixture.reason(), Some(reason));
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
}

#[test]
fn every_standard_that_applies_must_agree() {
    let mut fixture = fixture();
    let mut abroad = fixture.standards[0].clone();
    abroad["metadata"]["name"] = json!("abroad");
    abroad["spec"]["transfers"][0]["countries"] = json!(["DE"]);
    fixture.standards.push(abroad);
    assert_eq!(fixture.reason(), Some(Reason::CrossBorder));
}

#[test]
fn data_that_no_rule_of_an_applying_standard_mentions_goes_nowhere() {
    let mut fixture = fixture();
    fixture.holding["spec"]["transfers"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    fixture.recipient["spec"]["permits"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    assert_eq!(fixture.reason(), Some(Reason::CrossBorder));
}

#[test]
fn the_holders_own_systems_need_no_permit() {
    let mut fixture = fixture();
    fixture.recipient["spec"]["role"] = json!("Self");
    fixture.recipient["spec"]["permits"] = json!([]);
    assert_eq!(fixture.reason(), None);
}

#[test]
fn services_inside_are_listed_or_named_as_missing_or_as_leading_outside() {
    let mut fixture = fixture();
    fixture.holding["spec"]["inCluster"] = json!([{"namespace": "archive", "service": "vectors", "data": ["biometric.face"]}, {"namespace": "archive", "service": "none", "data": []}, {"namespace": "archive", "service": "alias", "data": []}]);
    let compiled = fixture.compile();
    assert_eq!(compiled.document.in_cluster.len(), 1);
    assert_eq!(compiled.problems[0].to_string(), "spec.inCluster[1]: there is no Service archive/none");
    assert!(compiled.problems[1].to_string().starts_with("spec.inCluster[2]: the Service archive/alias is another name"));
}
