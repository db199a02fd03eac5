//! Each rule (CEL) of the API is seen to refuse, without a cluster.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::definitions;
use crate::{DataHolding, Recipient, SovereigntyStandard};

/// A sound object of a kind.
fn sound(kind: &str) -> Value {
    let spec = match kind {
        "DataHolding" => json!({
            "title": "Street video", "controller": {"name": "Akimat", "country": "KZ"},
            "workloadSelector": {"matchLabels": {"app": "recognizer"}}, "data": [{"category": "biometric.face"}],
            "transfers": [{"recipient": "clinic", "data": ["biometric.face"]}],
            "clients": [{"network": "192.0.2.0/24", "country": "KZ", "data": ["biometric.face"]}],
            "clusterAPI": {"allow": true, "reason": "leader election"},
            "certificates": [{"scheme": "s", "number": "1", "issuer": "i", "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2027-01-01T00:00:00Z"}],
            "enforcement": {"mode": "Observe", "observeUntil": "2026-06-01T00:00:00Z"}
        }),
        "Recipient" => json!({
            "legalName": "Clinic", "country": "KZ", "role": "Processor",
            "endpoints": [
                {"host": "api.clinic.example.kz", "ports": [443], "protocol": "TLS"},
                {"network": "2001:db8::/64", "ports": [123], "protocol": "UDP"}
            ],
            "permits": [{"data": ["biometric.face"], "ground": "Contract", "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2027-01-01T00:00:00Z"}]
        }),
        _ => json!({
            "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"namespaceSelector": {}, "data": ["biometric.*"]},
            "homeCountries": ["KZ"], "networks": [{"cidr": "10.40.0.0/16", "country": "KZ"}, {"cidr": "2001:db8::/32", "country": "KZ"}],
            "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Law"]}],
            "inbound": {"mode": "Listed", "from": [
                {"name": "ingress", "pods": {"namespace": "ingress", "podSelector": {"matchLabels": {"app": "ingress"}}}},
                {"name": "balancer", "networks": ["10.50.0.0/24", "2001:db8::/64"], "ports": [443]}
            ]},
            "access": {"mode": "Listed", "groups": ["on-call"], "serviceAccounts": ["backup/agent"]},
            "storage": {"mode": "Listed", "drivers": [{"name": "rancher.io/local-path", "country": "KZ"}]},
            "logs": {"mode": "Reported", "collectors": [{"pods": {"namespace": "logging"}, "country": "KZ"}]},
            "emptyTransfers": {"home": "Allowed", "abroad": "Bounded"}, "maxEmptyOutPerDay": "50Mi",
            "egressVia": [{"network": "10.20.0.5/32", "ports": [3128]}]
        }),
    };
    json!({"apiVersion": "shekara.dev/v1alpha1", "kind": kind, "metadata": {"name": "sound"}, "spec": spec})
}

