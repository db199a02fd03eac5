//! The standards that come with the chart can be read, are sound, and differ where they say that they do.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shekara_policy::document::Cluster;
use shekara_policy::geo::CountrySource;
use shekara_policy::{Address, Country, Flow, Protocol, Reason};

use crate::compile::standard_problems;
use crate::{DataHolding, Recipient, SovereigntyStandard, Surroundings, simulate};

const PRESETS: [(&str, &str); 4] = [
    ("kz-request-2025", include_str!("../../charts/shekara/files/standards/kz-request-2025.yaml")),
    ("kz-law", include_str!("../../charts/shekara/files/standards/kz-law.yaml")),
    ("eu-gdpr", include_str!("../../charts/shekara/files/standards/eu-gdpr.yaml")),
    ("cn-auto", include_str!("../../charts/shekara/files/standards/cn-auto.yaml")),
];

fn preset(name: &str) -> SovereigntyStandard {
    let text = PRESETS.iter().find(|(preset, _)| *preset == name).unwrap().1;
    let spec: Value = serde_saphyr::from_str(text).unwrap();
    let object =
        json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": name}, "spec": spec});
    let standard: SovereigntyStandard = serde_json::from_value(object.clone()).unwrap();
    let read = serde_json::to_value(&standard).unwrap();
    for (field, value) in spec.as_object().unwrap() {
        if field != "appliesTo" {
            assert_eq!(&drop_defaults(&read["spec"][field], value), value, "{name}: {field}");
        }
    }
    standard
}

/// What was read, without the defaults that were not said.
fn drop_defaults(read: &Value, said: &Value) -> Value {
    match (read, said) {
        (Value::Object(read), Value::Object(said)) => said
            .iter()
            .map(|(name, value)| (name.clone(), drop_defaults(read.get(name).unwrap_or(&Value::Null), value)))
            .collect(),
        (Value::Array(read), Value::Array(said)) => read.iter().zip(said).map(|(read, said)| drop_defaults(read, said)).collect(),
        // what is false and what is absent is the same
        (Value::Null, Value::Bool(false)) => Value::Bool(false),
        _ => read.clone(),
    }
}

struct World;

impl CountrySource for World {
    fn countries(&self, address: std::net::IpAddr) -> Vec<Country> {
        let country = match address.to_string().as_str() {
            "192.0.2.1" => "KZ",
            "198.51.100.1" => "DE",
            "203.0.113.1" => "CN",
            _ => "ZZ",
        };
        vec![country.parse().unwrap()]
    }
}

/// What a preset says of a flow to a party, by its country, the ground of its permit, and what the route carries.
fn says(preset_name: &str, country: &str, ground: &str, data: Value) -> Option<Reason> {
    let address = match country {
        "KZ" => "192.0.2.1",
        "DE" => "198.51.100.1",
        _ => "203.0.113.1",
    };
    let holding: DataHolding = serde_json::from_value(json!({
        "metadata": {"name": "h", "namespace": "n"},
        "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"a": "b"}},
            "data": [{"category": "biometric.face"}, {"category": "vehicle.location"}],
            "transfers": [{"recipient": "r", "data": data, "approval": {"by": "b", "document": "1", "date": "2026-11-20"}}]}
    }))
    .unwrap();
    let recipient: Recipient = serde_json::from_value(json!({
        "metadata": {"name": "r"},
        "spec": {"legalName": "R", "country": country, "role": "Processor",
            "endpoints": [{"network": format!("{address}/32"), "ports": [443], "protocol": "TLS"}],
            "permits": [{"data": ["biometric.face", "vehicle.location"], "ground": ground}]}
    }))
    .unwrap();
    let standards = [preset(preset_name)];
    let around = Surroundings {
        standards: &standards,
        recipients: &BTreeMap::from([("r".to_owned(), recipient)]),
        namespace_labels: &BTreeMap::new(),
        services: &[],
        cluster: &Cluster { networks: vec![], domain: "cluster.local".parse().unwrap(), resolvers: vec![] },
        now: "2026-11-25T00:00:00Z".parse().unwrap(),
    };
    let tls = Some(shekara_policy::flow::TlsVersion::V13);
    let address = Some(Address::new(address.parse().unwrap()));
    let flow = Flow { protocol: Protocol::Tls, name: None, address, port: 443, tls, ech: false, via: None };
    simulate(&[holding], around, &World, &flow).verdict.reason()
}

#[test]
fn every_preset_is_sound() {
    for (name, _) in PRESETS {
        let standard = preset(name);
        standard.validate_cel().unwrap();
        assert_eq!(standard_problems(&standard), [], "{name}");
    }
}

#[test]
fn they_say_what_they_are_for() {
    let (face, place, nothing) = (json!(["biometric.face"]), json!(["vehicle.location"]), json!([]));
    // at home, on a ground
    assert_eq!(says("kz-request-2025", "KZ", "Contract", face.clone()), None);
    assert_eq!(says("kz-request-2025", "KZ", "Consent", face.clone()), Some(Reason::GroundNotAllowed));
    assert_eq!(says("kz-law", "KZ", "Consent", face.clone()), None);
    assert_eq!(says("eu-gdpr", "DE", "Contract", face.clone()), None);
    assert_eq!(says("cn-auto", "CN", "Contract", place.clone()), None);
    // abroad: data nowhere, and what carries none by each preset's word
    for (name, abroad) in [("kz-request-2025", "DE"), ("kz-law", "DE"), ("eu-gdpr", "CN"), ("cn-auto", "DE")] {
        assert_eq!(says(name, abroad, "Law", place.clone()), Some(Reason::CrossBorder), "{name}");
    }
    assert_eq!(says("kz-request-2025", "DE", "Law", nothing.clone()), Some(Reason::EmptyTransferDenied));
    assert_eq!(says("cn-auto", "DE", "Law", nothing.clone()), Some(Reason::EmptyTransferDenied));
    assert_eq!(says("kz-law", "DE", "Law", nothing.clone()), None);
    assert_eq!(says("eu-gdpr", "CN", "Law", nothing), None);
}
