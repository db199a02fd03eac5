//! The definitions of the kinds as clusters get them: the derived schemas, with descriptions that also say what each value of
//! an enum means.

mod values;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{DataHolding, Recipient, SovereigntyStandard};
use values::Meanings;

/// Every kind, in the order of their names.
#[must_use]
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let meanings = Meanings::of_the_api();
    let mut definitions = vec![DataHolding::crd(), Recipient::crd(), SovereigntyStandard::crd()];
    for definition in &mut definitions {
        for version in &mut definition.spec.versions {
            if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
                polish(schema, &meanings);
            }
        }
    }
    definitions
}

/// What a schema that is derived from Rust lacks or has too much.
fn polish(schema: &mut JSONSchemaProps, meanings: &Meanings) {
    schema.title = None;
    // absent is the one way to say nothing: the API server drops a null where it is not allowed
    schema.nullable = None;
    if let Some(description) = &mut schema.description {
        *description = description.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n");
    }
    let values = schema.enum_.as_deref().or_else(|| items(schema).and_then(|items| items.enum_.as_deref()));
    if let (Some(list), Some(description)) = (values.and_then(|values| meanings.list(values)), &mut schema.description) {
        description.push_str(&list);
    }
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        polish(property, meanings);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        // the list has said it
        items.description = items.description.take().filter(|_| items.enum_.is_none());
        polish(items, meanings);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        polish(values, meanings);
    }
}

fn items(schema: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items),
        _ => None,
    }
}

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod rules_tests;
