//! `docs/reference/`: every field of every kind with its type, its bounds and its meaning, and every reason code.

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use shekara_policy::{Category, Reason};

pub(crate) const HEADER: &str = "<!-- Made from the types in crds/src and policy/src by `make generate`; not to be edited. -->\n";

/// The name of a kind's page.
pub(crate) fn file(definition: &CustomResourceDefinition) -> String {
    format!("{}.md", definition.spec.names.kind.to_lowercase())
}

/// The page of a kind.
pub(crate) fn kind(definition: &CustomResourceDefinition) -> Result<String> {
    let names = &definition.spec.names;
    let version = definition.spec.versions.first().context("a kind without a version")?;
    let schema =
        version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()).context("a kind without a schema")?;
    let short = names.short_names.iter().flatten().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let columns = version.additional_printer_columns.iter().flatten();
    let columns: String = columns
        .map(|column| {
            let wide = if column.priority == Some(1) { " (with `-o wide`)" } else { "" };
            format!("| {}{wide} | `{}` |\n", column.name, column.json_path)
        })
        .collect();
    let mut page = format!(
        "{HEADER}# {}\n\n{}\n\n`apiVersion: {}/{}`, {}; short name {short}, category `shekara`.\n\n## Columns of `kubectl get`\n\n| column | field |\n|---|---|\n{columns}",
        names.kind,
        schema.description.as_deref().unwrap_or_default(),
        definition.spec.group,
        version.name,
        if definition.spec.scope == "Namespaced" { "in a namespace" } else { "for the whole cluster" },
    );
    for part in ["spec", "status"] {
        let Some(schema) = schema.properties.as_ref().and_then(|properties| properties.get(part)) else { continue };
        page.push_str(&format!("\n## {part}\n\n{}\n\n", text(schema)));
        page.push_str("| field | type | bounds | meaning |\n|---|---|---|---|\n");
        fields("", schema, &mut page);
        let mut rules = String::new();
        self::rules(part, schema, &mut rules);
        if !rules.is_empty() {
            page.push_str(&format!("\nThe API server refuses an object of which one of these is true:\n\n{rules}"));
        }
    }
    Ok(page)
}

/// The page that leads to the others.
pub(crate) fn index(definitions: &[CustomResourceDefinition]) -> String {
    let kinds = definitions.iter().map(|definition| {
        let version = definition.spec.versions.first();
        let schema = version.and_then(|version| version.schema.as_ref()).and_then(|schema| schema.open_api_v3_schema.as_ref());
        format!("- [{}]({}): {}\n", definition.spec.names.kind, file(definition), schema.map(text).unwrap_or_default())
    });
    let categories = Category::all().map(|category| format!("- `{}`\n", category.as_str()));
    format!(
        "{HEADER}# Reference\n\nThe kinds of group `shekara.dev`, version `v1alpha1`:\n\n{}- [Reason codes](reasons.md): why a flow did not leave\n- [Messages](messages.md): what conditions, events and refusals say, and what can be done\n\n## Categories\n\nWhat a holding holds and a route carries. Where a standard says for which data a rule is, the families `biometric.*` and\n`vehicle.*` stand for all of theirs.\n\n{}",
        kinds.collect::<String>(),
        categories.collect::<String>(),
    )
}

/// The page of the reason codes.
pub(crate) fn reasons() -> String {
    let rows = Reason::ALL.iter().map(|reason| format!("| `{}` | {} |\n", reason.code(), cell(reason.sentence())));
    format!(
        "{HEADER}# Reason codes\n\nWhy a flow did not leave. The codes are stable: records, metrics, status and events carry them.\n\n| code | what happened, and what can be done |\n|---|---|\n{}",
        rows.collect::<String>(),
    )
}

