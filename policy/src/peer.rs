//! Who is at an address and port inside the cluster, as the operator says it.
//!
//! The operator tells facts and the sidecar decides by them ([`crate::decide`]): equal pods are told once, however many they are,
//! so that a Service with a thousand endpoints of one workload is one entry.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::category::Category;

/// The most kinds of ends that a peer is told with; more of them are told as [`End::Unknown`], which is never allowed.
pub const MOST_ENDS: usize = 64;

/// Who is at an address and port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// The Services whose address and port this is, or that have it among their endpoints.
    pub services: BTreeSet<ServiceName>,
    /// Every kind of end that a connection may reach there; none where nobody is behind the Service.
    pub ends: BTreeSet<End>,
    /// The platform's sources, as standards list them by pods, to which every pod there belongs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub sources: BTreeSet<SourceName>,
}

/// A platform's source by the standard that lists it and its name there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceName {
    /// The name of the standard.
    pub standard: String,
    /// The name of the source.
    pub name: String,
}

/// A Service by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

/// What a connection reaches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum End {
    /// A pod, with the holdings that cover it; none where no holding does.
    Pod(BTreeSet<Cover>),
    /// A node, and whatever listens there: a port of the node, of a host network, or one that a node gives to a Service or pod.
    Node,
    /// The Kubernetes API server.
    ApiServer,
    /// An address outside the cluster, to which a Service without a selector leads.
    Outside(SocketAddr),
    /// An address inside the cluster at which nobody is known.
    Unknown,
}

/// A holding that covers a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cover {
    /// `namespace/name` of the holding.
    pub holding: String,
    /// The categories that it holds.
    pub data: BTreeSet<Category>,
    /// The names of the standards that bind it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub standards: BTreeSet<String>,
    /// Whether the pod's packet filter is proven and its sidecar enforces the holding's document.
    pub enforcing: bool,
}

/// Someone who knows the peers inside the cluster.
pub trait PeerSource {
    /// Who is at an address and port; absent while that is not known.
    fn peer(&self, at: SocketAddr) -> Option<Arc<Peer>>;

    /// Whether the cluster takes what is sent to this address, though it is in none of its networks: an external address of a
    /// Service, or an address of a node.
    fn captures(&self, address: IpAddr) -> bool;
}

/// Nobody is known: whatever is inside the cluster is denied.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl PeerSource for NoPeers {
    fn peer(&self, _at: SocketAddr) -> Option<Arc<Peer>> {
        None
    }

    fn captures(&self, _address: IpAddr) -> bool {
        false
    }
}