/// Every rule by its message, with edits that break it: the kind, the field, its value.
fn broken() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let endpoint = |fields: Value| {
        let mut endpoint = json!({"ports": [1], "protocol": "TCP"});
        endpoint.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        endpoint
    };
    let either = "neither or both of host and network are given, and an endpoint has one of them";
    let network = "network is not a CIDR, as in 192.0.2.0/24";
    let cidr = "cidr is not a CIDR, as in 10.40.0.0/16";
    let order = "validUntil is not after validFrom";
    let until = "observeUntil is given exactly where mode is Observe";
    let bound = "emptyTransfers are Bounded and maxEmptyOutPerDay does not say by what";
    vec![
        (until, "DataHolding", "/spec/enforcement", json!({"mode": "Observe"})),
        (until, "DataHolding", "/spec/enforcement", json!({"mode": "Enforce", "observeUntil": "2026-06-01T00:00:00Z"})),
        (until, "DataHolding", "/spec/enforcement", json!({"observeUntil": "2026-06-01T00:00:00Z"})),
        ("clusterAPI is allowed without a reason", "DataHolding", "/spec/clusterAPI", json!({"allow": true})),
        (
            "the certificate's validUntil is not after its validFrom",
            "DataHolding",
            "/spec/certificates/0/validFrom",
            json!("2027-01-01T00:00:00Z"),
        ),
        (bound, "SovereigntyStandard", "/spec/maxEmptyOutPerDay", Value::Null),
        ("workloadSelector names no label", "DataHolding", "/spec/workloadSelector", json!({})),
        (
            "workloadSelector names no label",
            "DataHolding",
            "/spec/workloadSelector",
            json!({"matchLabels": {}, "matchExpressions": []}),
        ),
        (either, "Recipient", "/spec/endpoints/0", endpoint(json!({}))),
        (either, "Recipient", "/spec/endpoints/0", endpoint(json!({"host": "a.kz", "network": "192.0.2.0/24"}))),
        (network, "Recipient", "/spec/endpoints/0", endpoint(json!({"network": "192.0.2.0/33"}))),
        (network, "Recipient", "/spec/endpoints/0", endpoint(json!({"network": "a.kz"}))),
        (
            "a UDP endpoint is listed by host, and a datagram names none: list its network",
            "Recipient",
            "/spec/endpoints/0",
            endpoint(json!({"host": "a.kz", "protocol": "UDP"})),
        ),
        (order, "Recipient", "/spec/permits/0/validFrom", json!("2028-01-01T00:00:00Z")),
        (order, "Recipient", "/spec/permits/0/validFrom", json!("2027-01-01T00:00:00Z")),
        ("the client's network is not a CIDR, as in 192.0.2.0/24", "DataHolding", "/spec/clients/0/network", json!("192.0.2.0")),
        (
            "sources are listed under from, and mode is Open: whoever connects passes",
            "SovereigntyStandard",
            "/spec/inbound/mode",
            json!("Open"),
        ),
        ("a source names neither pods nor networks", "SovereigntyStandard", "/spec/inbound/from/1", json!({"name": "balancer"})),
        (
            "a network of the source is not a CIDR, as in 10.0.0.0/16",
            "SovereigntyStandard",
            "/spec/inbound/from/1/networks/1",
            json!("balancer"),
        ),
        (
            "groups or service accounts are listed, and mode is Open: whoever has the right passes",
            "SovereigntyStandard",
            "/spec/access/mode",
            json!("Open"),
        ),
        (
            "a service account is written as namespace/name",
            "SovereigntyStandard",
            "/spec/access/serviceAccounts/0",
            json!("system:serviceaccount:backup:agent"),
        ),
        (
            "drivers are listed, and mode is Open: volumes of every driver pass",
            "SovereigntyStandard",
            "/spec/storage/mode",
            json!("Open"),
        ),
        (
            "collectors are listed, and mode is Open: nobody looks for them",
            "SovereigntyStandard",
            "/spec/logs/mode",
            json!("Open"),
        ),
        (cidr, "SovereigntyStandard", "/spec/networks/0/cidr", json!("10.40.0.0")),
        (cidr, "SovereigntyStandard", "/spec/networks/0/cidr", json!("2001:db8::/129")),
        (
            "network is not a CIDR, as in 10.20.0.5/32",
            "SovereigntyStandard",
            "/spec/egressVia/0/network",
            json!("proxy.example.kz"),
        ),
    ]
}

/// What the rules say of an object.
fn violations(object: Value) -> String {
    let result = match object["kind"].as_str().unwrap() {
        "DataHolding" => serde_json::from_value::<DataHolding>(object).unwrap().validate_cel(),
        "Recipient" => serde_json::from_value::<Recipient>(object).unwrap().validate_cel(),
        _ => serde_json::from_value::<SovereigntyStandard>(object).unwrap().validate_cel(),
    };
    result.err().map(|errors| format!("{errors:?}")).unwrap_or_default()
}

#[test]
fn sound_objects_break_no_rule() {
    for kind in ["DataHolding", "Recipient", "SovereigntyStandard"] {
        assert_eq!(violations(sound(kind)), "", "{kind}");
    }
}

#[test]
fn each_edit_breaks_its_rule() {
    for (message, kind, pointer, value) in broken() {
        let mut object = sound(kind);
        match object.pointer_mut(pointer) {
            Some(field) => *field = value.clone(),
            None => panic!("{kind} has no {pointer}"),
        }
        let said = violations(object);
        assert!(said.contains(message), "{kind} {pointer} = {value}: {said}");
    }
}

#[test]
fn no_rule_is_without_an_edit_that_breaks_it() {
    fn messages(schema: &Value, found: &mut BTreeSet<String>) {
        let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
        found.extend(rules.into_iter().flatten().map(|rule| rule["message"].as_str().unwrap().to_owned()));
        let parts = schema.as_object().into_iter().flatten().map(|(_, part)| part).chain(schema.as_array().into_iter().flatten());
        parts.for_each(|part| messages(part, found));
    }
    let mut rules = BTreeSet::new();
    definitions().iter().for_each(|definition| messages(&serde_json::to_value(definition).unwrap(), &mut rules));
    assert_eq!(rules, broken().into_iter().map(|(message, ..)| message.to_owned()).collect());
}
