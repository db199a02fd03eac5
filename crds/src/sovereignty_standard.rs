//! `SovereigntyStandard`: rules set by the regulator or the platform.

pub mod access;
pub mod inbound;
pub mod listing;
pub mod logs;
pub mod operation;
pub mod requirements;
pub mod storage;
pub mod transfers;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::selector::Selector;
pub use access::AccessRules;
pub use inbound::{InboundRules, InboundSource, SourcePods};
pub use listing::Listing;
pub use logs::{Collecting, LogCollector, LogRules};
use operation::{ClusterApiUse, Observe, Reporting, Response, Rollout};
use requirements::{ControlSource, MaxRetention, Requirement};
pub use storage::{StorageDriver, StorageRules};
pub use transfers::{EmptyTransfer, EmptyTransfers, EncryptedClientHello, InClusterRule, MinTls, SharedTenancy, TransferRule};

/// Rules for where data of certain categories may go. A standard binds by namespace and category, without being asked; of all
/// that apply to a holding each must allow a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "shekara.dev",
    version = "v1alpha1",
    kind = "SovereigntyStandard",
    plural = "sovereigntystandards",
    shortname = "sstd",
    category = "shekara",
    status = "SovereigntyStandardStatus",
    derive = "PartialEq",
    doc = "SovereigntyStandard is a set of rules of the regulator or the platform for where data of certain categories may go. It binds by namespace and category, without being asked.",
    printcolumn(name = "TITLE", type_ = "string", json_path = ".spec.title"),
    printcolumn(name = "AUTHORITY", type_ = "string", json_path = ".spec.authority.name"),
    printcolumn(name = "ACCEPTED", type_ = "string", json_path = ".status.conditions[?(@.type=='Accepted')].status"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[kube(cel)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.emptyTransfers.home != 'Bounded' && self.emptyTransfers.abroad != 'Bounded') || has(self.maxEmptyOutPerDay)").message("emptyTransfers are Bounded and maxEmptyOutPerDay does not say by what").field_path(".maxEmptyOutPerDay"))]
pub struct SovereigntyStandardSpec {
    /// What the standard is called.
    #[schemars(length(min = 1, max = 256))]
    pub title: String,
    /// Whose standard it is.
    pub authority: Authority,
    /// What it binds.
    pub applies_to: AppliesTo,
    /// The countries that count as home (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::countries")]
    pub home_countries: Vec<String>,
    /// Networks whose country the standard declares; judged before any geo source, the longest prefix first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub networks: Vec<Network>,
    /// How many geo sources must know an address, and agree, before its country counts as known.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 8))]
    pub min_sources: i32,
    /// Where data may go. Every rule whose data matches must agree; data that the standard binds and no rule matches may go
    /// nowhere.
    #[schemars(length(min = 1, max = 64))]
    pub transfers: Vec<TransferRule>,
    /// Who may connect to the workloads. When absent, whoever connects passes and is recorded, and the status of holdings says that
    /// it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundRules>,
    /// Who may reach into the workloads by the Kubernetes API. When absent, whoever has the right in the cluster may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<AccessRules>,
    /// Which volumes the workloads may mount. When absent, volumes of every driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageRules>,
    /// Who may collect what the workloads print, which lies on their nodes. Nothing is refused by it: those who are not listed are named by the
    /// condition Covered of holdings. When absent, nobody looks who collects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<LogRules>,
    /// What becomes of routes that a holding declares to carry none of its data.
    #[serde(default)]
    pub empty_transfers: EmptyTransfers,
    /// How many bytes may leave by a route that claims to carry no data where that is `Bounded`, in each pod and each day of UTC:
    /// a quantity such as `50Mi`. All such routes of a pod to one recipient share one count; the lowest bound of all standards
    /// and transfers counts. It is a bound of a pod: so many pods, so many times may it leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub max_empty_out_per_day: Option<String>,
    /// Where an endpoint that serves many customers is.
    #[serde(default)]
    pub shared_tenancy: SharedTenancy,
    /// What becomes of TLS flows whose hello has the extension Encrypted ClientHello. Browsers and programs made like them send it always,
    /// mostly as a decoy of random bytes (GREASE); by design nobody on the way can tell a decoy from a hidden name.
    #[serde(default)]
    pub encrypted_client_hello: EncryptedClientHello,
    /// Egress proxies that are there already, to which flows may be handed by CONNECT; all standards that apply must name one. Such a flow is
    /// judged by the name and port that CONNECT has and that the TLS inside must have too. The proxy resolves the name, so in
    /// which country it ends is not measured: the proxy has to see to that. Applications find it by its address or a name of the cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub egress_via: Vec<EgressVia>,
    /// Whether and how long holdings may observe before they enforce. They may not where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<Observe>,
    /// Whether workloads may use the Kubernetes API.
    #[serde(default, rename = "clusterAPI")]
    pub cluster_api: ClusterApiUse,
    /// What holdings must declare; what is missing is named by their condition DeclarationComplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub requires: Vec<Requirement>,
    /// How long data may be kept at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub max_retention: Vec<MaxRetention>,
    /// How old a policy document may be before nothing leaves by it: a duration such as `24h`, 5m at least; 24h where
    /// no standard says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max_staleness: Option<String>,
    /// What is done about incidents. Not used yet: nothing is done by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How often reports are made, and how long they are kept. Not used yet: no reports are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reporting: Option<Reporting>,
    /// Whether pods that have no sidecar are replaced, such as those that were there before their holding. They are not, where no
    /// standard that applies says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Which controls the standard asks for, and where each comes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub controls: Vec<ControlSource>,
}

fn one() -> i32 {
    1
}

/// Whose standard it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authority {
    /// The authority's name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
}

