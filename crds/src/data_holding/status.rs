//! What the operator and the sidecars found of a holding.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Mode;
use crate::control::ControlId;
use crate::schema;
use crate::sovereignty_standard::Listing;

/// What was found, bounded in size: lists are cut at 64 entries and say so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataHoldingStatus {
    /// `Accepted`, `DeclarationComplete`, `Covered`, `Enforcing`, `EvidenceCurrent`, `Ready`.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The standards that apply, by name, joined by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub standards: Option<String>,
    /// What is done with a verdict in pods that are admitted now: `Observe` only as long as every standard that applies grants what
    /// `spec.enforcement` wishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Pods in scope and pods proven protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Coverage>,
    /// Flows that were allowed, by recipient, country and data.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub transfers: Vec<TransferSummary>,
    /// Flows that were denied, by reason.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub denials: Vec<DenialSummary>,
    /// Who connected to the workloads; apart from what the workloads sent by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundSummary>,
    /// The number of flows denied in all, without those that passed since the holding observed.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub denied: i64,
    /// What was found of each control; empty as long as none is measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub controls: Vec<ControlStatus>,
    /// What the policy document counts as held: the categories of spec.data, and those that were taken away from it, for as long
    /// as a pod is alive that was there before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub held: Vec<HeldCategory>,
    /// The policy document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// When the first permit that the holding uses expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub expires: Option<String>,
    /// Whether a list was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A category that the policy document counts as held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldCategory {
    /// The category.
    #[schemars(schema_with = "schema::category")]
    pub category: String,
    /// When it was taken away from spec.data; absent as long as spec.data names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub removed_at: Option<String>,
}

/// Pods in scope against pods proven protected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Pods that the holding selects and that have not ended.
    #[schemars(schema_with = "schema::count")]
    pub in_scope: i64,
    /// Those of them whose sidecar enforces the present document, with the packet filter proven.
    #[schemars(schema_with = "schema::count")]
    pub covered: i64,
    /// Both numbers as `covered/inScope`.
    #[schemars(length(max = 41))]
    pub summary: String,
    /// Pods by state: `Enforcing`, `Observing`, `Starting`, `Stale`, `Outdated`, `RestartNeeded`, `Quarantined`, `Exempted`, `Bare`.
    #[serde(default)]
    #[schemars(schema_with = "schema::counts")]
    pub states: BTreeMap<String, i64>,
    /// The names of the first pods that are not covered, with their state.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub uncovered: Vec<UncoveredPod>,
}

/// A pod in scope that is not covered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct UncoveredPod {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its state.
    #[schemars(length(max = 63))]
    pub state: String,
}

/// Flows that were allowed to one recipient and country.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferSummary {
    /// The recipient, or `namespace/service` inside the cluster.
    #[schemars(length(max = 253))]
    pub recipient: String,
    /// The country of the destination, `ZZ` when unknown; absent inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub country: Option<String>,
    /// The country of the entity that controls the recipient, where it is another than the recipient's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub parent_country: Option<String>,
    /// Whether the recipient has an endpoint that serves many customers, so that whom flows reach behind it is not in sight.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// The categories that the route is declared to carry; empty where the holding claims that it carries none of its data.
    #[serde(default)]
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// `Allowed`, `Observed`, or `Denied` where the route is declared and every flow on it was denied.
    pub verdict: TransferVerdict,
    /// Why it was denied: the stable code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reason: Option<String>,
    /// The number of flows.
    #[schemars(schema_with = "schema::count")]
    pub flows: i64,
    /// Bytes from the pods to the recipient.
    #[schemars(schema_with = "schema::count")]
    pub bytes_out: i64,
    /// Bytes from the recipient to the pods.
    #[schemars(schema_with = "schema::count")]
    pub bytes_in: i64,
    /// When the latest flow began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub last: Option<String>,
}

/// Whether flows of a route left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum TransferVerdict {
    /// They left.
    Allowed,
    /// They left although they were denied, since the holding observed.
    Observed,
    /// They did not.
    Denied,
}

/// Flows that were denied for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DenialSummary {
    /// The stable code of the reason.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// The number of flows.
    #[schemars(schema_with = "schema::count")]
    pub flows: i64,
    /// How many of them passed all the same, since the holding observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub observed: Option<i64>,
    /// Bytes from the pods that left by those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub bytes_out: Option<i64>,
    /// The name or address of the latest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last_destination: Option<String>,
    /// When the latest one began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub last: Option<String>,
}

/// Flows that clients began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct InboundSummary {
    /// Whether a standard that applies asks that clients be listed.
    pub mode: Listing,
    /// Flows of clients that passed, by what let them in.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub clients: Vec<ClientSummary>,
    /// Flows of clients that were denied, by reason.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub denials: Vec<DenialSummary>,
    /// The number of flows of clients denied in all, without those that passed since the holding observed.
    #[serde(default)]
    #[schemars(schema_with = "schema::count")]
    pub denied: i64,
}

/// Flows of clients that one thing let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientSummary {
    /// What let them in: `standard/source`, `namespace/holding`, the network of a client, or `*` where nobody asks for lists.
    #[schemars(length(max = 253))]
    pub by: String,
    /// The country of the client, `ZZ` when unknown; absent inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub country: Option<String>,
    /// The categories that they may have read.
    #[serde(default)]
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// The number of flows.
    #[schemars(schema_with = "schema::count")]
    pub flows: i64,
    /// Bytes from the pods to the clients.
    #[schemars(schema_with = "schema::count")]
    pub bytes_out: i64,
    /// Bytes from the clients to the pods.
    #[schemars(schema_with = "schema::count")]
    pub bytes_in: i64,
    /// The address of the latest client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last_client: Option<String>,
    /// When the latest flow began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub last: Option<String>,
}

/// What was found of a control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlStatus {
    /// The control.
    pub id: ControlId,
    /// Its state.
    pub state: ControlState,
    /// How that is known; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Assurance")]
    pub assurance: Option<Assurance>,
    /// A sentence that a person can act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub message: Option<String>,
}

/// The state of a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ControlState {
    /// It was measured and holds.
    Satisfied,
    /// It was measured and does not hold, or what had to be declared was not.
    NotSatisfied,
    /// The data owner declares that it holds.
    Declared,
    /// Nothing is known of it: what is not measured is never satisfied.
    Unknown,
    /// It asks nothing of this holding.
    NotApplicable,
}

/// How the state of a control is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Assurance {
    /// The operator measured it.
    Measured,
    /// The data owner declared it.
    Declared,
}

/// The policy document of a holding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The digest of the document.
    #[schemars(length(max = 128))]
    pub digest: String,
    /// How many pods have loaded it.
    #[schemars(schema_with = "schema::count")]
    pub loaded_by: i64,
}
