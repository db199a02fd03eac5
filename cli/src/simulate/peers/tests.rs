use serde_json::{Value, json};

use super::*;
use crate::network::Unread;

fn covered(name: &str, address: &str, created: &str) -> Value {
    let status = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "started": true, "state": state});
    json!({
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "cameras", "creationTimestamp": created, "labels": {"app": "web"}},
        "spec": {"containers": [], "initContainers": [{"name": "shekara-proxy", "env": [{"name": "SHEKARA_HOLDINGS", "value": "faces"}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": address}], "initContainerStatuses": [
            status("shekara-proxy", json!({"running": {}})), status("shekara-verify", json!({"terminated": {"exitCode": 0}}))]}
    })
}

fn bare(name: &str, address: &str, app: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "cameras", "labels": {"app": app}}, "spec": {"containers": []}, "status": {"podIPs": [{"ip": address}]}})
}

fn service(name: &str, address: &str, endpoints: &[&str]) -> [Value; 2] {
    let endpoints: Vec<Value> = endpoints.iter().map(|address| json!({"addresses": [address]})).collect();
    [
        json!({"kind": "Service", "metadata": {"name": name, "namespace": "cameras"},
            "spec": {"clusterIPs": [address], "externalIPs": ["203.0.113.7"], "ports": [{"port": 80, "name": "web"}]}}),
        json!({"kind": "EndpointSlice", "metadata": {"name": name, "namespace": "cameras", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": [{"name": "web", "port": 8080}], "endpoints": endpoints}),
    ]
}

/// The holding `faces`, from which irises were taken away at ten, and which names this pod as uncovered.
fn holding(uncovered: &str, state: &str) -> Value {
    json!({
        "kind": "DataHolding", "metadata": {"name": "faces", "namespace": "cameras", "generation": 1},
        "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": "web"}}, "data": [{"category": "biometric.face"}]},
        "status": {
            "standards": "kz",
            "held": [{"category": "biometric.face"}, {"category": "biometric.iris", "removedAt": "2026-06-01T10:00:00Z"}],
            "coverage": {"inScope": 3, "covered": 2, "summary": "", "uncovered": [{"name": uncovered, "state": state}]},
            "conditions": [{"type": "Enforcing", "status": "True", "reason": "r", "message": "m", "observedGeneration": 1, "lastTransitionTime": "2026-06-01T00:00:00Z"}]
        }
    })
}

fn network(objects: Vec<Value>) -> Network {
    let mut network = Network::default();
    for object in objects {
        match object["kind"].as_str().unwrap() {
            "Service" => network.take_service(serde_json::from_value(object).unwrap()),
            "EndpointSlice" => network.take_slice(serde_json::from_value(object).unwrap()),
            "Node" => network.take_node(serde_json::from_value(object).unwrap()),
            "Pod" => network.take_pod(serde_json::from_value(object).unwrap()),
            _ => network.holdings.push(serde_json::from_value(object).unwrap()),
        }
    }
    network
}

fn networks() -> [IpNet; 1] {
    ["10.244.0.0/16".parse().unwrap()]
}

fn ends(peers: Peers<'_>, at: &str) -> Vec<End> {
    peers.peer(at.parse().unwrap()).unwrap().ends.iter().cloned().collect()
}

fn by(data: &[&str], enforcing: bool) -> End {
    let data = data.iter().map(|category| category.parse().unwrap()).collect();
    End::Pod([Cover { holding: "cameras/faces".into(), data, standards: ["kz".to_owned()].into(), enforcing }].into())
}

#[test]
fn a_pod_is_told_with_the_holdings_that_cover_it_what_it_may_be_sent_and_whether_it_enforces() {
    let objects = vec![
        holding("late", "Starting"),
        covered("old", "10.244.0.1", "2026-06-01T09:00:00Z"),
        covered("new", "10.244.0.2", "2026-06-01T11:00:00Z"),
        covered("late", "10.244.0.3", "2026-06-01T11:00:00Z"),
        bare("claimed", "10.244.0.4", "web"),
        bare("free", "10.244.0.5", "other"),
    ];
    let (network, networks) = (network(objects), networks());
    let peers = Peers::new(&network, &networks);
    assert_eq!(ends(peers, "10.244.0.1:80"), [by(&["biometric.face", "biometric.iris"], true)]);
    assert_eq!(ends(peers, "10.244.0.2:80"), [by(&["biometric.face"], true)], "it never had what was taken away before");
    assert_eq!(ends(peers, "10.244.0.3:80"), [by(&["biometric.face"], false)]);
    assert_eq!(ends(peers, "10.244.0.4:80"), [by(&["biometric.face", "biometric.iris"], false)], "it has no sidecar");
    assert_eq!(ends(peers, "10.244.0.5:80"), [End::Pod([].into())]);
    assert_eq!(ends(peers, "10.244.0.9:80"), [End::Unknown]);
    assert!(peers.doubts("10.244.0.3:80".parse().unwrap()).is_empty());
}

#[test]
fn what_nobody_says_of_a_pod_speaks_against_a_flow_and_for_it_where_that_is_asked() {
    let objects = vec![holding("web", "Outdated"), covered("web", "10.244.0.1", "2026-06-01T11:00:00Z")];
    let (network, networks) = (network(objects), networks());
    let peers = Peers::new(&network, &networks);
    assert_eq!(ends(peers, "10.244.0.1:80"), [by(&["biometric.face"], false)]);
    assert_eq!(ends(peers.kindly(&BTreeSet::new()), "10.244.0.1:80"), [by(&["biometric.face"], true)]);
    let doubt = "whether cameras/web enforces cameras/faces is not said by the status of the holding: it says Outdated";
    assert_eq!(peers.doubts("10.244.0.1:80".parse().unwrap()), [doubt]);
}

#[test]
fn a_service_leads_to_its_endpoints_wherever_they_are_and_takes_its_external_address() {
    let node = json!({"kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.244.9.9"}]}});
    let mut objects = vec![node, bare("free", "10.244.0.5", "other")];
    objects.extend(service("web", "10.244.5.1", &["10.244.0.5", "192.0.2.1", "10.244.9.9", "10.244.0.77"]));
    let (network, networks) = (network(objects), networks());
    let peers = Peers::new(&network, &networks);
    let everybody = [End::Pod([].into()), End::Node, End::Outside("192.0.2.1:8080".parse().unwrap()), End::Unknown];
    assert_eq!(ends(peers, "10.244.5.1:80"), everybody);
    assert_eq!(ends(peers, "203.0.113.7:80"), everybody);
    assert_eq!(ends(peers, "10.244.5.1:81"), [End::Unknown], "a port that the Service does not have");
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    assert!(
        peers.captures(address("203.0.113.7")) && peers.captures(address("10.244.9.9")) && !peers.captures(address("192.0.2.1"))
    );
    assert_eq!(peers.ends("10.244.5.1:80".parse().unwrap()).len(), 4);
}

#[test]
fn nobody_is_told_where_something_was_not_read_and_the_doubt_says_what() {
    let mut network = network(vec![bare("free", "10.244.0.5", "other")]);
    network.unread(Unread::There, "you may not list pods".into());
    let networks = networks();
    let peers = Peers::new(&network, &networks);
    let at = "10.244.0.5:80".parse().unwrap();
    assert_eq!((peers.peer(at), peers.kindly(&BTreeSet::new()).peer(at)), (None, None));
    assert_eq!(peers.doubts(at), ["who is at 10.244.0.5:80 is not known: you may not list pods"]);
    assert_eq!(network.taken_unread().count(), 0, "which addresses the cluster takes is known");
}
