//! `DataHolding`: workloads that hold biometric or vehicle data, declared by the data owner.

pub mod assurance;
pub mod clients;
pub mod collection;
pub mod held;
pub mod keeping;
pub mod people;
pub mod status;
pub mod transfer;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use assurance::{Certificate, ImpactAssessment, Software};
pub use clients::Client;
use collection::Collection;
pub use held::{Form, Held};
use keeping::{Destruction, Retention, Storage};
use people::{AuthorisedPersons, Processor, RemoteAccess};
pub use status::DataHoldingStatus;
pub use transfer::{Approval, ClusterApi, Transfer};

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
    printcolumn(name = "MODE", type_ = "string", json_path = ".status.mode"),
    printcolumn(name = "COVERED", type_ = "string", json_path = ".status.coverage.summary"),
    printcolumn(name = "DENIED", type_ = "integer", json_path = ".status.denied"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".status.expires"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "DECLARED",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='DeclarationComplete')].status",
        priority = 1
    ),
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
    /// Clients outside the cluster that connect to the workloads. Needed where a standard asks that clients be listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub clients: Vec<Client>,
    /// Whether the workloads may use the Kubernetes API.
    #[serde(default, rename = "clusterAPI", skip_serializing_if = "Option::is_none")]
    pub cluster_api: Option<ClusterApi>,
    /// Where and by what the data are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection: Option<Collection>,
    /// Where the data are stored, copies included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub storage: Vec<Storage>,
    /// How long the data are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// How the data are destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destruction: Option<Destruction>,
    /// The software that handles the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub software: Vec<Software>,
    /// The certificates of the system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub certificates: Vec<Certificate>,
    /// The assessment of what the holding may cost the people whom it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_assessment: Option<ImpactAssessment>,
    /// The legal entities that process the data on behalf of the controller; absent where nothing was said, and empty where there
    /// are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<Processor>", length(max = 64))]
    pub processors: Option<Vec<Processor>>,
    /// Who can reach the workloads from elsewhere; absent where nothing was said, and empty where nobody can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<RemoteAccess>", length(max = 64))]
    pub remote_access: Option<Vec<RemoteAccess>>,
    /// Who is authorised to handle the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorised_persons: Option<AuthorisedPersons>,
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
#[x_kube(validation = Rule::new("(self.mode == 'Observe') == has(self.observeUntil)").message("observeUntil is given exactly where mode is Observe").field_path(".observeUntil"))]
pub struct Enforcement {
    /// The mode.
    #[serde(default)]
    pub mode: Mode,
    /// The first instant at which Observe is over and Enforce begins (RFC 3339); the standards bound it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub observe_until: Option<String>,
}

/// The mode of a holding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Mode {
    /// What is not allowed does not leave.
    #[default]
    Enforce,
    /// Verdicts are taken and recorded, and flows pass until `observeUntil`, as far as every standard that applies grants it. Pods
    /// that were admitted while the holding enforced go on enforcing.
    Observe,
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
