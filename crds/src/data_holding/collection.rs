//! Where and by what the data are collected.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Where and by what the data are collected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collection {
    /// The places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub places: Vec<Place>,
    /// The kinds of devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub devices: Vec<Device>,
    /// The vehicles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicles: Option<Vehicles>,
}

/// A place where data are collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// What kind of place it is.
    pub kind: PlaceKind,
    /// Its code in the classifier of administrative and territorial units of Kazakhstan: nine digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]{9}$"), length(max = 9))]
    pub kato: Option<String>,
    /// How many devices are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub devices: Option<i64>,
    /// How people are told there, for example the number of a sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub notice: Option<String>,
}

/// What kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum PlaceKind {
    /// A street, a square or a park.
    Street,
    /// Public transport and its stations.
    Transport,
    /// A school or university.
    School,
    /// A hospital or clinic.
    Hospital,
    /// A business centre or office.
    BusinessCentre,
    /// A residential complex.
    ResidentialComplex,
    /// A shop or another place of trade.
    Shop,
    /// A building of the state.
    StateBuilding,
    /// Inside vehicles.
    Vehicle,
    /// Online.
    Online,
    /// Elsewhere.
    Other,
}

/// A kind of device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Who made it.
    #[schemars(length(min = 1, max = 256))]
    pub vendor: String,
    /// The model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub model: Option<String>,
    /// The version of its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub firmware: Option<String>,
    /// The country where it was made (ISO 3166-1 alpha-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub origin: Option<String>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub count: Option<i64>,
}

/// Vehicles whose data are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Vehicles {
    /// Who made them.
    #[schemars(length(min = 1, max = 256))]
    pub make: String,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::count")]
    pub count: Option<i64>,
    /// Whether the vehicles also send data somewhere by a modem of their own, which no cluster sees.
    #[serde(default)]
    pub direct_upload: DirectUpload,
}

/// Whether vehicles send data by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum DirectUpload {
    /// They do not, by the word of their maker.
    None,
    /// They do, to places at home alone.
    Home,
    /// They do, to places abroad too.
    Abroad,
    /// Nobody knows.
    #[default]
    Unknown,
}