/// The rows of a schema's fields, each with its path.
fn fields(path: &str, schema: &JSONSchemaProps, page: &mut String) {
    let required = schema.required.as_deref().unwrap_or_default();
    for (name, property) in schema.properties.iter().flatten() {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let mut bounds = bounds(property);
        if required.contains(name) {
            bounds.insert(0, "required".to_owned());
        }
        page.push_str(&format!(
            "| `{field}` | {} | {} | {} |\n",
            kind_of(property),
            cell(&bounds.join("; ")),
            cell(&text(property))
        ));
        match items(property) {
            Some(items) => fields(&format!("{field}[]"), items, page),
            None => fields(&field, property, page),
        }
    }
}

/// What the API server checks beyond the shape of single fields.
fn rules(path: &str, schema: &JSONSchemaProps, found: &mut String) {
    for rule in schema.x_kubernetes_validations.iter().flatten() {
        found.push_str(&format!("- `{path}`: {}\n", rule.message.as_deref().unwrap_or(&rule.rule)));
    }
    for (name, property) in schema.properties.iter().flatten() {
        match items(property) {
            Some(items) => rules(&format!("{path}.{name}[]"), items, found),
            None => rules(&format!("{path}.{name}"), property, found),
        }
    }
}

fn kind_of(schema: &JSONSchemaProps) -> String {
    if let Some(items) = items(schema) {
        return format!("list of {}", kind_of(items));
    }
    match (schema.format.as_deref(), schema.type_.as_deref(), &schema.additional_properties) {
        (Some("date-time"), ..) => "instant".to_owned(),
        (_, _, Some(JSONSchemaPropsOrBool::Schema(values))) => format!("map to {}", kind_of(values)),
        (_, kind, _) => kind.unwrap_or_default().to_owned(),
    }
}

/// What may stand in a field, beside its type.
fn bounds(schema: &JSONSchemaProps) -> Vec<String> {
    let mut found = vec![];
    found.extend(between(schema.min_length, schema.max_length, "characters"));
    found.extend(between(schema.min_items, schema.max_items, "entries"));
    found.extend(between(schema.min_properties, schema.max_properties, "entries"));
    match (schema.minimum, schema.maximum) {
        (Some(least), Some(most)) => found.push(format!("{least} to {most}")),
        (Some(least), None) => found.push(format!("at least {least}")),
        _ => {}
    }
    found.extend(schema.pattern.as_ref().map(|pattern| format!("matches `{pattern}`")));
    found.extend(schema.enum_.as_ref().map(|values| one_of(values)));
    if schema.x_kubernetes_list_type.as_deref() == Some("set") {
        found.push("each once".to_owned());
    }
    found.extend(schema.default.as_ref().map(|value| format!("default `{}`", value.0)));
    let part = items(schema).or(match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(values),
        _ => None,
    });
    let inner = part.map(|part| bounds(part).join("; ")).filter(|inner| !inner.is_empty());
    found.extend(inner.map(|inner| format!("each: {inner}")));
    found
}

fn between(least: Option<i64>, most: Option<i64>, what: &str) -> Option<String> {
    match (least, most) {
        (Some(least), Some(most)) if least == most => Some(format!("{most} {what}")),
        (None | Some(0), Some(most)) => Some(format!("at most {most} {what}")),
        (Some(least), Some(most)) => Some(format!("{least} to {most} {what}")),
        (Some(least), None) => Some(format!("at least {least} {what}")),
        (None, None) => None,
    }
}

fn one_of(values: &[JSON]) -> String {
    let names: Vec<&str> = values.iter().filter_map(|value| value.0.as_str()).collect();
    let categories: Vec<&str> = Category::all().map(Category::as_str).collect();
    if names == categories {
        return "[a category](README.md#categories)".to_owned();
    }
    if names.ends_with(&categories) {
        return "[a category or a family](README.md#categories)".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items),
        _ => None,
    }
}

fn text(schema: &JSONSchemaProps) -> String {
    schema.description.clone().unwrap_or_default()
}

pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}
