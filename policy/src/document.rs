//! The policy document: what the operator compiles for one holding, and all that the sidecar knows of it.

mod empty;
mod inbound;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use empty::{EmptyRoute, EmptyTerms, Leave};
pub use inbound::{Client, Inbound, InboundTerms, PlatformSource};

use crate::category::Category;
use crate::country::Country;
use crate::flow::{Protocol, TlsVersion};
use crate::host_name::{HostName, HostPattern};
use crate::reason::Reason;

/// The version of the document's form that this crate writes and reads. Another version is refused, never guessed.
pub const VERSION: u32 = 1;

/// Everything that one holding allows. A pod in several holdings may do only what all of their documents allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyDocument {
    /// The form of the document, [`VERSION`].
    pub version: u32,
    /// The holding that it was compiled from.
    pub holding: HoldingReference,
    /// The categories that the holding holds.
    pub data: BTreeSet<Category>,
    /// What the standards that apply say about addresses.
    pub standards: Vec<StandardNetworks>,
    /// The transfers that the holding declares.
    pub routes: Vec<Route>,
    /// The destinations inside the cluster that the holding lists.
    pub in_cluster: Vec<InClusterRoute>,
    /// Whether a standard lets the holding's data go to no pod at all, not even to one that is covered for the same data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub peers_denied: bool,
    /// Who may connect to the holding's pods. Absent where no standard asks that clients be listed: whoever connects then passes, and
    /// is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Inbound>,
    /// Whether the holding's pods may use the API server of the cluster.
    #[serde(default)]
    pub cluster_api: bool,
    /// The first instant at which the holding enforces: until then verdicts are taken and recorded, and flows pass. Absent where it
    /// enforces already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe_until: Option<Timestamp>,
    /// What is inside the cluster, and who resolves names.
    pub cluster: Cluster,
}

/// A holding, unmistakably: a deleted and recreated one has another UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldingReference {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID that the API server gave.
    pub uid: String,
}

impl fmt::Display for HoldingReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What one standard knows about addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StandardNetworks {
    /// The name of the standard.
    pub standard: String,
    /// Networks whose country the standard declares; judged before any geo source, the longest prefix first.
    pub networks: Vec<CountryNetwork>,
    /// How many geo sources must know an address.
    pub min_sources: u8,
    /// Whether geo sources say where an endpoint is that serves many customers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub locates_shared: bool,
    /// Whether a hello with the extension Encrypted ClientHello passes, judged by its outer name alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes_ech: bool,
    /// Egress proxies to which flows may be handed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress_via: Vec<EgressProxy>,
}

/// An egress proxy that is there already. It resolves the names that flows are handed to it with, so in which country those end is not
/// measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressProxy {
    /// Its addresses.
    pub network: IpNet,
    /// Its ports.
    pub ports: BTreeSet<u16>,
}

/// A network and the country that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CountryNetwork {
    /// The network.
    pub cidr: IpNet,
    /// Its country.
    pub country: Country,
}

/// A transfer: to whom, what, and under which conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The name of the recipient.
    pub recipient: String,
    /// The categories that the route carries, as declared.
    pub data: BTreeSet<Category>,
    /// Where the recipient is reached.
    pub endpoints: Vec<Endpoint>,
    /// What each matching rule of each standard asks; all must be met.
    pub constraints: Vec<Constraint>,
    /// The permits for the route's data; absent where the recipient is the holder itself and needs none.
    pub permits: Option<Vec<PermitWindow>>,
    /// Why the route is closed whatever the destination: kept in the document, so that the denial says why.
    pub barred: Option<Reason>,
    /// What the standards say of the route where it carries no data. One that carries none is closed without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty: Option<EmptyRoute>,
    /// How many bytes the holding itself lets leave by the route, a pod and day of UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_out_per_day: Option<u64>,
    /// Whether the recipient is an emergency service: such routes survive a quarantine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emergency: bool,
}

