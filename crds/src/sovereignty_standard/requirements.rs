//! What a standard asks holdings to declare, and the law behind it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::control::ControlId;
use crate::schema;

/// Something that a holding must declare. What is declared is not measured by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Requirement {
    /// The registered system: `system`.
    System,
    /// Who answers for the holding: `responsible`.
    ResponsiblePerson,
    /// A purpose for each category: `data[].purpose`.
    Purpose,
    /// Where the data of each category came from: `data[].source`.
    Source,
    /// A legal basis for each category, not expired: `data[].legalBasis`.
    LegalBasis,
    /// A notice for each category: `data[].notice`.
    Notice,
    /// The consent for each category, or why none is needed: `data[].consent`.
    Consent,
    /// An alternative to each biometric category: `data[].alternative`.
    Alternative,
    /// The use of each biometric category: `data[].use`.
    Use,
    /// The number of people for each category: `data[].subjects.count`.
    Subjects,
    /// How templates are protected, for each biometric category held as templates: `data[].templateProtection`.
    TemplateProtection,
    /// Why data of each vehicle category must leave the vehicle: `data[].necessity`.
    Necessity,
    /// How faces and plates in exterior video are made anonymous: `data[].anonymisation`.
    Anonymisation,
    /// An impact assessment: `impactAssessment`.
    ImpactAssessment,
    /// A certificate of the system, not expired: `certificates`.
    Certificate,
    /// Where each category is stored: `storage`.
    Storage,
    /// How each place of storage is encrypted: `storage[].encryption`.
    Encryption,
    /// How long each category is kept: `retention`.
    Retention,
    /// How data are destroyed: `destruction`.
    Destruction,
    /// The software that handles the data: `software`.
    Software,
    /// An audit of each software: `software[].audit`.
    Audit,
    /// The processors, or that there are none: `processors`.
    Processors,
    /// Who has remote access, or that nobody has: `remoteAccess`.
    RemoteAccess,
    /// Who is authorised: `authorisedPersons`.
    AuthorisedPersons,
    /// Where and by what data are collected: `collection`.
    Collection,
    /// Whether vehicles send data by themselves: `collection.vehicles.directUpload`, other than Unknown.
    DirectUpload,
}

/// How long data of some categories may be kept at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaxRetention {
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
    /// The longest period: a duration such as `26280h` or `1095d`.
    #[schemars(schema_with = "schema::duration")]
    pub period: String,
}

/// A control that the standard asks for, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlSource {
    /// The control.
    pub id: ControlId,
    /// The law with its article, or the request; and whether the text itself was read.
    #[schemars(length(min = 1, max = 512))]
    pub source: String,
    /// Since when it is in force, as `2025-11-26`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date")]
    pub effective_from: Option<String>,
    /// When somebody last compared the rule with its source, as `2026-11-20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::date")]
    pub reviewed_at: Option<String>,
}
