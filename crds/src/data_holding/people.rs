//! Who else touches the data: processors, those with remote access, and those who are authorised.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A legal entity that processes the data on behalf of the controller, wherever that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Processor {
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
    /// What it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub purpose: Option<String>,
    /// The contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub contract: Option<String>,
    /// The name of its Recipient, where data are sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub recipient: Option<String>,
}

/// Somebody who can reach the workloads from elsewhere, for example a vendor's support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteAccess {
    /// Who it is.
    #[schemars(length(min = 1, max = 256))]
    pub party: String,
    /// From which country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
    /// What for.
    #[schemars(length(min = 1, max = 512))]
    pub purpose: String,
    /// By which means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub means: Option<String>,
    /// Whether each session is allowed and watched by a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supervised: bool,
    /// The document on which it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reference: Option<String>,
}

/// Those who are authorised to handle the data. Their names stay in the document: what is written here is read by many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorisedPersons {
    /// The order or the list.
    #[schemars(length(min = 1, max = 256))]
    pub reference: String,
    /// Its day, as `2026-11-20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date")]
    pub date: Option<String>,
    /// How many they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub count: Option<i64>,
}
