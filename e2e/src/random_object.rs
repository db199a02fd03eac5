//! Objects that nobody would write: random, and valid as far as a schema without its CEL rules can tell.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use proptest::prelude::{BoxedStrategy, Just, Strategy as _, any};
use proptest::strategy::{Union, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{collection, option, string};
use serde_json::{Map, Value, json};

/// The most entries of a list or map, so that objects stay small enough for many of them to be tried.
const ENTRIES: usize = 3;

/// How often a field is there that need not be: the more there are, the more likely a rule in CEL refuses the object.
const PRESENT: f64 = 0.15;

/// The longest text, but for those whose bound is tried.
const TEXT: u64 = 24;

/// Texts that mean something in one field or another, so that objects get behind the first check.
const MEANINGFUL: [&str; 14] = [
    "KZ",
    "DE",
    "ZZ",
    "clinic",
    "clinic.example.kz",
    "*.example.kz",
    "192.0.2.0/24",
    "192.0.2.1/24",
    "2001:db8::/32",
    "::ffff:192.0.2.0/120",
    "10Mi",
    "24h",
    "cameras/*",
    "2026-11-26T00:00:00Z",
];

/// Makes specs of one kind, the same for the same seed.
pub struct Specs {
    runner: TestRunner,
    strategy: BoxedStrategy<Value>,
}

impl Specs {
    /// Of the kind that a definition defines.
    ///
    /// # Errors
    /// When the definition has no schema of a spec, or one with a pattern that is none.
    pub fn of(definition: &CustomResourceDefinition, seed: u8) -> Result<Self> {
        let schema = definition.spec.versions.iter().find_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
        let spec = schema.and_then(|schema| schema.properties.as_ref()?.get("spec")).context("there is no schema of a spec")?;
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        Ok(Self { runner: TestRunner::new_with_rng(Config::default(), rng), strategy: value(spec)? })
    }

    /// The next spec.
    ///
    /// # Errors
    /// When none can be made, as of a list that must have more different entries than there are.
    pub fn next_spec(&mut self) -> Result<Value> {
        let tree = self.strategy.new_tree(&mut self.runner).map_err(|problem| anyhow!("no spec can be made: {problem}"))?;
        Ok(tree.current())
    }
}

fn value(schema: &JSONSchemaProps) -> Result<BoxedStrategy<Value>> {
    if let Some(values) = &schema.enum_ {
        let values: Vec<Value> = values.iter().map(|value| value.0.clone()).collect();
        return Ok(proptest::sample::select(values).boxed());
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        return Ok(Union::new([(0..1000_i64).prop_map(|number| json!(number)).boxed(), text(schema)?]).boxed());
    }
    match schema.type_.as_deref() {
        Some("object") => object(schema),
        Some("array") => array(schema),
        Some("string") => text(schema),
        Some("integer") => Ok(integer(schema)),
        Some("number") => Ok((0..1_000_000_i32).prop_map(|number| json!(f64::from(number) / 1000.0)).boxed()),
        Some("boolean") => Ok(any::<bool>().prop_map(|is| json!(is)).boxed()),
        other => Err(anyhow!("{other:?} is not a type of a structural schema")),
    }
}

/// Every required field, and each of the others or not.
fn object(schema: &JSONSchemaProps) -> Result<BoxedStrategy<Value>> {
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        let entries = collection::btree_map("[a-z]{1,8}", value(values)?, 0..=ENTRIES);
        return Ok(entries.prop_map(|entries: BTreeMap<String, Value>| json!(entries)).boxed());
    }
    let required: BTreeSet<&String> = schema.required.iter().flatten().collect();
    let mut fields = Vec::new();
    for (name, field) in schema.properties.iter().flatten() {
        let value = value(field)?;
        let value = if required.contains(name) { value.prop_map(Some).boxed() } else { option::weighted(PRESENT, value).boxed() };
        fields.push((Just(name.clone()), value));
    }
    let object = |fields: Vec<(String, Option<Value>)>| {
        Value::Object(fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect::<Map<_, _>>())
    };
    Ok(fields.prop_map(object).boxed())
}

