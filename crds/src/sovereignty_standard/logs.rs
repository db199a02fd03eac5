//! Who may read what the workloads of holdings print, by a standard.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::inbound::SourcePods;
use super::listing::Listing;
use crate::schema;

/// Who may collect what workloads write to standard output. It lies on the node, and whoever reads it there sends it on past sidecar and
/// packet filter. By `Listed` every pod of the cluster that mounts the folders of the containers' logs is looked for in this list, with a country
/// that the standard's `transfers` allow for all data of the holding; where one is not there, the holding's condition `Covered` is False and
/// names it. Nothing is refused by it: collectors belong to the platform, and their pods run elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Listed' || !has(self.collectors) || size(self.collectors) == 0").message("collectors are listed, and mode is Open: nobody looks for them").field_path(".collectors"))]
pub struct LogRules {
    /// Whether collectors must be listed.
    #[serde(default)]
    pub mode: Listing,
    /// The collectors of the platform. Of several standards each must list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub collectors: Vec<LogCollector>,
}

/// A collector of logs, and where it sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogCollector {
    /// Its pods.
    pub pods: SourcePods,
    /// The country in which what it sends is kept (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}
