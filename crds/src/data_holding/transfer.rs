//! The routes of a holding.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A route: to whom, and what it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// The name of the Recipient.
    #[schemars(length(min = 1, max = 253))]
    pub recipient: String,
    /// The categories that the route carries. An empty list claims that it carries none of the holding's data: a claim, never a
    /// proof. It is reported as declared, with its volume.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// What the transfer is for, in words. A permit that names purposes covers the route only if this is one of them: compared
    /// without regard to case and with every run of white space as one space, and otherwise word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub purpose: Option<String>,
    /// How many bytes may leave by the route, in each pod and each day of UTC: a quantity such as `20Mi`. It only ever narrows
    /// what the standards allow. Transfers of one pod to one recipient share one count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_out_per_day: Option<String>,
    /// Who approved that a route without data leads abroad. Without it no such route is open, whatever a standard allows; with
    /// it a standard must allow the route all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// The approval of a route that is claimed to carry no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who approved it.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// The number of the document.
    #[schemars(length(min = 1, max = 128))]
    pub document: String,
    /// The day of the document, as `2026-11-20`.
    #[schemars(schema_with = "schema::date")]
    pub date: String,
}

/// The use of the Kubernetes API by the workloads of a holding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.allow || has(self.reason)").message("clusterAPI is allowed without a reason").field_path(".reason"))]
pub struct ClusterApi {
    /// Whether the workloads may reach it, where every standard that applies leaves that to the holding.
    pub allow: bool,
    /// What they need it for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reason: Option<String>,
}