fn array(schema: &JSONSchemaProps) -> Result<BoxedStrategy<Value>> {
    let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items else { return Err(anyhow!("a list of nothing")) };
    let least = usize::try_from(schema.min_items.unwrap_or(0))?;
    let most = schema.max_items.map_or(ENTRIES, |most| usize::try_from(most).unwrap_or(ENTRIES)).min(least.max(ENTRIES));
    let each_once = schema.x_kubernetes_list_type.as_deref().is_some_and(|kind| kind != "atomic");
    let keys = schema.x_kubernetes_list_map_keys.clone().unwrap_or_default();
    let list = move |mut entries: Vec<Value>| {
        if each_once {
            let mut seen = BTreeSet::new();
            entries.retain(|entry| {
                let fields: Vec<String> =
                    keys.iter().map(|key| entry.get(key).map(ToString::to_string).unwrap_or_default()).collect();
                seen.insert(if fields.is_empty() { vec![entry.to_string()] } else { fields })
            });
        }
        Value::Array(entries)
    };
    Ok(collection::vec(value(items)?, least..=most).prop_map(list).boxed())
}

fn text(schema: &JSONSchemaProps) -> Result<BoxedStrategy<Value>> {
    if schema.format.as_deref() == Some("date-time") {
        let instants = (-4_000_000_000..8_000_000_000_i64).prop_map(|second| {
            jiff::Timestamp::from_second(second)
                .map_or_else(|_| json!("2026-11-26T00:00:00Z"), |instant| json!(instant.to_string()))
        });
        return Ok(instants.boxed());
    }
    if let Some(pattern) = &schema.pattern {
        let bare = pattern.trim_start_matches('^').trim_end_matches('$');
        let matching = string::string_regex(bare).with_context(|| format!("{pattern:?} is not a pattern"))?;
        return Ok(matching.prop_map(|text| json!(text)).boxed());
    }
    let (least, most) = (schema.min_length.unwrap_or(0), schema.max_length.unwrap_or(i64::MAX));
    let fits = move |text: &str| i64::try_from(text.chars().count()).is_ok_and(|length| (least..=most).contains(&length));
    let meaningful: Vec<Value> = MEANINGFUL.iter().filter(|text| fits(text)).map(|text| json!(text)).collect();
    let (least, most) = (u64::try_from(least)?, u64::try_from(most)?);
    let any_text = string::string_regex(&format!("[\\PC]{{{least},{}}}", most.min(least.max(TEXT))))?;
    let mut texts = vec![any_text.prop_map(|text| json!(text)).boxed()];
    if !meaningful.is_empty() {
        texts.push(proptest::sample::select(meaningful).boxed());
    }
    Ok(Union::new(texts).boxed())
}

fn integer(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    let bound = |bound: Option<f64>, otherwise: i64| {
        #[allow(clippy::cast_possible_truncation, reason = "bounds are whole numbers that a f64 holds")]
        bound.map_or(otherwise, |bound| bound as i64)
    };
    let widest = if schema.format.as_deref() == Some("int32") { i64::from(i32::MAX) } else { i64::MAX / 2 };
    let (least, most) = (bound(schema.minimum, -widest), bound(schema.maximum, widest));
    (least..=most).prop_map(|number| json!(number)).boxed()
}

#[cfg(test)]
mod tests {
    use shekara_crds::definitions::definitions;

    use super::*;

    #[test]
    fn every_kind_has_specs_that_are_the_same_for_the_same_seed_and_decode() {
        for definition in definitions() {
            let (mut one, mut other) = (Specs::of(&definition, 1).unwrap(), Specs::of(&definition, 1).unwrap());
            let specs: Vec<Value> = (0..50).map(|_| one.next_spec().unwrap()).collect();
            assert_eq!(specs[0], other.next_spec().unwrap());
            assert_ne!(specs[0], specs[1]);
            for spec in &specs {
                let object = json!({"metadata": {"name": "a"}, "spec": spec});
                let decoded = match definition.spec.names.kind.as_str() {
                    "DataHolding" => serde_json::from_value::<shekara_crds::DataHolding>(object).map(drop),
                    "Recipient" => serde_json::from_value::<shekara_crds::Recipient>(object).map(drop),
                    _ => serde_json::from_value::<shekara_crds::SovereigntyStandard>(object).map(drop),
                };
                assert!(decoded.is_ok(), "{}: {decoded:?}: {spec}", definition.spec.names.kind);
            }
        }
    }
}
