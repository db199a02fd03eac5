//! A standard with its fields read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::ResourceExt as _;
use shekara_policy::category::CategoryPattern;
use shekara_policy::document::{Constraint, CountryNetwork, EgressProxy, Leave, PlatformSource};
use shekara_policy::flow::TlsVersion;
use shekara_policy::{Category, Country};

use super::problem::{Problem, ProblemCode, Problems};
use crate::duration::duration;
use crate::quantity;
use crate::recipient::Ground;
use crate::sovereignty_standard::operation::ClusterApiUse;
use crate::sovereignty_standard::{
    EmptyTransfer, EncryptedClientHello, InClusterRule, MinTls, SharedTenancy, SourcePods, SovereigntyStandard,
    SovereigntyStandardSpec, TransferRule,
};

/// The shortest `maxStaleness`.
const SHORTEST: Duration = Duration::from_secs(300);

/// A standard whose fields can be used.
pub(super) struct Standard {
    pub(super) name: String,
    pub(super) networks: Vec<CountryNetwork>,
    pub(super) min_sources: u8,
    /// Whether geo sources say where an endpoint is that serves many customers.
    pub(super) locates_shared: bool,
    /// Whether the outer name of a hello counts in which another may be hidden.
    pub(super) passes_ech: bool,
    /// Proxies to which flows may be handed.
    pub(super) egress_via: Vec<EgressProxy>,
    pub(super) empty_home: Leave,
    pub(super) empty_abroad: Leave,
    /// Whether a field could not be read: such a standard closes every route.
    pub(super) broken: bool,
    /// How old a document of a holding may be.
    pub(super) max_staleness: Option<Duration>,
    /// Whether holdings may let their workloads reach the Kubernetes API.
    pub(super) leaves_cluster_api: bool,
    /// For how many days from its creation a holding may observe; 0 where it may not.
    pub(super) observe_days: i32,
    /// Whether workloads are restarted whose pods have no sidecar.
    pub(super) restarts: bool,
    /// How many of them at once, where it says so.
    pub(super) restarts_at_once: Option<usize>,
    pub(super) home: BTreeSet<Country>,
    /// The sources of the platform that may connect to workloads; none where clients need not be listed.
    pub(super) inbound: Option<Vec<PlatformSource>>,
    /// The drivers whose volumes may be mounted, and where they keep them; none where every driver may.
    pub(super) storage: Option<Vec<(String, Country)>>,
    /// The collectors of logs, and where they send them; none where nobody looks who collects.
    pub(super) logs: Option<Vec<(SourcePods, Country)>>,
    bound: Vec<CategoryPattern>,
    rules: Vec<Rule>,
}

struct Rule {
    data: Vec<CategoryPattern>,
    countries: BTreeSet<Country>,
    grounds: BTreeSet<Ground>,
    min_tls: Option<TlsVersion>,
    in_cluster: Option<InClusterRule>,
}

/// Whether a standard binds a holding of this data in a namespace with these labels. A standard whose categories cannot be read
/// binds everything: what it meant is not known.
pub(crate) fn applies(
    standard: &SovereigntyStandard,
    data: &BTreeSet<Category>,
    namespace_labels: &BTreeMap<String, String>,
) -> bool {
    let scope = &standard.spec.applies_to;
    let binds = |pattern: &String| {
        pattern.parse::<CategoryPattern>().map_or(true, |pattern| data.iter().any(|category| pattern.matches(*category)))
    };
    scope.namespace_selector.matches(namespace_labels) && scope.data.iter().any(binds)
}

/// What is wrong with a standard by itself.
#[must_use]
pub fn problems(standard: &SovereigntyStandard) -> Vec<Problem> {
    let mut problems = Problems::default();
    Standard::read(standard, "", &mut problems);
    problems.into_vec()
}

impl Standard {
    /// Reads a standard that applies to a holding; its problems carry its name.
    pub(super) fn parse(standard: &SovereigntyStandard, problems: &mut Problems) -> Self {
        Self::read(standard, &format!("SovereigntyStandard/{} ", standard.name_any()), problems)
    }

