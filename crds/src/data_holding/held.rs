//! What a holding holds: each category with its purpose, its people, and the ground on which it is held.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// A category of data that is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
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
    /// What the system does with the data.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Use")]
    pub use_: Option<Use>,
    /// The people whom the data are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<Subjects>,
    /// Where the data came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The legal basis on which the data are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<LegalBasis>,
    /// How people are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
    /// The consent of the people, or why none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consent: Option<Consent>,
    /// The alternative that is offered to people who do not want biometrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative: Option<Alternative>,
    /// How templates are protected (ISO/IEC 24745).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_protection: Option<TemplateProtection>,
    /// Why the data must leave the vehicle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub necessity: Option<Reference>,
    /// How faces and plates outside the vehicle are made anonymous.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymisation: Option<Reference>,
}

/// The form of biometric data (ISO/IEC 2382-37).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Form {
    /// Images and recordings.
    Sample,
    /// What an algorithm made of them.
    Template,
}

/// What a system does with biometric data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Use {
    /// Is this the person: one against one.
    Verification,
    /// Who is this, of people who take part: one against many.
    Identification,
    /// Who is this, at a distance and without the person's part.
    RemoteIdentification,
    /// To which group the person belongs.
    Categorisation,
    /// What the person feels.
    Emotion,
}

/// The people whom data are about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subjects {
    /// Who they are.
    pub kind: SubjectKind,
    /// How many they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub count: Option<i64>,
}

/// Who the people are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SubjectKind {
    /// Whoever passes in a public space.
    PublicSpace,
    /// Residents of a building or district.
    Residents,
    /// Employees and contractors.
    Employees,
    /// Customers and users of a service.
    Customers,
    /// Patients.
    Patients,
    /// Pupils and students, children among them.
    Pupils,
    /// Drivers of vehicles.
    Drivers,
    /// Passengers of vehicles.
    Passengers,
    /// Others.
    Other,
}

/// Where data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// What kind of source it is.
    pub kind: SourceKind,
    /// The document on which it rests, for example an agreement with its number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub document: Option<String>,
}

/// What kind of source data came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SourceKind {
    /// The people themselves.
    Subject,
    /// Cameras and other devices of the controller.
    OwnDevices,
    /// Vehicles.
    Vehicles,
    /// A register of the state.
    StateRegister,
    /// Another holder.
    OtherHolder,
    /// What was published.
    Public,
}

/// A legal basis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LegalBasis {
    /// What kind of basis it is.
    pub kind: LegalBasisKind,
    /// The law with its article, the contract, or the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reference: Option<String>,
    /// The first instant at which it no longer holds (RFC 3339); it has no end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub valid_until: Option<String>,
}

/// What kind of legal basis (Law of Kazakhstan 94-V, articles 7 to 9; GDPR, articles 6 and 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum LegalBasisKind {
    /// A law obliges or permits it.
    Law,
    /// The consent of the person.
    Consent,
    /// A contract with the person.
    Contract,
    /// A task in the public interest.
    PublicInterest,
    /// The vital interests of a person.
    VitalInterest,
    /// The legitimate interests of the controller.
    LegitimateInterest,
}

/// How people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The notice: a sign, a page, a form.
    #[schemars(length(min = 1, max = 256))]
    pub reference: String,
    /// Since when it is shown (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::instant")]
    pub since: Option<String>,
}

/// The consent of people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consent {
    /// How it was given, or that none is needed.
    pub kind: ConsentKind,
    /// The form of the consent, or the rule by which none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub reference: Option<String>,
}

/// How consent was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ConsentKind {
    /// On paper.
    Written,
    /// Electronically, with a proof of who gave it.
    Electronic,
    /// Through the state's service for access to personal data.
    StateService,
    /// None is needed, by the rule that is named.
    NotRequired,
}

/// An alternative that needs no biometrics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// Whether one is offered.
    pub offered: bool,
    /// What it is, or why there is none.
    #[schemars(length(min = 1, max = 256))]
    pub reference: String,
}

/// How templates are protected (ISO/IEC 24745).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateProtection {
    /// The scheme.
    #[schemars(length(min = 1, max = 256))]
    pub scheme: String,
    /// Whether no sample can be made of a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irreversible: Option<bool>,
    /// Whether templates of one person in two systems cannot be told to belong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlinkable: Option<bool>,
    /// Whether a template can be revoked and another one issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewable: Option<bool>,
}

/// What is done, and the document that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// What is done, in words.
    #[schemars(length(min = 1, max = 512))]
    pub method: String,
    /// The document that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reference: Option<String>,
}
