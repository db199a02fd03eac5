//! `DataHolding`: workloads that hold biometric or vehicle data, declared by the data owner.

pub mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use status::DataHoldingStatus;

use crate::schema;
use crate::selector::Selector;

/// Workloads that hold biometric or vehicle data: what they hold, who answers for it, and which route carries what. What is not
/// said does not leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "shekara.dev",
    version = "v1alpha1",
    kind = "DataHolding",
    plural = "dataholdings",
    namespaced,
    shortname = "dh",
    category = "shekara",
    status = "DataHoldingStatus",
    derive = "PartialEq",
    doc = "DataHolding declares workloads that hold biometric or vehicle data: what they hold, who answers for it, and which route carries what. What is not said does not leave.",
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "MODE", type_ = "string", json_path = ".spec.enforcement.mode"),
    printcolumn(name = "COVERED", type_ = "string", json_path = ".status.coverage.summary"),
    printcolumn(name = "DENIED", type_ = "integer", json_path = ".status.denied"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.expires"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "STANDARD", type_ = "string", json_path = ".status.standards", priority = 1),
    printcolumn(name = "POLICY", type_ = "string", json_path = ".status.policy.digest", priority = 1)
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
pub struct DataHoldingSpec {
    /// What the holding is called.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// The registered system that the workloads belong to; one system may span namespaces and clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The legal entity that decides what the data are used for.
    pub controller: Controller,
    /// The person who answers for the holding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responsible: Option<Responsible>,
    /// The pods of this namespace that hold the data.
    pub workload_selector: WorkloadSelector,
    /// What is held.
    #[schemars(length(min = 1, max = 32))]
    pub data: Vec<Held>,
    /// The routes, each with what it carries. What is not said does not leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub transfers: Vec<Transfer>,
    /// Services inside the cluster that the workloads use and that no holding covers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub in_cluster: Vec<InCluster>,
    /// Whether verdicts are enforced.
    #[serde(default)]
    pub enforcement: Enforcement,
}

/// A registered system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct System {
    /// Its number in the register.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub name: Option<String>,
    /// Which part of the system this holding is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub part: Option<String>,
}

/// The legal entity that decides what the data are used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// Its name as the register of legal entities writes it.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its registration number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub registration_number: Option<String>,
    /// Its country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}

/// The person who answers for a holding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Responsible {
    /// The person's name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The person's position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub position: Option<String>,
    /// How the person is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub contact: Option<String>,
}

/// The pods that hold the data, by their labels; at least one label is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)").message("workloadSelector names no label"))]
pub struct WorkloadSelector {
    /// Labels and their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub match_labels: BTreeMap<String, String>,
    /// Labels with one of several values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<crate::selector::Requirement>,
}

/// A category of data that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The category.
    #[schemars(schema_with = "schema::category")]
    pub category: String,
    /// What the data are used for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub purpose: Option<String>,
    /// Whether samples (images, recordings) or templates are held (ISO/IEC 2382-37).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Form")]
    pub form: Option<Form>,
}

/// The form of biometric data (ISO/IEC 2382-37).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Form {
    /// Images and recordings.
    Sample,
    /// What an algorithm made of them.
    Template,
}

/// A route: to whom, and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// The name of the Recipient.
    #[schemars(length(min = 1, max = 253))]
    pub recipient: String,
    /// The categories that the route carries. An empty list claims that it carries none of the holding's data: a claim, never a
    /// proof.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// What the transfer is for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub purpose: Option<String>,
}

/// A Service inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InCluster {
    /// The namespace of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// The categories that go there.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
}

/// Whether verdicts are enforced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enforcement {
    /// The mode.
    #[serde(default)]
    pub mode: Mode,
}

/// The mode of a holding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mode {
    /// What is not allowed does not leave.
    #[default]
    Enforce,
}

impl WorkloadSelector {
    /// Whether a pod with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let empty = self.match_labels.is_empty() && self.match_expressions.is_empty();
        let selector = Selector { match_labels: self.match_labels.clone(), match_expressions: self.match_expressions.clone() };
        !empty && selector.matches(labels)
    }
}

impl DataHolding {
    /// Whether a pod of this holding's namespace with these labels and annotations belongs to the holding, by selector or by
    /// asking for it.
    #[must_use]
    pub fn claims(&self, labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> bool {
        let asked = annotations.get(crate::HOLDING_ANNOTATION).is_some_and(|asked| {
            self.metadata.name.as_ref().is_some_and(|name| asked.split(',').any(|asked| asked.trim() == name))
        });
        asked || self.spec.workload_selector.matches(labels)
    }
}
