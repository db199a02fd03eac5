//! Where the data are stored, how long, and how they end.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::held::Form;
use crate::schema;

/// A place where data are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// What it is called.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What kind of storage it is.
    pub kind: StorageKind,
    /// The PersistentVolumeClaim of the holding's namespace, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub claim: Option<String>,
    /// The categories that are stored there.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// Whether samples or templates are stored there; both kept apart where two places are listed (ISO/IEC 24745).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Form")]
    pub form: Option<Form>,
    /// The country where the data lie (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
    /// The data centre or the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub place: Option<String>,
    /// Whether it is a copy that is kept against loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// How the data are encrypted at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// What kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum StorageKind {
    /// A volume of the cluster.
    Volume,
    /// A database.
    Database,
    /// An object store.
    ObjectStore,
    /// Tapes, disks and other media outside.
    Media,
    /// Devices in the field: cameras, recorders, vehicles.
    Device,
}

/// How data are encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// What encrypts.
    pub by: EncryptedBy,
    /// Who holds the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub key_holder: Option<String>,
    /// The algorithm, or the certificate of the means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reference: Option<String>,
}

/// What encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EncryptedBy {
    /// The volume or the disk.
    Volume,
    /// The database or the store.
    Store,
    /// The application, before it stores.
    Application,
    /// Nothing.
    Nothing,
}

/// How long data are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// The periods, by category. Of several for a category the longest counts.
    #[schemars(length(min = 1, max = 32))]
    pub periods: Vec<RetentionPeriod>,
    /// The CronJob of the holding's namespace that keeps to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 52))]
    pub job: Option<String>,
    /// The document that sets them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub reference: Option<String>,
}

/// How long data of some categories are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPeriod {
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
    /// The period: a duration such as `26280h` or `1095d`.
    #[schemars(schema_with = "schema::duration")]
    pub period: String,
    /// From when it runs.
    #[serde(default)]
    pub since: RetainedSince,
}

/// From when a period runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum RetainedSince {
    /// From the day of collection.
    #[default]
    Collection,
    /// From the last use.
    LastUse,
    /// From the end of the purpose.
    EndOfPurpose,
}

/// How data end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Destruction {
    /// The method.
    pub method: DestructionMethod,
    /// The Job or CronJob of the holding's namespace that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub job: Option<String>,
    /// The form or the register of the acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub act: Option<String>,
    /// The positions of those who sign an act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub signatories: Vec<String>,
}

/// How data are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DestructionMethod {
    /// The records are deleted by the software that keeps them.
    Deletion,
    /// The media are overwritten.
    Overwriting,
    /// The keys are destroyed.
    CryptographicErasure,
    /// The media are destroyed.
    PhysicalDestruction,
}