/// What a standard binds: holdings in these namespaces that hold any of this data. It judges the routes that carry such data, and
/// all routes of such a holding that claim to carry none; data that no standard binds may go nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliesTo {
    /// The namespaces by their labels; all when empty.
    #[serde(default)]
    pub namespace_selector: Selector,
    /// The categories, or families such as `biometric.*`.
    #[schemars(schema_with = "schema::category_patterns")]
    pub data: Vec<String>,
}

/// A network and the country that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("isCIDR(self.cidr)").message("cidr is not a CIDR, as in 10.40.0.0/16").field_path(".cidr"))]
pub struct Network {
    /// The network as a CIDR, IPv4 or IPv6.
    #[schemars(length(min = 1, max = 49))]
    pub cidr: String,
    /// Its country (ISO 3166-1 alpha-2).
    #[schemars(schema_with = "schema::country")]
    pub country: String,
    /// What the network is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub note: Option<String>,
}

/// An egress proxy that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("isCIDR(self.network)").message("network is not a CIDR, as in 10.20.0.5/32").field_path(".network"))]
pub struct EgressVia {
    /// Its addresses as a CIDR, IPv4 or IPv6.
    #[schemars(length(min = 1, max = 49))]
    pub network: String,
    /// Its ports.
    #[schemars(schema_with = "schema::ports")]
    pub ports: Vec<i32>,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SovereigntyStandardStatus {
    /// `Accepted`: whether every field can be used.
    #[serde(default)]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

impl SovereigntyStandard {
    /// A standard that binds everything and cannot be read, so that no route is open: for one of which nobody knows what it asks.
    #[must_use]
    pub fn stand_in(name: &str) -> Self {
        let unknown = String::from("unreadable");
        let spec = SovereigntyStandardSpec {
            title: unknown.clone(),
            authority: Authority { name: unknown.clone(), country: unknown.clone() },
            applies_to: AppliesTo { namespace_selector: Selector::default(), data: vec![unknown] },
            home_countries: vec![],
            networks: vec![],
            min_sources: 1,
            transfers: vec![],
            inbound: None,
            access: None,
            storage: None,
            logs: None,
            empty_transfers: EmptyTransfers::default(),
            max_empty_out_per_day: None,
            shared_tenancy: SharedTenancy::default(),
            encrypted_client_hello: EncryptedClientHello::default(),
            egress_via: vec![],
            observe: None,
            cluster_api: ClusterApiUse::default(),
            requires: vec![],
            max_retention: vec![],
            max_staleness: None,
            response: None,
            reporting: None,
            rollout: None,
            controls: vec![],
        };
        Self::new(name, spec)
    }
}