    fn read(standard: &SovereigntyStandard, prefix: &str, problems: &mut Problems) -> Self {
        let spec = &standard.spec;
        let before = problems.len();
        let bound = spec.applies_to.data.iter().enumerate();
        let bound = bound
            .filter_map(|(index, pattern)| problems.check(&format!("{prefix}spec.appliesTo.data[{index}]"), pattern.parse()))
            .collect();
        let home = countries(&spec.home_countries, &format!("{prefix}spec.homeCountries"), problems);
        let mut networks = Vec::new();
        for (index, network) in spec.networks.iter().enumerate() {
            let field = format!("{prefix}spec.networks[{index}]");
            let cidr = problems.check(&format!("{field}.cidr"), super::route::network(&network.cidr));
            let country = problems.check(&format!("{field}.country"), network.country.parse());
            if let (Some(cidr), Some(country)) = (cidr, country) {
                networks.push(CountryNetwork { cidr, country });
            }
        }
        let mut egress_via = Vec::new();
        for (index, via) in spec.egress_via.iter().enumerate() {
            let field = format!("{prefix}spec.egressVia[{index}]");
            let network = problems.check(&format!("{field}.network"), super::route::network(&via.network));
            let ports = super::recipient::ports(&via.ports, &field, problems);
            egress_via.extend(network.zip(ports).map(|(network, ports)| EgressProxy { network, ports }));
        }
        let rules = spec
            .transfers
            .iter()
            .enumerate()
            .map(|(index, rule)| Rule::read(rule, &format!("{prefix}spec.transfers[{index}]"), problems))
            .collect();
        let max_empty = spec.max_empty_out_per_day.as_deref();
        let max_empty =
            max_empty.and_then(|text| problems.check(&format!("{prefix}spec.maxEmptyOutPerDay"), quantity::bytes(text)));
        let mut leave = |kind, name: &str| match (kind, max_empty) {
            (EmptyTransfer::Denied, _) => Leave::Denied,
            (EmptyTransfer::Allowed, _) => Leave::Allowed,
            (EmptyTransfer::Bounded, Some(bytes)) => Leave::Bounded(bytes),
            (EmptyTransfer::Bounded, None) => {
                let message = "it is Bounded, and maxEmptyOutPerDay does not say by what";
                problems.add(&format!("{prefix}spec.emptyTransfers.{name}"), ProblemCode::InvalidField, message);
                Leave::Denied
            }
        };
        let (empty_home, empty_abroad) = (leave(spec.empty_transfers.home, "home"), leave(spec.empty_transfers.abroad, "abroad"));
        let max_staleness = spec.max_staleness.as_deref();
        let max_staleness = max_staleness.and_then(|text| problems.check(&format!("{prefix}spec.maxStaleness"), staleness(text)));
        let inbound = super::inbound::sources(spec.inbound.as_ref(), prefix, problems);
        let storage = super::storage::listed(spec.storage.as_ref(), prefix, problems);
        // what else cannot be read opens and closes nothing
        let broken = problems.len() > before;
        let logs = super::logs::listed(spec.logs.as_ref(), prefix, problems);
        operation(spec, prefix, problems);
        Self {
            name: standard.name_any(),
            max_staleness,
            leaves_cluster_api: spec.cluster_api == ClusterApiUse::PerHolding,
            networks,
            min_sources: u8::try_from(spec.min_sources).unwrap_or(u8::MAX),
            locates_shared: spec.shared_tenancy == SharedTenancy::Located,
            egress_via,
            passes_ech: spec.encrypted_client_hello == EncryptedClientHello::OuterName,
            empty_home,
            empty_abroad,
            broken,
            observe_days: spec.observe.as_ref().map_or(0, |observe| observe.max_days),
            restarts: spec.rollout.as_ref().is_some_and(|rollout| rollout.restart_uncovered),
            restarts_at_once: spec.rollout.as_ref().and_then(|rollout| usize::try_from(rollout.max_concurrent?).ok()),
            home,
            // what one that cannot be read asks of clients, volumes and collectors is not known either
            inbound: inbound.or(broken.then(Vec::new)),
            storage: storage.or(broken.then(Vec::new)),
            logs: logs.or(broken.then(Vec::new)),
            bound,
            rules,
        }
    }

    /// Whether the standard is for this category.
    pub(super) fn binds(&self, category: Category) -> bool {
        self.bound.iter().any(|pattern| pattern.matches(category))
    }

    /// What the standard asks of a route that carries this data: one constraint a matching rule. Data that it binds and no rule
    /// matches may go to no country.
    pub(super) fn constraints(&self, data: &BTreeSet<Category>) -> Vec<Constraint> {
        let constraint = |countries: &BTreeSet<Country>, min_tls, rule| Constraint {
            standard: self.name.clone(),
            countries: countries.clone(),
            min_tls,
            rule,
        };
        let matching = (0u32..).zip(&self.rules).filter(|(_, rule)| rule.matches_any(data));
        let mut constraints: Vec<Constraint> =
            matching.map(|(number, rule)| constraint(&rule.countries, rule.min_tls, Some(number))).collect();
        if data.iter().any(|category| self.binds(*category) && !self.rules.iter().any(|rule| rule.matches(*category))) {
            constraints.push(constraint(&BTreeSet::new(), None, None));
        }
        constraints
    }

