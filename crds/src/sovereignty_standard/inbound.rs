//! Who may connect to the workloads of holdings, by a standard.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use crate::schema;
use crate::selector::Selector;

/// Who may connect to the workloads. Whoever connects can read, so a client abroad is a transfer abroad. By `Listed` those may that are covered for
/// the same data, that are listed as a source of the platform, or that a holding declares as its clients in a country that the
/// standards allow; the sidecar answers the kubelet's probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'Listed' || !has(self.from) || size(self.from) == 0").message("sources are listed under from, and mode is Open: whoever connects passes").field_path(".from"))]
pub struct InboundRules {
    /// Whether clients must be listed.
    #[serde(default)]
    pub mode: Listing,
    /// The sources of the platform that may connect, such as an ingress or a scraper. Of several standards each must list them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub from: Vec<InboundSource>,
}

/// A source of the platform: pods, networks, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.pods) || (has(self.networks) && size(self.networks) > 0)").message("a source names neither pods nor networks").field_path(".networks"),
    validation = Rule::new("!has(self.networks) || self.networks.all(network, isCIDR(network))").message("a network of the source is not a CIDR, as in 10.0.0.0/16").field_path(".networks")
)]
pub struct InboundSource {
    /// What the source is called, in records and status.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<SourcePods>,
    /// The networks from which it connects, as CIDRs, IPv4 or IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 49)))]
    pub networks: Vec<String>,
    /// The ports to which it may connect; every port when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::ports")]
    pub ports: Vec<i32>,
}

/// Pods of one namespace. Whoever may create pods there decides who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourcePods {
    /// The namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The pods there, by their labels; all when empty.
    #[serde(default)]
    pub pod_selector: Selector,
}

impl SourcePods {
    /// Whether a pod of this namespace with these labels is one of them.
    #[must_use]
    pub fn have(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespace == namespace && self.pod_selector.matches(labels)
    }
}
