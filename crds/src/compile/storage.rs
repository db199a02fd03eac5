//! Which drivers may keep the volumes of a holding's workloads.

use std::collections::BTreeSet;

use shekara_policy::{Category, Country};

use super::problem::Problems;
use super::standard::{Standard, located};
use crate::sovereignty_standard::{Listing, StorageRules};

/// The drivers that every standard lists that lists any, in a country that its rules allow for all that is held; none where no standard
/// lists drivers.
pub(super) fn drivers(held: &BTreeSet<Category>, standards: &[Standard]) -> Option<BTreeSet<String>> {
    let listed = standards.iter().filter_map(|standard| {
        let allowed = standard.allowed(held);
        let drivers = standard.storage.as_ref()?.iter().filter(|(_, country)| allowed(country));
        Some(drivers.map(|(name, _)| name.clone()).collect::<BTreeSet<String>>())
    });
    listed.reduce(|some, others| some.intersection(&others).cloned().collect())
}

/// The drivers that a standard lists; none where it lists none. One that cannot be read is left out, which only ever closes something.
pub(super) fn listed(rules: Option<&StorageRules>, prefix: &str, problems: &mut Problems) -> Option<Vec<(String, Country)>> {
    let rules = rules.filter(|rules| rules.mode == Listing::Listed)?;
    let drivers = rules.drivers.iter().map(|driver| (driver.name.clone(), driver.country.as_str()));
    Some(located(drivers, &format!("{prefix}spec.storage.drivers"), problems))
}
