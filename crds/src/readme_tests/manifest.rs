//! The manifests in a document, read as the API server reads them: nothing that the kind does not know, nothing out of bounds.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::definitions::definitions;

/// The YAML of a document, in its order.
pub(super) fn manifests(document: &str) -> Vec<Value> {
    let blocks = document.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let read = |block| -> Vec<Value> { serde_saphyr::from_multiple(block).unwrap() };
    blocks.flat_map(read).collect()
}

/// The object of a manifest.
pub(super) fn object<K: DeserializeOwned + Serialize>(said: &Value) -> K {
    let object: K = serde_json::from_value(said.clone()).unwrap_or_else(|error| panic!("{error}: {said}"));
    let lost = unknown("", said, &serde_json::to_value(&object).unwrap());
    assert!(lost.is_empty(), "there is no {lost:?} in {said}");
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

/// The fields of one of our objects that are longer, shorter, more or fewer than the schema lets them be.
pub(super) fn out_of_bounds(said: &Value) -> Vec<String> {
    let is_it = |definition: &Value| definition["spec"]["names"]["kind"] == said["kind"];
    let definition = definitions().into_iter().map(|definition| serde_json::to_value(definition).unwrap()).find(is_it).unwrap();
    beyond("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], said)
}

fn beyond(path: &str, schema: &Value, said: &Value) -> Vec<String> {
    let count = |count: usize| f64::from(u32::try_from(count).unwrap());
    let (size, least, most) = match said {
        Value::String(text) => (count(text.chars().count()), "minLength", "maxLength"),
        Value::Array(list) => (count(list.len()), "minItems", "maxItems"),
        Value::Object(fields) => (count(fields.len()), "minProperties", "maxProperties"),
        Value::Number(number) => (number.as_f64().unwrap(), "minimum", "maximum"),
        Value::Null | Value::Bool(_) => return vec![],
    };
    let outside =
        schema[least].as_f64().is_some_and(|least| size < least) || schema[most].as_f64().is_some_and(|most| size > most);
    let parts: Vec<String> = match said {
        Value::Object(fields) => {
            let of = |name: &str| schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            fields.iter().flat_map(|(name, value)| beyond(&format!("{path}.{name}"), of(name), value)).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| beyond(&format!("{path}[]"), &schema["items"], value)).collect(),
        _ => vec![],
    };
    outside.then(|| path.to_owned()).into_iter().chain(parts).collect()
}

/// The values of the chart that a text gives and the chart's own file does not have.
pub(super) fn unknown_values(path: &str, given: &Value, known: &Value) -> Vec<String> {
    match (given, known) {
        // what the chart leaves empty takes whatever Kubernetes does
        (_, Value::Object(known)) if known.is_empty() => vec![],
        (Value::Object(given), Value::Object(known)) => given
            .iter()
            .flat_map(|(name, value)| match known.get(name) {
                Some(known) => unknown_values(&format!("{path}.{name}"), value, known),
                None => vec![format!("{path}.{name}")],
            })
            .collect(),
        (Value::Object(_), _) | (_, Value::Object(_)) => vec![path.to_owned()],
        _ => vec![],
    }
}
