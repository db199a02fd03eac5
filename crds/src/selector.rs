//! Selecting objects by their labels, in the part of Kubernetes' selectors that admission policies of the API server can
//! evaluate too: equality and `In`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Labels that an object must have. All of it must match; an empty selector matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Labels with one of several values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<Requirement>,
}

/// A label with one of several values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The name of the label.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,
    /// How the values are compared.
    pub operator: Operator,
    /// The values, of which the label has one.
    #[schemars(length(min = 1, max = 32), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How the values of a requirement are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Operator {
    /// The label is there and has one of the values.
    In,
}

impl Selector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| labels.get(&requirement.key).is_some_and(|value| requirement.values.contains(value)))
    }
}
