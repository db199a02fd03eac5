//! Who may connect to the pods of a holding, where standards ask that clients be listed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Constraint;
use crate::category::Category;
use crate::country::Country;
use crate::reason::Reason;

/// What opens a holding's pods to clients. Besides these, pods that are covered for the same data may connect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inbound {
    /// What each standard lists that asks for lists; a client must pass by each. None opens nothing.
    pub standards: Vec<InboundTerms>,
    /// The clients that the holding declares.
    pub clients: Vec<Client>,
}

/// What one standard lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundTerms {
    /// The name of the standard.
    pub standard: String,
    /// The platform's sources.
    pub from: Vec<PlatformSource>,
}

/// A source of the platform, such as an ingress or a scraper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformSource {
    /// Its name in the standard.
    pub name: String,
    /// Whether it is known by its pods. Which they are changes far more often than a document, and is asked of the operator.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pods: bool,
    /// The networks from which it connects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
    /// The ports to which it may connect; empty for every port.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<u16>,
}

/// A client that the holding declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    /// Where it connects from.
    pub network: IpNet,
    /// The country in which its address must be. That never makes an unknown country known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The ports to which it may connect; empty for every port.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ports: BTreeSet<u16>,
    /// The categories that it reads, as declared.
    pub data: BTreeSet<Category>,
    /// What each matching rule of each standard asks; all must be met.
    pub constraints: Vec<Constraint>,
    /// Why it may not connect, wherever it is: kept in the document, so that the denial says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred: Option<Reason>,
}

impl PlatformSource {
    /// Whether it may connect to a port.
    #[must_use]
    pub fn reaches(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }
}

impl Client {
    /// Whether it may connect to a port.
    #[must_use]
    pub fn reaches(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }
}
