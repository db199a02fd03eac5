//! `Recipient`: a legal entity that may receive data.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use shekara_policy::document::EndpointProtocol;

use crate::schema;

/// A legal entity that may receive data: who it is, where it is reached, and what it may get on what ground until when.
/// Written by the registrar, who approves recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "shekara.dev",
    version = "v1alpha1",
    kind = "Recipient",
    plural = "recipients",
    shortname = "rcpt",
    category = "shekara",
    status = "RecipientStatus",
    derive = "PartialEq",
    doc = "Recipient is a legal entity that may receive data: who it is, where it is reached, and what it may get on what ground until when.",
    printcolumn(name = "LEGAL NAME", type_ = "string", json_path = ".spec.legalName"),
    printcolumn(name = "COUNTRY", type_ = "string", json_path = ".spec.country"),
    printcolumn(name = "ROLE", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "ACCEPTED", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
pub struct RecipientSpec {
    /// The name of the entity as the register of legal entities writes it.
    #[schemars(length(min = 1, max = 256))]
    pub legal_name: String,
    /// The number under which the entity is registered (in Kazakhstan the BIN).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub registration_number: Option<String>,
    /// The country under whose law the entity is (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
    /// The country of the entity that controls it (ISO 3166-1 alpha-2); reported, and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub parent_country: Option<String>,
    /// In which role the entity receives data.
    pub role: Role,
    /// Where the entity is reached. A destination that no endpoint lists is not this recipient.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub endpoints: Vec<Endpoint>,
    /// What the entity may get. A recipient of role `Self` needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub permits: Vec<Permit>,
}

/// In which role an entity receives data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Role {
    /// The holder's own cameras, databases, time servers or log stores: no permit is needed, the country is judged all the same.
    #[serde(rename = "Self")]
    Own,
    /// Processes the data on behalf of the controller.
    Processor,
    /// Decides itself what the data are used for.
    Controller,
    /// A public body that has a right to the data by law.
    PublicBody,
    /// An emergency service: its routes are told apart in the documents, so that they can survive a quarantine.
    Emergency,
}

/// One way to reach the entity: a host or a network, ports, and the protocol spoken there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host) != has(self.network)").message("neither or both of host and network are given, and an endpoint has one of them"))]
#[x_kube(validation = Rule::new("!has(self.network) || isCIDR(self.network)").message("network is not a CIDR, as in 192.0.2.0/24").field_path(".network"))]
#[x_kube(validation = Rule::new("self.protocol != 'UDP' || has(self.network)").message("a UDP endpoint is listed by host, and a datagram names none: list its network").field_path(".protocol"))]
pub struct Endpoint {
    /// A host name, or `*.` and a name, where the wildcard stands for exactly one label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub host: Option<String>,
    /// A network as a CIDR, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 49))]
    pub network: Option<String>,
    /// The ports.
    #[schemars(schema_with = "schema::ports")]
    pub ports: Vec<i32>,
    /// The protocol spoken there, which says how a flow is judged: by the name in a TLS ClientHello (`TLS`), by the Host of an
    /// HTTP/1 request (`HTTP`), by address alone where the client (`TCP`) or the server (`TCPServerFirst`) speaks first, or by
    /// address for datagrams (`UDP`).
    #[schemars(schema_with = "endpoint_protocol")]
    pub protocol: EndpointProtocol,
    /// Whether the name or network serves this entity alone.
    #[serde(default)]
    pub tenancy: Tenancy,
}

/// Whom a name or network serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Tenancy {
    /// This entity alone.
    #[default]
    Single,
    /// Many customers, as with object stores, content networks and push services: whom a flow reaches behind it is not in sight.
    /// The country of such an address counts as unknown unless a standard declares its network, or says otherwise.
    Shared,
}

fn endpoint_protocol(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["TLS", "HTTP", "TCP", "TCPServerFirst", "UDP"]})
}

/// What the entity may get: categories of data, on what ground, by which document, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.validFrom) || !has(self.validUntil) || self.validFrom < self.validUntil").message("validUntil is not after validFrom").field_path(".validUntil"))]
pub struct Permit {
    /// The categories of data.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// The legal ground of the transfer.
    pub ground: Ground,
    /// The document on which it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<PermitDocument>,
    /// The purposes for which it may be used; any when empty. The purpose of a transfer must be one of them: compared without
    /// regard to case and with every run of white space as one space, and otherwise word for word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub purposes: Vec<String>,
    /// The holdings that may use the permit, as `namespace/name`, `namespace/*` or `*`; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 317)))]
    pub holders: Vec<String>,
    /// The first instant at which it is valid (RFC 3339); always until the end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub valid_from: Option<String>,
    /// The first instant at which it no longer is (RFC 3339); for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub valid_until: Option<String>,
}

/// The legal ground of a transfer (Law of Kazakhstan 94-V, articles 7, 8 and 16; GDPR, articles 6 and 45 to 49).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Ground {
    /// A law obliges or permits it.
    Law,
    /// A contract with the entity.
    Contract,
    /// The consent of the person.
    Consent,
    /// A decision that the country protects such data well enough (GDPR, article 45).
    Adequacy,
    /// Standard contractual clauses, or a standard contract that was filed (GDPR, article 46).
    StandardClauses,
    /// Binding rules of a group of companies (GDPR, article 47).
    BindingRules,
    /// An international treaty (94-V, article 16; GDPR, article 48).
    Treaty,
    /// An assessment by the authority before the export.
    SecurityAssessment,
    /// A certification of the recipient for such transfers (GDPR, articles 42 and 46).
    Certification,
    /// Important reasons of public interest (GDPR, article 49).
    PublicInterest,
    /// The vital interests of a person who cannot consent (94-V, article 16; GDPR, article 49).
    VitalInterest,
}

/// The document on which a permit rests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermitDocument {
    /// Its number.
    #[schemars(length(min = 1, max = 128))]
    pub number: String,
    /// The SHA-256 of the document, as 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"), length(max = 64))]
    pub sha256: Option<String>,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecipientStatus {
    /// `Accepted`: whether every field can be used.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
