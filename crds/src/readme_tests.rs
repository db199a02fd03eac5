//! The first holding of README.md, as a stranger copies it, is sound and opens its route.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shekara_policy::document::Cluster;

use crate::{DataHolding, Recipient, SovereigntyStandard, Surroundings, compile};

const README: &str = include_str!("../../README.md");

/// The object of a kind, which has nothing that the kind does not know.
fn object<K: DeserializeOwned + Serialize>(kind: &str) -> K {
    let manifests = README.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let text = manifests.split("---\n").find(|text| text.contains(&format!("kind: {kind}\n"))).unwrap();
    let said: Value = serde_saphyr::from_str(text).unwrap();
    let object: K = serde_json::from_value(said.clone()).unwrap();
    let read = serde_json::to_value(&object).unwrap();
    let lost = unknown("", &said, &read);
    assert!(lost.is_empty(), "{kind} has no {lost:?}");
    object
}

/// The fields that were said and not read.
fn unknown(path: &str, said: &Value, read: &Value) -> Vec<String> {
    match (said, read) {
        (Value::Object(said), Value::Object(read)) => said
            .iter()
            .flat_map(|(name, value)| match read.get(name) {
                Some(found) => unknown(&format!("{path}.{name}"), value, found),
                // an empty selector selects everything, said or not
                None if value.as_object().is_some_and(serde_json::Map::is_empty) => vec![],
                None => vec![format!("{path}.{name}")],
            })
            .collect(),
        (Value::Array(said), Value::Array(read)) => said
            .iter()
            .zip(read)
            .enumerate()
            .flat_map(|(index, (said, read))| unknown(&format!("{path}[{index}]"), said, read))
            .collect(),
        _ => vec![],
    }
}

#[test]
fn the_first_holding_is_sound_and_opens_its_route() {
    let standard: SovereigntyStandard = object("SovereigntyStandard");
    let recipient: Recipient = object("Recipient");
    let holding: DataHolding = object("DataHolding");
    standard.validate_cel().unwrap();
    recipient.validate_cel().unwrap();
    holding.validate_cel().unwrap();

    let recipients = BTreeMap::from([("clinic".to_owned(), recipient)]);
    let cluster = Cluster { networks: vec![], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
    let surroundings = Surroundings {
        standards: &[standard],
        recipients: &recipients,
        namespace_labels: &BTreeMap::new(),
        services: &[],
        cluster: &cluster,
        now: "2027-01-01T00:00:00Z".parse().unwrap(),
    };
    let compiled = compile(&holding, surroundings);
    assert_eq!(compiled.problems, []);
    assert_eq!(compiled.document.routes[0].barred, None);
}
