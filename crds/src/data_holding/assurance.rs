//! What runs, who has looked at it, and what it may cost people.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A piece of software that handles the data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Software {
    /// What it is called.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Who made it.
    #[schemars(length(min = 1, max = 256))]
    pub vendor: String,
    /// The country of its maker (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub origin: String,
    /// Its number in a register of trusted software.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub registered: Option<String>,
    /// The images that have it, by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::digests")]
    pub images: Vec<String>,
    /// The latest audit of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// An audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Who made it.
    #[schemars(length(min = 1, max = 256))]
    pub by: String,
    /// The report.
    #[schemars(length(min = 1, max = 256))]
    pub reference: String,
    /// The day of the report, as `2026-11-20`.
    #[schemars(schema_with = "schema::date")]
    pub date: String,
}

/// A certificate of the system or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.validFrom) || !has(self.validUntil) || self.validFrom < self.validUntil").message("the certificate's validUntil is not after its validFrom").field_path(".validUntil"))]
pub struct Certificate {
    /// What was certified against.
    #[schemars(length(min = 1, max = 256))]
    pub scheme: String,
    /// Its number.
    #[schemars(length(min = 1, max = 128))]
    pub number: String,
    /// Who issued it.
    #[schemars(length(min = 1, max = 256))]
    pub issuer: String,
    /// The first instant at which it is valid (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub valid_from: Option<String>,
    /// The first instant at which it no longer is (RFC 3339); it has no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub valid_until: Option<String>,
    /// The images that it covers, by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::digests")]
    pub images: Vec<String>,
}

/// An assessment of what the holding may cost the people whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpactAssessment {
    /// The document.
    #[schemars(length(min = 1, max = 256))]
    pub reference: String,
    /// Its day, as `2026-11-20`.
    #[schemars(schema_with = "schema::date")]
    pub date: String,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub by: Option<String>,
    /// The SHA-256 of the document, as 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"), length(max = 64))]
    pub sha256: Option<String>,
}