    /// Whether all of this data may be in a country.
    pub(super) fn allowed(&self, data: &BTreeSet<Category>) -> impl Fn(&Country) -> bool + use<> {
        let constraints = self.constraints(data);
        move |country| constraints.iter().all(|constraint| constraint.countries.contains(country))
    }

    /// The strictest of what the rules for this data say of destinations inside the cluster.
    pub(super) fn in_cluster(&self, data: &BTreeSet<Category>) -> Option<InClusterRule> {
        if self.broken {
            // what it meant to deny is not known, and to pods that hold the same data nothing leaves by going there
            return Some(InClusterRule::SameData);
        }
        self.rules.iter().filter(|rule| rule.matches_any(data)).filter_map(|rule| rule.in_cluster).max()
    }

    /// Whether every rule for this category allows the ground.
    pub(super) fn allows_ground(&self, category: Category, ground: Ground) -> bool {
        self.rules.iter().filter(|rule| rule.matches(category)).all(|rule| rule.grounds.contains(&ground))
    }
}

/// Names what cannot be read of how the standard is put into operation.
fn operation(spec: &SovereigntyStandardSpec, prefix: &str, problems: &mut Problems) {
    for (index, longest) in spec.max_retention.iter().enumerate() {
        problems.duration(&format!("{prefix}spec.maxRetention[{index}].period"), Some(&longest.period));
    }
    if let Some(response) = &spec.response {
        problems.duration(&format!("{prefix}spec.response.maxDuration"), response.max_duration.as_deref());
        let within = response.escalation.as_ref().map(|escalation| escalation.within.as_str());
        problems.duration(&format!("{prefix}spec.response.escalation.within"), within);
    }
    if let Some(reporting) = &spec.reporting {
        problems.duration(&format!("{prefix}spec.reporting.period"), Some(&reporting.period));
        problems.duration(&format!("{prefix}spec.reporting.keep"), reporting.keep.as_deref());
    }
    for (index, control) in spec.controls.iter().enumerate() {
        problems.date(&format!("{prefix}spec.controls[{index}].effectiveFrom"), control.effective_from.as_deref());
        problems.date(&format!("{prefix}spec.controls[{index}].reviewedAt"), control.reviewed_at.as_deref());
    }
}

/// How old a document may be: documents are signed anew in time, which takes the operator moments.
fn staleness(text: &str) -> Result<Duration, String> {
    let lasts = duration(text).map_err(|error| error.to_string())?;
    if lasts < SHORTEST {
        Err(format!("{text:?} is less than 5m, the shortest that documents are kept fresh within"))
    } else {
        Ok(lasts)
    }
}

impl Rule {
    fn read(rule: &TransferRule, field: &str, problems: &mut Problems) -> Self {
        let data = rule.data.iter().enumerate();
        Self {
            data: data.filter_map(|(index, name)| problems.check(&format!("{field}.data[{index}]"), name.parse())).collect(),
            countries: countries(&rule.countries, &format!("{field}.countries"), problems),
            grounds: rule.grounds.iter().copied().collect(),
            in_cluster: rule.in_cluster,
            min_tls: rule.min_tls.map(|version| match version {
                MinTls::V12 => TlsVersion::V12,
                MinTls::V13 => TlsVersion::V13,
            }),
        }
    }

    fn matches(&self, category: Category) -> bool {
        self.data.iter().any(|pattern| pattern.matches(category))
    }

    fn matches_any(&self, data: &BTreeSet<Category>) -> bool {
        data.iter().any(|category| self.matches(*category))
    }
}

fn countries(codes: &[String], field: &str, problems: &mut Problems) -> BTreeSet<Country> {
    let codes = codes.iter().enumerate();
    codes.filter_map(|(index, code)| problems.check(&format!("{field}[{index}]"), known(code))).collect()
}

/// Those of a list whose country can be read, each with it; of the others the field is named.
pub(super) fn located<'a, T>(
    listed: impl Iterator<Item = (T, &'a str)>,
    field: &str,
    problems: &mut Problems,
) -> Vec<(T, Country)> {
    let mut country = |index: usize, code| problems.check(&format!("{field}[{index}].country"), known(code));
    listed.enumerate().filter_map(|(index, (what, code))| Some((what, country(index, code)?))).collect()
}

/// A country that can be allowed: `ZZ` is none.
pub(super) fn known(code: &str) -> Result<Country, shekara_policy::country::CountryError> {
    let country: Country = code.parse()?;
    if country.is_known() { Ok(country) } else { Err(shekara_policy::country::CountryError(code.to_owned())) }
}
