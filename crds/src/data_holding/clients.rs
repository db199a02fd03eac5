//! Who connects to the workloads of a holding from outside the cluster.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Clients outside the cluster, by the network from which they connect. It opens nothing in a country that a standard does not
/// allow for the data, and nothing where the country of an address is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("isCIDR(self.network)").message("the client's network is not a CIDR, as in 192.0.2.0/24").field_path(".network"))]
pub struct Client {
    /// The network from which they connect as a CIDR, IPv4 or IPv6; `0.0.0.0/0` and `::/0` with a country for all there.
    #[schemars(length(min = 1, max = 49))]
    pub network: String,
    /// The country in which their addresses must be (ISO 3166-1 alpha-2). When absent, any that every standard allows for the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::country")]
    pub country: Option<String>,
    /// The ports to which they may connect; every port when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ports")]
    pub ports: Vec<i32>,
    /// The categories that they read: a claim, never a proof.
    #[schemars(schema_with = "schema::categories")]
    pub data: Vec<String>,
    /// What they read it for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub purpose: Option<String>,
}
