//! `SovereigntyStandard`: rules set by the regulator or the platform.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::recipient::Ground;
use crate::schema;
use crate::selector::Selector;

/// Rules for where data of certain categories may go. A standard binds by namespace and category, without being asked; of all
/// that apply to a holding each must allow a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "shekara.dev",
    version = "v1alpha1",
    kind = "SovereigntyStandard",
    plural = "sovereigntystandards",
    shortname = "sstd",
    category = "shekara",
    status = "SovereigntyStandardStatus",
    derive = "PartialEq",
    doc = "SovereigntyStandard is a set of rules of the regulator or the platform for where data of certain categories may go. It binds by namespace and category, without being asked.",
    printcolumn(name = "TITLE", type_ = "string", json_path = ".spec.title"),
    printcolumn(name = "AUTHORITY", type_ = "string", json_path = ".spec.authority.name"),
    printcolumn(name = "ACCEPTED", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
pub struct SovereigntyStandardSpec {
    /// What the standard is called.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// Whose standard it is.
    pub authority: Authority,
    /// What it binds.
    pub applies_to: AppliesTo,
    /// The countries that count as home (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::countries")]
    pub home_countries: Vec<String>,
    /// Networks whose country the standard declares; judged before any geo source, the longest prefix first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub networks: Vec<Network>,
    /// How many geo sources must know an address, and agree, before its country counts as known.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 8))]
    pub min_sources: i32,
    /// Where data may go. Every rule whose data matches must agree; data that no rule matches may go nowhere.
    #[schemars(length(min = 1, max = 64))]
    pub transfers: Vec<TransferRule>,
    /// What becomes of routes that a holding declares to carry none of its data.
    #[serde(default)]
    pub empty_transfers: EmptyTransfers,
}

fn one() -> i32 {
    1
}

/// Whose standard it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// The authority's name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}

/// What a standard binds: holdings in these namespaces that hold any of this data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliesTo {
    /// The namespaces by their labels; all when empty.
    #[serde(default)]
    pub namespace_selector: Selector,
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
}

/// A network and the country that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("isCIDR(self.cidr)").message("cidr is not a CIDR, as in 10.40.0.0/16").field_path(".cidr"))]
pub struct Network {
    /// The network as a CIDR, IPv4 or IPv6.
    #[schemars(length(min = 1, max = 49))]
    pub cidr: String,
    /// Its country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
    /// What the network is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub note: Option<String>,
}

/// Where data of certain categories may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferRule {
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
    /// The countries in which a destination may be (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::countries")]
    pub countries: Vec<String>,
    /// The legal grounds on which a permit may rest.
    #[schemars(length(min = 1, max = 8))]
    pub grounds: Vec<Ground>,
    /// The lowest TLS version; with it, plain connections are not allowed.
    #[serde(default, rename = "minTLS", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MinTls")]
    pub min_tls: Option<MinTls>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum MinTls {
    /// TLS 1.2 or later.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 or later.
    #[serde(rename = "1.3")]
    V13,
}

/// What becomes of routes that a holding declares to carry none of its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyTransfers {
    /// To destinations in the home countries. Destinations abroad are denied.
    #[serde(default)]
    pub home: EmptyTransfer,
}

/// What becomes of a route that is declared to carry no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EmptyTransfer {
    /// It is closed.
    #[default]
    Denied,
    /// It is open.
    Allowed,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereigntyStandardStatus {
    /// `Accepted`: whether every field can be used.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
