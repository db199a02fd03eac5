//! Who may collect what the workloads of a holding print.

use std::collections::BTreeSet;

use shekara_policy::{Category, Country};

use super::problem::Problems;
use super::standard::{Standard, known};
use crate::sovereignty_standard::{Listing, LogRules, SourcePods};

/// For each standard that asks that collectors be listed, those that it lists in a country that its rules allow for all that is held. A
/// collector must be among those of each.
pub(super) fn collectors(held: &BTreeSet<Category>, standards: &[Standard]) -> Vec<Vec<SourcePods>> {
    let listed = standards.iter().filter_map(|standard| {
        let allowed = standard.allowed(held);
        let collectors = standard.logs.as_ref()?.iter().filter(|(_, country)| allowed(country));
        Some(collectors.map(|(pods, _)| pods.clone()).collect())
    });
    listed.collect()
}

/// The collectors that a standard lists; none where it asks for no list. One that cannot be read is left out, so it is named.
pub(super) fn listed(rules: Option<&LogRules>, prefix: &str, problems: &mut Problems) -> Option<Vec<(SourcePods, Country)>> {
    let rules = rules.filter(|rules| rules.mode == Listing::Listed)?;
    let collectors = rules.collectors.iter().enumerate();
    let country = |index: usize, code: &str, problems: &mut Problems| {
        problems.check(&format!("{prefix}spec.logs.collectors[{index}].country"), known(code))
    };
    let listed =
        collectors.filter_map(|(index, collector)| Some((collector.pods.clone(), country(index, &collector.country, problems)?)));
    Some(listed.collect())
}
