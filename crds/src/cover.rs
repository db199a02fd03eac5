//! Which holdings cover a pod: the same answer for admission and for whoever explains it.

use std::collections::{BTreeMap, BTreeSet};

use crate::draft::is_draft;
use crate::{DATA_ANNOTATION, DataHolding, HOLDING_ANNOTATION, PROTECT_LABEL};

/// A pod asks by its annotation for a holding that its namespace does not have: it would start without the protection that it
/// asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the namespace has no DataHolding {0:?}; create it before the pod, or correct the name")]
pub struct NoSuchHolding(pub String);

/// Whether a namespace with these labels is one whose pods are matched against its holdings.
#[must_use]
pub fn is_protected(namespace: &BTreeMap<String, String>) -> bool {
    namespace.get(PROTECT_LABEL).is_some_and(|value| value == "true")
}

/// Whether a holding claims a pod that runs. A draft leaves a pod alone that admission put into other holdings, which is `covered`: it
/// lists no route, and would cut off at once what those allow.
#[must_use]
pub fn claims_running(
    holding: &DataHolding,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    covered: bool,
) -> bool {
    holding.claims(labels, annotations) && !(covered && is_draft(holding))
}

/// The names of the holdings of its namespace that cover a new pod with these labels and annotations; none for a pod that is
/// nobody's. A pod that says by annotation what it holds, or who covers it, is matched in whatever namespace.
///
/// # Errors
/// When the pod asks for a holding that does not exist.
pub fn covering<'a>(
    namespace: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    holdings: impl IntoIterator<Item = &'a DataHolding>,
) -> Result<BTreeSet<String>, NoSuchHolding> {
    let asked = annotations.get(HOLDING_ANNOTATION).map(String::as_str).unwrap_or_default();
    if !is_protected(namespace) && asked.is_empty() && !annotations.contains_key(DATA_ANNOTATION) {
        return Ok(BTreeSet::new());
    }
    let claiming = holdings.into_iter().filter(|holding| holding.claims(labels, annotations));
    let names: BTreeSet<String> = claiming.filter_map(|holding| holding.metadata.name.clone()).collect();
    match asked.split(',').map(str::trim).find(|asked| !asked.is_empty() && !names.contains(*asked)) {
        Some(missing) => Err(NoSuchHolding(missing.to_owned())),
        None => Ok(names),
    }
}
