//! What becomes of a category that is taken away from a holding: pods that were there before may still have such data, so the
//! holding's document goes on counting it until the last of them has ended.
//!
//! What is counted stands in the status, so that who compiles a holding needs no pods: the operator's leader alone looks at those.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use shekara_policy::Category;

use crate::data_holding::DataHolding;
use crate::data_holding::status::HeldCategory;

/// How long after a category was taken away a pod may be created that was admitted before, or by a clock that goes before ours.
pub const SETTLING: SignedDuration = SignedDuration::from_secs(30);

/// The categories that the spec names, as far as they can be read.
#[must_use]
pub fn named(holding: &DataHolding) -> BTreeSet<Category> {
    holding.spec.data.iter().filter_map(|held| held.category.parse().ok()).collect()
}

/// The categories that the document of a holding counts: those that the spec names, and those that the status says are still
/// counted.
#[must_use]
pub fn counted(holding: &DataHolding) -> BTreeSet<Category> {
    let mut counted = named(holding);
    counted.extend(recorded(holding).into_keys());
    counted
}

/// What the status is to say of a holding whose last document counted these categories. `oldest` says when the oldest live pod
/// of the holding was created, and is asked only where something was taken away.
#[must_use]
pub fn held(
    holding: &DataHolding,
    documented: &BTreeSet<Category>,
    oldest: impl FnOnce() -> Option<Timestamp>,
    now: Timestamp,
) -> Vec<HeldCategory> {
    let (named, recorded) = (named(holding), recorded(holding));
    let candidates: BTreeSet<Category> = documented.iter().chain(recorded.keys()).copied().collect();
    let taken: Vec<Category> = candidates.difference(&named).copied().collect();
    let oldest = if taken.is_empty() { None } else { oldest() };
    let mut held: BTreeMap<Category, Option<Timestamp>> = named.into_iter().map(|category| (category, None)).collect();
    for category in taken {
        // a time to come was written by a clock that went before
        let removed = recorded.get(&category).copied().flatten().unwrap_or(now).min(now);
        if now < settled(removed) || oldest.is_some_and(|oldest| was_there(oldest, removed)) {
            held.insert(category, Some(removed));
        }
    }
    let entry = |(category, removed): (Category, Option<Timestamp>)| HeldCategory {
        category: category.to_string(),
        removed_at: removed.map(|removed| removed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    };
    held.into_iter().map(entry).collect()
}

/// What the status is to say once that was found: what the document still counts stays recorded until the next one is published.
/// Else what is let go of would look like something that was taken away just now.
#[must_use]
pub fn written(holding: &DataHolding, found: &[HeldCategory], documented: &BTreeSet<Category>) -> Vec<HeldCategory> {
    let counted = |held: &&HeldCategory| held.category.parse::<Category>().is_ok_and(|category| documented.contains(&category));
    let known = |held: &&HeldCategory| !found.iter().any(|found| found.category == held.category);
    let before = holding.status.iter().flat_map(|status| &status.held);
    found.iter().chain(before.filter(counted).filter(known)).cloned().collect()
}

/// When something may be counted no longer though no pod ends by then.
#[must_use]
pub fn next_change(held: &[HeldCategory], now: Timestamp) -> Option<Timestamp> {
    held.iter().filter_map(removed).map(settled).filter(|settled| *settled > now).min()
}

/// What a pod of a holding may be sent, of the categories that its document counts. What was taken away is sent to those alone
/// that had it before: they are held to it until they end, and a newer one is not.
#[must_use]
pub fn receives(holding: &DataHolding, documented: &BTreeSet<Category>, created: Timestamp) -> BTreeSet<Category> {
    let mut received = named(holding);
    let had = |(category, removed): (Category, Option<Timestamp>)| {
        removed.is_none_or(|removed| was_there(created, removed)).then_some(category)
    };
    received.extend(recorded(holding).into_iter().filter_map(had));
    received.intersection(documented).copied().collect()
}

/// What the status records: each category, and when it was taken away. None where it has not been, or where the status has not
/// heard of it yet.
fn recorded(holding: &DataHolding) -> BTreeMap<Category, Option<Timestamp>> {
    let held = holding.status.iter().flat_map(|status| &status.held);
    held.filter_map(|held| Some((held.category.parse().ok()?, removed(held)))).collect()
}

fn removed(held: &HeldCategory) -> Option<Timestamp> {
    held.removed_at.as_ref()?.parse().ok()
}

/// Whether a pod that was created then may have been there when a category was taken away.
fn was_there(created: Timestamp, removed: Timestamp) -> bool {
    created <= settled(removed)
}

fn settled(removed: Timestamp) -> Timestamp {
    removed.saturating_add(SETTLING).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
