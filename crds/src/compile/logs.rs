//! Who may collect what the workloads of a holding print.

use std::collections::{BTreeMap, BTreeSet};

use shekara_policy::{Category, Country};

use super::problem::Problems;
use super::standard::{Standard, located};
use crate::sovereignty_standard::{Collecting, LogRules, SourcePods};

/// The collectors that one standard lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collectors(Vec<Collector>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Collector {
    pods: SourcePods,
    /// Whether its country is one that the standard allows.
    allowed: bool,
}

impl Collectors {
    /// Whether a pod of this namespace with these labels is listed, and nowhere with a country that is not allowed: who sends to two
    /// countries is listed twice.
    #[must_use]
    pub fn allow(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let mut entries = self.0.iter().filter(|collector| collector.pods.have(namespace, labels)).peekable();
        entries.peek().is_some() && entries.all(|collector| collector.allowed)
    }
}

/// What each standard lists that has it reported who collects, judged by the countries that its rules allow for all that is held.
pub(super) fn collectors(held: &BTreeSet<Category>, standards: &[Standard]) -> Vec<Collectors> {
    let listed = standards.iter().filter_map(|standard| {
        let allowed = standard.allowed(held);
        let collector = |(pods, country): &(SourcePods, Country)| Collector { pods: pods.clone(), allowed: allowed(country) };
        Some(Collectors(standard.logs.as_ref()?.iter().map(collector).collect()))
    });
    listed.collect()
}

/// The collectors that a standard lists; none where nobody looks who collects. One that cannot be read is left out, and who is meant by it is
/// named as anybody else.
pub(super) fn listed(rules: Option<&LogRules>, prefix: &str, problems: &mut Problems) -> Option<Vec<(SourcePods, Country)>> {
    let rules = rules.filter(|rules| rules.mode == Collecting::Reported)?;
    let collectors = rules.collectors.iter().map(|collector| (collector.pods.clone(), collector.country.as_str()));
    Some(located(collectors, &format!("{prefix}spec.logs.collectors"), problems))
}
