use rstest::rstest;
use serde_json::{Value, json};
use shekara_policy::decide::{Judge, decide};
use shekara_policy::flow::{Flow, Protocol, TlsVersion};
use shekara_policy::geo::CountrySource;
use shekara_policy::{Address, Country, Reason, Verdict};

use super::*;

const NOW: &str = "2026-06-01T00:00:00Z";

#[derive(Clone)]
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

struct Home;

impl CountrySource for Home {
    fn countries(&self, _: std::net::IpAddr) -> Vec<Country> {
        vec!["KZ".parse().unwrap()]
    }
}

fn flow() -> Flow {
    Flow {
        protocol: Protocol::Tls,
        name: Some("api.clinic.example.kz".parse().unwrap()),
        address: Some(Address::new("192.0.2.10".parse().unwrap())),
        port: 443,
        tls: Some(TlsVersion::V13),
        ech: false,
        via: None,
    }
}

impl Fixture {
    /// Does something with the holding and what surrounds it.
    fn with<T>(&self, act: impl FnOnce(&DataHolding, Surroundings<'_>) -> T) -> T {
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
        let around = Surroundings {
            standards: &standards,
            recipients: &recipients,
            namespace_labels: &BTreeMap::new(),
            services: &services,
            cluster: &cluster,
            now: NOW.parse().unwrap(),
        };
        act(&holding, around)
    }

    fn compile(&self) -> Compiled {
        self.with(compile)
    }

    /// What the simulator says of a flow to the clinic.
    fn simulated(&self) -> crate::simulate::Simulated {
        self.with(|holding, around| crate::simulate(std::slice::from_ref(holding), around, &Home, &flow()))
    }

    fn reason(&self) -> Option<Reason> {
        self.verdict().reason()
    }

    fn verdict(&self) -> Verdict {
        let compiled = self.compile();
        let judge = Judge {
            documents: &[compiled.document],
            geo: &Home,
            peers: &shekara_policy::peer::NoPeers,
            now: NOW.parse().unwrap(),
        };
        let verdict = decide(judge, &flow());
        assert_eq!(self.simulated().verdict, verdict, "the simulator says the same");
        verdict
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
#[case("/holding/spec/transfers/0/data", json!([]), "spec.transfers[0]: recipient clinic: the standard kz does not allow routes that claim to carry no data", Reason::EmptyTransferDenied)]
#[case("/recipient/spec/country", json!("DE"), "spec.transfers[0]: recipient clinic: the standard kz does not allow the recipient's own country for this data", Reason::CrossBorder)]
#[case("/recipient/spec/permits", json!([]), "spec.transfers[0]: recipient clinic: no permit covers the route's data for this holding", Reason::NoPermit)]
#[case("/recipient/spec/permits/0/holders", json!(["vehicles/*"]), "spec.transfers[0]: recipient clinic: no permit covers the route's data for this holding", Reason::NoPermit)]
#[case("/recipient/spec/permits/0/ground", json!("Consent"), "spec.transfers[0]: recipient clinic: no permit rests on a ground that the standards allow for this data", Reason::GroundNotAllowed)]
#[case("/recipient/spec/permits/0/validUntil", json!("2026-05-31T00:00:00Z"), "spec.transfers[0]: the permit of Recipient/clinic for biometric.face has expired (spec.permits[].validUntil)", Reason::PermitExpired)]
#[case("/recipient/spec/permits/0/validFrom", json!("2026-06-02T00:00:00Z"), "spec.transfers[0]: the permit of Recipient/clinic for biometric.face is not valid yet (spec.permits[].validFrom)", Reason::PermitNotYetValid)]
#[case("/recipient/spec/endpoints/0/host", json!("clinic..kz"), "Recipient/clinic spec.endpoints[0].host: \"clinic..kz\" is not a host name: each label has 1 to 63 letters, digits, hyphens or underscores, and neither begins nor ends with a hyphen", Reason::UnlistedParty)]
#[case("/standards/0/spec/networks/0/cidr", json!("10.40.0.0/99"), "SovereigntyStandard/kz spec.networks[0].cidr: \"10.40.0.0/99\" is not a CIDR, as in 192.0.2.0/24", Reason::RouteInvalid)]
#[case("/holding/spec/transfers/0/maxOutPerDay", json!("9Ei"), "spec.transfers[0].maxOutPerDay: \"9Ei\" is more than 8Ei", Reason::RouteInvalid)]
#[case("/holding/spec/transfers/0/approval", json!({"by": "x", "document": "1", "date": "2026-02-30"}), "spec.transfers[0].approval.date: parsed date is not valid: parameter 'day' for `2026-02` is invalid, must be in range `1..=28`", Reason::RouteInvalid)]
#[case("/standards/0/spec/maxEmptyOutPerDay", json!("half"), "SovereigntyStandard/kz spec.maxEmptyOutPerDay: \"half\" is not a size in bytes, as in 50Mi, 1.5Gi or 2G", Reason::RouteInvalid)]
#[case("/standards/0/spec/emptyTransfers", json!({"abroad": "Bounded"}), "SovereigntyStandard/kz spec.emptyTransfers.abroad: it is Bounded, and maxEmptyOutPerDay does not say by what", Reason::RouteInvalid)]
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
fn data_that_no_rule_of_a_standard_that_binds_it_mentions_goes_nowhere() {
    let mut fixture = fixture();
    fixture.standards[0]["spec"]["appliesTo"]["data"] = json!(["biometric.*", "vehicle.*"]);
    fixture.holding["spec"]["transfers"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    fixture.recipient["spec"]["permits"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    assert_eq!(fixture.reason(), Some(Reason::CrossBorder));
}

#[test]
fn data_that_no_standard_binds_goes_nowhere_and_two_standards_bind_each_their_own() {
    let mut fixture = fixture();
    fixture.holding["spec"]["transfers"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    fixture.recipient["spec"]["permits"][0]["data"] = json!(["biometric.face", "vehicle.location"]);
    assert_eq!(fixture.reason(), Some(Reason::NoStandard));
    assert!(fixture.compile().problems[0].message.contains("no standard binds vehicle.location"));
    let mut vehicles = fixture.standards[0].clone();
    vehicles["metadata"]["name"] = json!("vehicles");
    vehicles["spec"]["appliesTo"]["data"] = json!(["vehicle.*"]);
    vehicles["spec"]["transfers"][0]["data"] = json!(["vehicle.*"]);
    fixture.standards.push(vehicles);
    assert_eq!(fixture.reason(), None);
    fixture.standards[1]["spec"]["transfers"][0]["countries"] = json!(["DE"]);
    assert_eq!(fixture.reason(), Some(Reason::CrossBorder));
}

/// A transfer without data: what a standard says of home and abroad, the recipient's country, the approval, and the outcome.
#[rstest]
#[case(json!({"home": "Allowed"}), "KZ", false, Ok(None))]
#[case(json!({"home": "Bounded"}), "KZ", false, Ok(Some(1024)))]
#[case(json!({"home": "Denied", "abroad": "Allowed"}), "KZ", true, Err(Reason::EmptyTransferDenied))]
#[case(json!({"home": "Allowed"}), "DE", true, Err(Reason::EmptyTransferDenied))]
#[case(json!({"home": "Allowed", "abroad": "Allowed"}), "DE", false, Err(Reason::NoApproval))]
#[case(json!({"home": "Allowed", "abroad": "Allowed"}), "DE", true, Ok(None))]
#[case(json!({"home": "Allowed", "abroad": "Bounded"}), "DE", true, Ok(Some(1024)))]
fn a_route_without_data(
    #[case] says: Value,
    #[case] country: &str,
    #[case] approved: bool,
    #[case] expected: Result<Option<u64>, Reason>,
) {
    let mut fixture = fixture();
    fixture.standards[0]["spec"]["emptyTransfers"] = says;
    fixture.standards[0]["spec"]["maxEmptyOutPerDay"] = json!("1Ki");
    fixture.recipient["spec"]["country"] = json!(country);
    fixture.recipient["spec"]["permits"] = json!([]);
    fixture.holding["spec"]["transfers"][0] = json!({"recipient": "clinic", "data": []});
    if approved {
        fixture.holding["spec"]["transfers"][0]["approval"] = json!({"by": "A. S.", "document": "44", "date": "2026-11-20"});
    }
    match fixture.verdict() {
        Verdict::Allow(grant) => {
            assert_eq!(Ok(grant.budgets.first().map(|budget| budget.max_out_per_day)), expected);
            fixture.holding["spec"]["transfers"][0]["maxOutPerDay"] = json!("1000");
            let Verdict::Allow(grant) = fixture.verdict() else { panic!() };
            assert_eq!(grant.budgets[0].max_out_per_day, 1000, "the holding's own bound is lower");
        }
        Verdict::Deny(denial) => assert_eq!(Err(denial.reason), expected),
    }
}

#[rstest]
#[case(json!("identification"), None)]
#[case(json!("  IDENTIFICATION "), None)]
#[case(json!("identification of patients"), Some(Reason::PurposeNotPermitted))]
#[case(Value::Null, Some(Reason::PurposeNotPermitted))]
fn a_permit_with_purposes_is_for_these_alone(#[case] purpose: Value, #[case] reason: Option<Reason>) {
    let mut fixture = fixture();
    fixture.recipient["spec"]["permits"][0]["purposes"] = json!(["search for people", "Identification"]);
    if !purpose.is_null() {
        fixture.holding["spec"]["transfers"][0]["purpose"] = purpose;
    }
    assert_eq!(fixture.reason(), reason);
}

#[test]
fn where_many_customers_are_served_the_country_is_known_by_a_standards_networks_alone() {
    let mut fixture = fixture();
    fixture.recipient["spec"]["endpoints"][0]["tenancy"] = json!("Shared");
    assert_eq!(fixture.reason(), Some(Reason::SharedTenancy));
    assert!(fixture.compile().parties["clinic"].shared);
    let mut declared = fixture.clone();
    declared.standards[0]["spec"]["networks"] = json!([{"cidr": "192.0.2.0/24", "country": "KZ"}]);
    assert_eq!(declared.reason(), None);
    fixture.standards[0]["spec"]["sharedTenancy"] = json!("Located");
    assert_eq!(fixture.reason(), None);
    let mut other = fixture.standards[0].clone();
    other["spec"]["sharedTenancy"] = json!("Unknown");
    fixture.standards.push(other);
    assert_eq!(fixture.reason(), Some(Reason::SharedTenancy));
}

#[test]
fn routes_to_emergency_services_are_told_apart_and_need_their_permits() {
    let mut fixture = fixture();
    assert!(!fixture.compile().document.routes[0].emergency);
    fixture.recipient["spec"]["role"] = json!("Emergency");
    assert!(fixture.compile().document.routes[0].emergency);
    fixture.recipient["spec"]["permits"] = json!([]);
    assert_eq!(fixture.reason(), Some(Reason::NoPermit));
}

#[test]
fn observe_that_no_standard_grants_is_enforced_and_said() {
    let mut fixture = fixture();
    fixture.holding["spec"]["enforcement"] = json!({"mode": "Observe", "observeUntil": "2026-07-01T00:00:00Z"});
    let compiled = fixture.compile();
    assert_eq!((compiled.problems[0].code, compiled.document.observe_until), (ProblemCode::ObserveNotGranted, None));
    fixture.recipient["spec"]["permits"] = json!([]);
    assert_eq!(fixture.reason(), Some(Reason::NoPermit));
}

#[test]
fn what_no_pod_could_read_opens_nothing_and_is_named() {
    let transfers = |count: usize| {
        let mut fixture = fixture();
        let endpoints = (0..64).map(|n| json!({"host": format!("{n}.clinic.example.kz"), "ports": [443], "protocol": "TLS"}));
        fixture.recipient["spec"]["endpoints"] = endpoints.collect();
        fixture.holding["spec"]["transfers"] = vec![json!({"recipient": "clinic", "data": ["biometric.face"]}); count].into();
        fixture
    };
    let most = transfers(64).compile();
    assert_eq!((most.problems, most.document.routes.len()), (vec![], 64), "as many as a holding may declare");
    let long = transfers(512).compile();
    let codes: Vec<_> = long.problems.iter().map(|problem| (problem.field.as_str(), problem.code)).collect();
    assert_eq!(codes, [("spec", ProblemCode::DocumentTooLong)]);
    assert!(long.document.routes.is_empty() && long.document.peers_denied && !long.document.cluster_api);
    assert_eq!(long.document.inbound, Some(shekara_policy::document::Inbound { standards: vec![], clients: vec![] }));
    assert_eq!(long.standards, ["kz"], "whom it binds is said as before");
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

/// The simulator names the declarations from which a verdict came.
#[test]
fn a_simulated_flow_names_its_rules() {
    let mut fixture = fixture();
    fixture.recipient["spec"]["permits"][0]["document"] = json!({"number": "17/2026"});
    let allowed = "Allow
  country KZ
  DataHolding cameras/street spec.transfers[0] to Recipient/clinic
    biometric.face by Recipient/clinic spec.permits[0] (17/2026)
    judged by SovereigntyStandard/kz spec.transfers[0]";
    assert_eq!(fixture.simulated().to_string(), allowed);
    fixture.standards[0]["spec"]["transfers"][0]["minTLS"] = json!("1.3");
    fixture.standards[0]["spec"]["networks"] = json!([{"cidr": "192.0.2.0/24", "country": "DE"}]);
    let said = fixture.simulated().to_string();
    let denied = "Deny CrossBorder by SovereigntyStandard/kz spec.transfers[0]: The destination is in a country";
    assert!(said.starts_with(denied) && said.contains("\n  country DE\n"), "{said}");
    fixture.recipient["spec"]["endpoints"][0]["ports"] = json!([8443]);
    assert!(fixture.simulated().to_string().ends_with("DataHolding cameras/street: no transfer lists the destination"));
}

#[test]
fn the_kubernetes_api_is_open_where_the_holding_says_so_and_every_standard_leaves_it_to_holdings() {
    let mut fixture = fixture();
    assert!(!fixture.compile().document.cluster_api);
    fixture.holding["spec"]["clusterAPI"] = json!({"allow": true, "reason": "leader election"});
    let denied = fixture.compile();
    assert!(!denied.document.cluster_api);
    let problem = "spec.clusterAPI.allow: SovereigntyStandard/kz does not leave the Kubernetes API to holdings";
    assert!(denied.problems.iter().any(|found| found.to_string() == problem), "{:?}", denied.problems);
    fixture.standards[0]["spec"]["clusterAPI"] = json!("PerHolding");
    assert!(fixture.compile().document.cluster_api);
    let mut other = fixture.standards[0].clone();
    other["metadata"]["name"] = json!("other");
    other["spec"]["clusterAPI"] = json!("Denied");
    fixture.standards.push(other);
    assert!(!fixture.compile().document.cluster_api);
    fixture.standards.clear();
    assert!(!fixture.compile().document.cluster_api);
}

#[test]
fn a_driver_is_allowed_where_every_standard_lists_it_in_a_country_that_its_rules_allow() {
    let mut fixture = fixture();
    let names = |fixture: &Fixture| fixture.compile().storage.map(|names| names.into_iter().collect::<Vec<_>>().join(","));
    assert_eq!(names(&fixture), None);
    let drivers =
        json!([{"name": "home", "country": "KZ"}, {"name": "abroad", "country": "DE"}, {"name": "lost", "country": "ZZ"}]);
    fixture.standards[0]["spec"]["storage"] = json!({"mode": "Listed", "drivers": drivers});
    assert_eq!(names(&fixture).as_deref(), Some("home"));
    let mut other = fixture.standards[0].clone();
    (other["metadata"]["name"], other["spec"]["storage"]) = (json!("other"), Value::Null);
    fixture.standards.push(other);
    assert_eq!(names(&fixture).as_deref(), Some("home"), "a standard that lists none asks for none");
    fixture.standards[1]["spec"]["storage"] = json!({"mode": "Listed", "drivers": [{"name": "another", "country": "KZ"}]});
    assert_eq!(names(&fixture).as_deref(), Some(""));
    (fixture.standards[1]["spec"]["storage"], fixture.standards[1]["spec"]["homeCountries"]) = (Value::Null, json!(["ZZ"]));
    assert_eq!(names(&fixture).as_deref(), Some(""), "what one that cannot be read asks for is not known");
}

#[test]
fn a_collector_is_allowed_where_every_standard_lists_it_in_a_country_that_its_rules_allow() {
    let mut fixture = fixture();
    let namespaces = ["home", "abroad", "both", "lost", "other"];
    let names = |fixture: &Fixture| -> Vec<Vec<&str>> {
        let listed = |list: &Collectors| namespaces.into_iter().filter(|name| list.allow(name, &BTreeMap::new())).collect();
        fixture.compile().log_collectors.iter().map(listed).collect()
    };
    assert!(names(&fixture).is_empty());
    let collectors = [("home", "KZ"), ("abroad", "DE"), ("both", "KZ"), ("both", "DE"), ("lost", "ZZ")]
        .map(|(namespace, country)| json!({"pods": {"namespace": namespace}, "country": country}));
    let before = fixture.compile().document;
    fixture.standards[0]["spec"]["logs"] = json!({"mode": "Reported", "collectors": collectors});
    assert_eq!(names(&fixture), [["home"]]);
    let compiled = fixture.compile();
    assert_eq!(compiled.document, before, "who collects logs opens and closes nothing");
    assert_eq!(compiled.problems[0].field, "SovereigntyStandard/kz spec.logs.collectors[4].country");
    let mut other = fixture.standards[0].clone();
    (other["metadata"]["name"], other["spec"]["logs"]) = (json!("other"), Value::Null);
    fixture.standards.push(other);
    assert_eq!(names(&fixture), [["home"]], "a standard that lists none asks for none");
    fixture.standards[1]["spec"]["logs"] = json!({"mode": "Reported"});
    assert_eq!(names(&fixture), [vec!["home"], vec![]]);
    (fixture.standards[1]["spec"]["logs"], fixture.standards[1]["spec"]["homeCountries"]) = (Value::Null, json!(["ZZ"]));
    assert_eq!(names(&fixture), [vec!["home"], vec![]], "what one that cannot be read asks for is not known");
}

#[test]
fn workloads_are_restarted_where_a_standard_asks_for_it_as_many_at_once_as_all_allow() {
    let mut fixture = fixture();
    assert_eq!(fixture.compile().restarts, None);
    fixture.standards[0]["spec"]["rollout"] = json!({"maxConcurrent": 3});
    assert_eq!(fixture.compile().restarts, None);
    let mut other = fixture.standards[0].clone();
    (other["metadata"]["name"], other["spec"]["rollout"]) =
        (json!("other"), json!({"restartUncovered": true, "maxConcurrent": 5}));
    fixture.standards.push(other);
    assert_eq!(fixture.compile().restarts, Some(3));
    fixture.standards[0]["spec"]["rollout"] = Value::Null;
    fixture.standards[1]["spec"]["rollout"] = json!({"restartUncovered": true});
    assert_eq!(fixture.compile().restarts, Some(1));
}

#[test]
fn a_document_lasts_as_long_as_the_strictest_standard_says() {
    let mut fixture = fixture();
    assert_eq!(fixture.compile().max_staleness, None);
    fixture.standards[0]["spec"]["maxStaleness"] = json!("12h");
    let mut other = fixture.standards[0].clone();
    (other["metadata"]["name"], other["spec"]["maxStaleness"]) = (json!("other"), json!("30m"));
    fixture.standards.push(other);
    assert_eq!(fixture.compile().max_staleness, Some(std::time::Duration::from_secs(1800)));
    assert_eq!(fixture.reason(), None);
    fixture.standards[1]["spec"]["maxStaleness"] = json!("1m");
    assert_eq!(fixture.reason(), Some(Reason::RouteInvalid), "what cannot be kept closes");
}

#[test]
fn a_service_is_not_listed_for_what_the_holding_does_not_hold() {
    let mut fixture = fixture();
    fixture.holding["spec"]["inCluster"] = json!([{"namespace": "archive", "service": "vectors", "data": ["vehicle.operation"]}]);
    let compiled = fixture.compile();
    assert!(compiled.document.in_cluster.is_empty());
    assert_eq!(compiled.problems[0].code, ProblemCode::DataNotHeld);
}

#[rstest]
#[case::not_said(json!(null), Some(false), false)]
#[case::covered(json!("Covered"), Some(true), false)]
#[case::same_data(json!("SameData"), None, false)]
#[case::denied(json!("Denied"), None, true)]
fn a_standard_says_what_of_the_cluster_may_be_listed(
    #[case] rule: serde_json::Value,
    #[case] listed: Option<bool>,
    #[case] denied: bool,
) {
    for data in [json!(["biometric.face"]), json!([]), json!(["vehicle.location"])] {
        let mut fixture = fixture();
        fixture.holding["spec"]["inCluster"] = json!([{"namespace": "archive", "service": "vectors", "data": data}]);
        fixture.standards[0]["spec"]["transfers"][0]["inCluster"] = rule.clone();
        let compiled = fixture.compile();
        assert_eq!(compiled.document.in_cluster.first().map(|route| route.covered), listed);
        assert_eq!(compiled.document.peers_denied, denied);
        let said = compiled.problems.iter().any(|problem| problem.code == ProblemCode::InClusterDenied);
        assert_eq!(said, listed.is_none(), "{:?}", compiled.problems);
    }
}

/// What a standard lists, and a client of the holding.
fn clients(fixture: &mut Fixture, client: Value) {
    fixture.standards[0]["spec"]["inbound"] = json!({"mode": "Listed", "from": [
        {"name": "ingress", "pods": {"namespace": "ingress"}}, {"name": "balancer", "networks": ["10.50.0.0/24"], "ports": [443]}
    ]});
    fixture.holding["spec"]["clients"] = json!([client]);
}

#[test]
fn only_a_standard_asks_for_lists_and_a_client_abroad_is_barred() {
    let mut fixture = fixture();
    fixture.holding["spec"]["clients"] = json!([{"network": "192.0.2.0/24", "data": ["biometric.face"]}]);
    assert_eq!(fixture.with(compile).document.inbound, None);
    clients(&mut fixture, json!({"network": "192.0.2.0/24", "country": "KZ", "ports": [443], "data": ["biometric.face"]}));
    let compiled = fixture.with(compile);
    let inbound = compiled.document.inbound.unwrap();
    let [terms] = inbound.standards.as_slice() else { panic!("{inbound:?}") };
    let from: Vec<_> = terms.from.iter().map(|source| (source.name.as_str(), source.pods, source.networks.len())).collect();
    assert_eq!((terms.standard.as_str(), from), ("kz", vec![("ingress", true, 0), ("balancer", false, 1)]));
    assert_eq!((inbound.clients[0].barred, inbound.clients[0].constraints.len()), (None, 1));
    // a second standard without a word of it leaves the first one's lists in force
    let mut open = fixture.standards[0].clone();
    (open["metadata"]["name"], open["spec"]["inbound"]) = (json!("open"), Value::Null);
    fixture.standards.push(open);
    let inbound = fixture.with(compile).document.inbound.unwrap();
    assert_eq!((inbound.standards.len(), inbound.clients[0].constraints.len()), (1, 2));
    fixture.holding["spec"]["clients"][0]["country"] = json!("DE");
    let compiled = fixture.with(compile);
    assert_eq!(compiled.document.inbound.unwrap().clients[0].barred, Some(Reason::InboundCrossBorder));
    let problem = &compiled.problems[0];
    assert_eq!((problem.field.as_str(), problem.code), ("spec.clients[0].country", ProblemCode::CrossBorder));
}

#[rstest]
#[case::no_data(json!({"network": "192.0.2.0/24", "data": []}), "spec.clients[0].data", Some(Reason::RouteInvalid))]
#[case::not_held(json!({"network": "192.0.2.0/24", "data": ["biometric.iris"]}), "spec.clients[0].data", Some(Reason::RouteInvalid))]
#[case::unbound(json!({"network": "192.0.2.0/24", "data": ["vehicle.location"]}), "spec.clients[0]", Some(Reason::NoStandard))]
#[case::no_country(json!({"network": "192.0.2.0/24", "country": "ZZ", "data": ["biometric.face"]}), "spec.clients[0].country", Some(Reason::RouteInvalid))]
#[case::no_network(json!({"network": "192.0.2.1/24", "data": ["biometric.face"]}), "spec.clients[0].network", None)]
#[case::no_port(json!({"network": "192.0.2.0/24", "ports": [0], "data": ["biometric.face"]}), "spec.clients[0].ports[0]", Some(Reason::RouteInvalid))]
fn a_client_that_cannot_be_read_opens_nothing_and_is_named(
    #[case] client: Value,
    #[case] field: &str,
    #[case] barred: Option<Reason>,
) {
    let mut fixture = fixture();
    clients(&mut fixture, client);
    let compiled = fixture.with(compile);
    assert!(compiled.problems.iter().any(|problem| problem.field == field), "{:?}", compiled.problems);
    let inbound = compiled.document.inbound.unwrap();
    match inbound.clients.first() {
        Some(client) => assert_eq!(client.barred, barred),
        None => assert_eq!(barred, None),
    }
}

#[test]
fn a_standard_that_cannot_be_read_lets_no_source_of_the_platform_in() {
    let mut fixture = fixture();
    fixture.standards[0]["spec"]["homeCountries"] = json!(["??"]);
    let inbound = fixture.with(compile).document.inbound.unwrap();
    assert_eq!(inbound.standards[0].from, []);
}
