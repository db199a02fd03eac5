//! Where data may go by a standard.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::recipient::Ground;
use crate::schema;

/// Where data of certain categories may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TransferRule {
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
    /// The countries in which a destination may be (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::countries")]
    pub countries: Vec<String>,
    /// The legal grounds on which a permit may rest.
    #[schemars(length(min = 1, max = 16))]
    pub grounds: Vec<Ground>,
    /// The lowest TLS version; with it, plain connections are not allowed.
    #[serde(default, rename = "minTLS", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MinTls")]
    pub min_tls: Option<MinTls>,
    /// To which destinations inside the cluster the data may go. When absent: to pods of holdings that hold the same data, and to
    /// whatever Services a holding lists under `inCluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "InClusterRule")]
    pub in_cluster: Option<InClusterRule>,
}

/// A TLS version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum MinTls {
    /// TLS 1.2 or later.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 or later.
    #[serde(rename = "1.3")]
    V13,
}

/// To which destinations inside the cluster data may go. Of several rules for the same data the strictest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum InClusterRule {
    /// To pods of holdings that hold the same data, and to Services that a holding lists under `inCluster` if each pod behind them is
    /// covered by some holding.
    Covered,
    /// To pods of holdings that hold the same data alone: what a holding lists besides is closed.
    SameData,
    /// To none.
    Denied,
}

/// What becomes of routes that a holding declares to carry none of its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyTransfers {
    /// Where both the recipient and the destination are in a home country.
    #[serde(default)]
    pub home: EmptyTransfer,
    /// Elsewhere in a country that is known; and there only with an approval on the transfer.
    #[serde(default)]
    pub abroad: EmptyTransfer,
}

/// What becomes of a route that is declared to carry no data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EmptyTransfer {
    /// It is closed.
    #[default]
    Denied,
    /// It is open until `maxEmptyOutPerDay` has left a pod on a day of UTC.
    Bounded,
    /// It is open.
    Allowed,
}

/// Where an endpoint that serves many customers is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum SharedTenancy {
    /// Nobody knows, unless a network of a standard has its address.
    #[default]
    Unknown,
    /// Where the geo sources say that its address is, as with any other endpoint; all standards that apply must say so.
    Located,
}

/// What becomes of TLS flows whose hello has the extension Encrypted ClientHello (RFC 9849).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum EncryptedClientHello {
    /// They are denied.
    #[default]
    Denied,
    /// They are judged by the outer name, which everybody sees and a recipient must list; all standards that apply must say so. The
    /// risk: whoever serves that name can lead the flow to any other name that he serves, and that name is not in sight, as it is
    /// not where a name serves many customers. Records by which clients learn how to hide a name are kept out of DNS answers all
    /// the same, so that a program has to bring them along.
    OuterName,
}
