//! Which volumes the workloads of holdings may mount, by a standard.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use crate::schema;

/// Which volumes workloads may mount. The node mounts them, outside the pod's network: where a driver keeps them is a transfer.
/// What lives and dies with the pod or comes from the cluster's own objects is not meant. By `Listed` claims and CSI volumes may be mounted
/// whose driver is listed with a country that the standard's `transfers` allow for all data of the holding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Listed' || !has(self.drivers) || size(self.drivers) == 0").message("drivers are listed, and mode is Open: volumes of every driver pass").field_path(".drivers"))]
pub struct StorageRules {
    /// Whether drivers must be listed.
    #[serde(default)]
    pub mode: Listing,
    /// The drivers whose volumes may be mounted. Of several standards each must list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub drivers: Vec<StorageDriver>,
}

/// A driver and where it keeps what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageDriver {
    /// The name of the CSI driver, or the provisioner of the storage class. A volume that was made by hand and has neither is known by
    /// its kind, as `nfs` or `local`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The country in which it keeps them (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}
