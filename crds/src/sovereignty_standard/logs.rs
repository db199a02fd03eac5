//! Who may read what the workloads of holdings print, by a standard.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::inbound::SourcePods;
use crate::schema;

/// Who may collect what workloads write to standard output. It lies on the node, and whoever reads it there sends it on past sidecar and
/// packet filter. Collectors belong to the platform and run in its namespaces, so none is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Reported' || !has(self.collectors) || size(self.collectors) == 0").message("collectors are listed, and mode is Open: nobody looks for them").field_path(".collectors"))]
pub struct LogRules {
    /// Whether collectors are looked for.
    #[serde(default)]
    pub mode: Collecting,
    /// The collectors of the platform, once for each country to which they send what they read. Of several standards each must list
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub collectors: Vec<LogCollector>,
}

/// Whether collectors are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Collecting {
    /// Nobody looks who collects, and nobody has to be listed.
    #[default]
    Open,
    /// Every pod of the cluster that mounts the folders of the containers' logs and is not listed, with a country that `transfers` allow for
    /// all data of a holding, is named by the condition Covered of that holding, which is then False.
    Reported,
}

/// A collector of logs, and where it sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogCollector {
    /// Its pods.
    pub pods: SourcePods,
    /// The country to which it sends what it reads (ISO 3166-1 alpha-2); that of the cluster where it sends nothing away.
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}
