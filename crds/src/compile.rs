//! From declarations to a policy document: a pure function, the same for controller, webhook and command line.
//!
//! Whatever cannot be compiled closes the routes that depend on it and is named by a [`Problem`]; it never widens anything.

mod bar;
mod bound;
mod declared;
mod empty;
mod inbound;
mod inside;
mod logs;
mod observe;
mod problem;
mod recipient;
mod route;
mod standard;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_policy::document::{Cluster, HoldingReference, StandardNetworks, VERSION};
use shekara_policy::{Category, Country, PolicyDocument};

pub use logs::Collectors;
pub use problem::{Problem, ProblemCode};
pub use recipient::problems as recipient_problems;
pub(crate) use standard::applies;
pub use standard::problems as standard_problems;

use crate::data_holding::DataHolding;
use crate::narrowing;
use crate::recipient::Recipient;
use crate::sovereignty_standard::SovereigntyStandard;
use problem::Problems;
use standard::Standard;

/// What surrounds a holding when it is compiled.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Every standard of the cluster.
    pub standards: &'a [SovereigntyStandard],
    /// Every recipient, by name.
    pub recipients: &'a BTreeMap<String, Recipient>,
    /// The labels of the holding's namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The Services that holdings list, as far as they exist.
    pub services: &'a [ListedService],
    /// What is inside the cluster.
    pub cluster: &'a Cluster,
    /// The present time, by which expired permits are named. The document itself does not depend on it.
    pub now: Timestamp,
}

/// A Service that a holding lists. Where it leads is no matter of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether it is nothing but another name for a name outside the cluster.
    pub external_name: bool,
}

/// The outcome of a compilation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What the sidecars are to enforce.
    pub document: PolicyDocument,
    /// The names of the standards that apply.
    pub standards: Vec<String>,
    /// What is wrong with the declaration, in the order of its fields.
    pub problems: Vec<Problem>,
    /// When the first permit that a route uses expires.
    pub expires: Option<Timestamp>,
    /// How old the document may be, by the strictest of the standards that say it.
    pub max_staleness: Option<Duration>,
    /// The drivers whose volumes workloads may mount; absent where no standard lists any.
    pub storage: Option<BTreeSet<String>>,
    /// For each standard that has them listed, who may collect what workloads print; empty where none does.
    pub log_collectors: Vec<Collectors>,
    /// How many workloads whose pods have no sidecar may be restarted at once; absent where no standard has any restarted.
    pub restarts: Option<usize>,
    /// The recipients that the routes name, as far as there are such.
    pub parties: BTreeMap<String, Party>,
}

/// What a recipient's declaration says of it, to be reported beside what it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// The country under whose law it is.
    pub country: Country,
    /// The country of the entity that controls it, where it is another.
    pub parent_country: Option<Country>,
    /// Whether one of its endpoints serves many customers.
    pub shared: bool,
}

/// Compiles a holding.
#[must_use]
pub fn compile(holding: &DataHolding, around: Surroundings<'_>) -> Compiled {
    let mut problems = Problems::default();
    let named = named(holding, &mut problems);
    // what was taken away binds as long as pods may have it, and is carried by no route
    let data: BTreeSet<Category> = named.union(&narrowing::counted(holding)).copied().collect();
    let standards: Vec<Standard> = around
        .standards
        .iter()
        .filter(|standard| standard::applies(standard, &data, around.namespace_labels))
        .map(|standard| Standard::parse(standard, &mut problems))
        .collect();
    if standards.is_empty() {
        let message = "no SovereigntyStandard applies to this namespace and data, so no route is open";
        problems.add("spec.data", ProblemCode::NoStandard, message);
    }
    let reference = reference(holding);
    let routes: Vec<route::Routed> = holding
        .spec
        .transfers
        .iter()
        .enumerate()
        .map(|(index, transfer)| {
            let field = format!("spec.transfers[{index}]");
            route::compile(transfer, &field, &reference, &named, &standards, around, &mut problems)
        })
        .collect();
    declared::check(&holding.spec, &mut problems);
    let in_cluster = inside::listed(&holding.spec.in_cluster, &data, &standards, around.services, &mut problems);
    let inbound = inbound::compile(&holding.spec.clients, &named, &standards, &mut problems);
    let storage = storage::drivers(&data, &standards);
    let log_collectors = logs::collectors(&data, &standards);
    let document = PolicyDocument {
        version: VERSION,
        holding: reference,
        standards: networks(&standards),
        routes: routes.iter().map(|routed| routed.route.clone()).collect(),
        in_cluster,
        peers_denied: inside::are_peers_denied(&data, &standards),
        inbound,
        cluster_api: cluster_api(holding, &standards, &mut problems),
        observe_until: observe::until(holding, &standards, around.now, &mut problems),
        cluster: around.cluster.clone(),
        data,
    };
    let document = bound::bounded(document, &mut problems);
    Compiled {
        document,
        max_staleness: standards.iter().filter_map(|standard| standard.max_staleness).min(),
        storage,
        log_collectors,
        restarts: restarts(&standards),
        standards: standards.into_iter().map(|standard| standard.name).collect(),
        problems: problems.into_vec(),
        expires: routes.iter().filter_map(|routed| routed.expires).min(),
        parties: routes.iter().filter_map(|routed| Some((routed.route.recipient.clone(), routed.party?))).collect(),
    }
}

/// Whether the workloads may reach the Kubernetes API: where the holding says so and every standard that applies leaves it to
/// holdings.
fn cluster_api(holding: &DataHolding, standards: &[Standard], problems: &mut Problems) -> bool {
    if !holding.spec.cluster_api.as_ref().is_some_and(|wish| wish.allow) {
        return false;
    }
    if let Some(standard) = standards.iter().find(|standard| standard.broken || !standard.leaves_cluster_api) {
        let message = format!("SovereigntyStandard/{} does not leave the Kubernetes API to holdings", standard.name);
        problems.add("spec.clusterAPI.allow", ProblemCode::ClusterAPIDenied, message);
        return false;
    }
    !standards.is_empty()
}

/// How many workloads may be restarted at once: one where no standard says how many.
fn restarts(standards: &[Standard]) -> Option<usize> {
    let at_once = standards.iter().filter_map(|standard| standard.restarts_at_once).min().unwrap_or(1);
    standards.iter().any(|standard| standard.restarts).then_some(at_once)
}

fn reference(holding: &DataHolding) -> HoldingReference {
    HoldingReference {
        namespace: holding.namespace().unwrap_or_default(),
        name: holding.name_any(),
        uid: holding.uid().unwrap_or_default(),
    }
}

fn named(holding: &DataHolding, problems: &mut Problems) -> BTreeSet<Category> {
    let mut data = BTreeSet::new();
    for (index, held) in holding.spec.data.iter().enumerate() {
        match held.category.parse() {
            Ok(category) => drop(data.insert(category)),
            Err(error) => problems.add(&format!("spec.data[{index}].category"), ProblemCode::InvalidField, error),
        }
    }
    data
}

fn networks(standards: &[Standard]) -> Vec<StandardNetworks> {
    let networks = |standard: &Standard| StandardNetworks {
        standard: standard.name.clone(),
        networks: standard.networks.clone(),
        min_sources: standard.min_sources,
        locates_shared: standard.locates_shared,
        passes_ech: standard.passes_ech,
        egress_via: standard.egress_via.clone(),
    };
    standards.iter().map(networks).collect()
}

#[cfg(test)]
mod tests;