/// One way to reach a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// The host or network.
    pub target: Target,
    /// The ports, at least one.
    pub ports: BTreeSet<u16>,
    /// The protocol spoken there.
    pub protocol: EndpointProtocol,
    /// Whether many customers are served there, so that geo sources alone do not say in which country a flow ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl Endpoint {
    /// Whether a flow of this protocol may use the endpoint. An opaque endpoint takes no flow whose name was read: the sidecar
    /// does not read the bytes of such flows.
    #[must_use]
    pub fn speaks(&self, protocol: Protocol) -> bool {
        match self.protocol {
            EndpointProtocol::Tls => protocol == Protocol::Tls,
            EndpointProtocol::Http => protocol == Protocol::Http,
            EndpointProtocol::Tcp | EndpointProtocol::TcpServerFirst => protocol == Protocol::Tcp,
            EndpointProtocol::Udp => protocol == Protocol::Udp,
        }
    }
}

/// A host by name, or a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Target {
    /// Names that match; the sidecar resolves them itself.
    Host(HostPattern),
    /// Addresses, whatever they are called.
    Network(IpNet),
}

/// The protocol that an endpoint is declared to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EndpointProtocol {
    /// TLS: the ClientHello names the host.
    #[serde(rename = "TLS")]
    Tls,
    /// HTTP/1 without TLS: the Host header names the host.
    #[serde(rename = "HTTP")]
    Http,
    /// TCP whose bytes are not read, where the client speaks first.
    #[serde(rename = "TCP")]
    Tcp,
    /// TCP whose bytes are not read, where the server speaks first.
    #[serde(rename = "TCPServerFirst")]
    TcpServerFirst,
    /// UDP.
    #[serde(rename = "UDP")]
    Udp,
}

/// What one rule of one standard asks of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Constraint {
    /// The name of the standard.
    pub standard: String,
    /// The countries in which the address may be; empty allows none.
    pub countries: BTreeSet<Country>,
    /// The lowest TLS version; with it, only TLS flows may use the route.
    pub min_tls: Option<TlsVersion>,
    /// The number of the rule among those of the standard, from 0: absent where no rule of it is for the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
}

/// A permit's categories and time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PermitWindow {
    /// The categories that it covers.
    pub data: BTreeSet<Category>,
    /// The first instant at which it is valid.
    pub valid_from: Option<Timestamp>,
    /// The first instant at which it no longer is.
    pub valid_until: Option<Timestamp>,
    /// The number of the permit among those of the recipient, from 0.
    #[serde(default)]
    pub permit: u32,
}

/// A Service inside the cluster that the holding lists. Where it leads changes far more often than a document, and is asked of
/// the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InClusterRoute {
    /// The namespace of the Service.
    pub namespace: String,
    /// The name of the Service.
    pub service: String,
    /// The categories that may go there.
    pub data: BTreeSet<Category>,
    /// Whether a standard asks that each pod there be covered by some holding.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub covered: bool,
}

/// What is inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// The networks of pods, Services and nodes: nothing in them is ever judged as a party outside.
    pub networks: Vec<IpNet>,
    /// The DNS domain, usually `cluster.local`.
    pub domain: HostName,
    /// The resolvers, in the order of preference. The pod's own resolv.conf and hosts file are never read.
    pub resolvers: Vec<SocketAddr>,
}

/// A document that cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON form of a document, or one with a field that this version does not know.
    #[error("the policy document cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Another version of the form.
    #[error("the policy document has version {0}, and this sidecar reads version {VERSION} alone")]
    Version(u32),
}

impl PolicyDocument {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// When it is not JSON, has an unknown or missing field, an invalid value, or another version.
    pub fn from_json(json: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Form {
            version: u32,
        }
        let Form { version } = serde_json::from_slice(json)?;
        if version != VERSION {
            return Err(DocumentError::Version(version));
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// The first instant at which a pod with these documents enforces; none where it does already. A pod observes only as long as
    /// all of its holdings do.
    #[must_use]
    pub fn observed_until<'a>(documents: impl IntoIterator<Item = &'a Self>) -> Option<Timestamp> {
        let ends: Option<Vec<Timestamp>> = documents.into_iter().map(|document| document.observe_until).collect();
        ends?.into_iter().min()
    }

    /// `sha256:` and 64 hexadecimal digits over the JSON form: the name of the document.
    ///
    /// The form has no maps with a random order, so equal documents have equal digests on every replica.
    ///
    /// # Errors
    /// When the document cannot be written as JSON, which no value of the type leads to today.
    pub fn digest(&self) -> Result<String, DocumentError> {
        let digest = Sha256::digest(serde_json::to_vec(self)?);
        Ok(digest.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}")))
    }
}

#[cfg(test)]
mod tests;
