//! How a standard is put into operation: observing first, answering incidents, reporting.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Whether and how long holdings may observe before they enforce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Observe {
    /// For how many days at most, counted from the creation of the holding.
    #[schemars(range(min = 0, max = 366))]
    pub max_days: i32,
    /// Whether drafts, which annotations make, begin in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drafts: bool,
}

/// Whether workloads may use the Kubernetes API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ClusterApiUse {
    /// None may.
    #[default]
    Denied,
    /// Those of holdings whose `clusterAPI` allows it.
    PerHolding,
}

/// What is done about incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// What is cut off by itself.
    #[serde(default)]
    pub automatic: Reach,
    /// When more is cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<Escalation>,
    /// The routes that survive every response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub keep: Vec<Kept>,
    /// How long a response lasts unless a person confirms it: a duration such as `4h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_duration: Option<String>,
}

/// What a response cuts off. A whole holding is cut off by a person alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Reach {
    /// Nothing.
    #[default]
    Nothing,
    /// The route of the flow.
    Flow,
    /// The pod.
    Pod,
}

/// When a response cuts off more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Escalation {
    /// After so many denials.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub denials: i64,
    /// Within this time: a duration such as `10m`.
    #[schemars(schema_with = "schema::duration")]
    pub within: String,
    /// What is cut off then.
    pub to: Reach,
}

/// Routes that survive every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Kept {
    /// Those to recipients of the role Emergency.
    Emergency,
}

/// How often reports are made, and how long they are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reporting {
    /// The period of a report: a duration such as `24h`.
    #[schemars(schema_with = "schema::duration")]
    pub period: String,
    /// How long reports are kept: a duration such as `1095d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub keep: Option<String>,
}

/// Whether pods that have no sidecar, or one that is out of date for good, are replaced: their Deployment, StatefulSet or DaemonSet is
/// restarted as by `kubectl rollout restart`, unless it is paused or a PodDisruptionBudget keeps its pods. What else owns pods, and
/// workloads of drafts, are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Whether workloads are restarted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restart_uncovered: bool,
    /// How many workloads of a holding at once: the lowest number of all standards that apply, or one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_concurrent: Option<i32>,
}
