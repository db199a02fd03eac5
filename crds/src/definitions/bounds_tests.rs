//! Every field of the API says what it means and how large it may grow.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::definitions;

/// The schemas, each under its kind.
fn schemas() -> Vec<(String, Value)> {
    let schema = |definition: &Value| definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone();
    let definitions = definitions().into_iter().map(|definition| serde_json::to_value(definition).unwrap());
    definitions
        .map(|definition| (definition["spec"]["names"]["kind"].as_str().unwrap().to_owned(), schema(&definition)))
        .collect()
}

/// The faults of a schema and of all below it.
fn faults(path: &str, schema: &Value) -> BTreeSet<String> {
    let has = |field: &str| schema.get(field).is_some();
    let mut found = BTreeSet::new();
    let mut fault = |absent: bool, what: &str| {
        if absent {
            found.insert(format!("{path}: {what}"));
        }
    };
    match schema["type"].as_str().unwrap_or_default() {
        "string" => fault(!has("maxLength") && !has("enum"), "a string without maxLength or enum"),
        "array" => fault(!has("maxItems"), "an array without maxItems"),
        "integer" => fault(!has("minimum"), "an integer without minimum"),
        "object" => fault(has("additionalProperties") && !has("maxProperties"), "a map without maxProperties"),
        "boolean" => {}
        other => fault(true, &format!("type {other:?}")),
    }
    fault(has("nullable"), "nullable: absent is the one way to say nothing");
    fault(has("x-kubernetes-preserve-unknown-fields"), "unknown fields are kept");
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let described = property["description"].as_str().is_some_and(|text| text.ends_with('.') || text.contains("\n- "));
        if !described {
            found.insert(format!("{path}: no description that ends with a full stop"));
        }
        found.extend(faults(&path, property));
    }
    for (suffix, part) in [("[]", "items"), ("{}", "additionalProperties")] {
        if let Some(part) = schema.get(part) {
            found.extend(faults(&format!("{path}{suffix}"), part));
        }
    }
    found
}

#[test]
fn every_field_is_described_and_bounded() {
    let found: BTreeSet<String> = schemas().iter().flat_map(|(kind, schema)| faults(kind, schema)).collect();
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn the_walk_finds_what_it_is_for() {
    let schema = json!({"type": "object", "properties": {
        "bare": {"type": "string"}, "list": {"type": "array", "description": "A list.", "items": {"type": "string"}},
        "map": {"type": "object", "description": "A map.", "additionalProperties": {"type": "integer"}},
        "any": {"description": "Anything."}, "null": {"type": "boolean", "nullable": true, "description": "A null."}
    }});
    let found: Vec<String> = faults("K", &schema).into_iter().collect();
    let expected = [
        "K.any: type \"\"",
        "K.bare: a string without maxLength or enum",
        "K.bare: no description that ends with a full stop",
        "K.list: an array without maxItems",
        "K.list[]: a string without maxLength or enum",
        "K.map: a map without maxProperties",
        "K.map{}: an integer without minimum",
        "K.null: nullable: absent is the one way to say nothing",
    ];
    assert_eq!(found, expected);
}

/// What `kubectl get` is promised: names that do not change.
#[test]
fn every_kind_has_its_short_name_category_and_columns() {
    let expected = [
        ("DataHolding", "dh", "READY MODE COVERED DENIED EXPIRES AGE DECLARED STANDARD POLICY"),
        ("Recipient", "rcpt", "LEGAL NAME COUNTRY ROLE ACCEPTED AGE"),
        ("SovereigntyStandard", "sstd", "TITLE AUTHORITY ACCEPTED AGE"),
    ];
    let found: Vec<(String, String, String)> = definitions()
        .into_iter()
        .map(|definition| {
            let spec = definition.spec;
            assert_eq!(spec.names.categories, Some(vec!["shekara".to_owned()]));
            assert!(spec.versions[0].subresources.as_ref().is_some_and(|resources| resources.status.is_some()));
            let columns = spec.versions[0].additional_printer_columns.iter().flatten().map(|column| column.name.clone());
            (spec.names.kind, spec.names.short_names.unwrap_or_default().join(" "), columns.collect::<Vec<_>>().join(" "))
        })
        .collect();
    assert_eq!(found, expected.map(|(kind, short, columns)| (kind.to_owned(), short.to_owned(), columns.to_owned())));
}

/// A column that points at nothing prints nothing, for ever and unnoticed.
#[test]
fn every_column_points_at_a_field() {
    for (definition, (kind, schema)) in definitions().into_iter().zip(schemas()) {
        for column in definition.spec.versions[0].additional_printer_columns.iter().flatten() {
            if column.json_path.starts_with(".metadata.") {
                continue;
            }
            let path = ["Ready", "Accepted", "DeclarationComplete"]
                .iter()
                .fold(column.json_path.clone(), |path, type_| path.replace(&format!("[?(@.type=='{type_}')]"), "[]"));
            let field = path.trim_start_matches('.').split('.').try_fold(&schema, |schema, name| {
                let (name, list) = name.strip_suffix("[]").map_or((name, false), |name| (name, true));
                let property = schema["properties"].get(name)?;
                if list { property.get("items") } else { Some(property) }
            });
            assert!(field.is_some(), "{kind}: column {} points at {}", column.name, column.json_path);
        }
    }
}
