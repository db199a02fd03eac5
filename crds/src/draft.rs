//! Drafts: the holding that an annotation makes of a workload that says what it holds, where no holding claims it. A pure function,
//! the same for admission and controller.
//!
//! A draft lists no route, so that it opens nothing. It observes where every standard that applies grants that to drafts, and
//! enforces everywhere else. What nobody has declared stands in it as a placeholder that no one can take for a declaration.

mod name;
mod selection;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kube::core::ObjectMeta;
use shekara_policy::Category;
use shekara_policy::category::CategoryError;

use crate::compile::applies;
use crate::data_holding::{Controller, DataHolding, DataHoldingSpec, Enforcement, Held, Mode, WorkloadSelector};
use crate::sovereignty_standard::SovereigntyStandard;
use crate::{DRAFT_LABEL, DRAFT_OF_ANNOTATION};

/// What stands in a draft for a fact that nobody has declared; titles begin with it.
pub const PLACEHOLDER: &str = "DRAFT: not declared yet";

/// What stands for a country that nobody has declared: none is called so, and it is shown as unknown.
pub const UNKNOWN_COUNTRY: &str = "ZZ";

/// How many drafts a namespace may have: who may make pods there could else make holdings without end.
pub const MOST: usize = 64;

/// The longest title, in characters.
const TITLE: usize = 256;

/// A workload that says by its annotation what it holds.
#[derive(Clone, Copy, Debug)]
pub struct Marked<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its kind, as `Deployment`; that of the pod where nothing controls it.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The labels of its pods.
    pub labels: &'a BTreeMap<String, String>,
    /// What the annotation says.
    pub data: &'a str,
}

/// What surrounds a workload when its draft is made.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Every standard of the cluster.
    pub standards: &'a [SovereigntyStandard],
    /// The labels of the namespace.
    pub namespace_labels: &'a BTreeMap<String, String>,
    /// The names of the holdings that the namespace has: none of them claims the workload.
    pub taken: &'a BTreeSet<String>,
    /// How many of them are drafts.
    pub drafts: usize,
    /// The present time, from which Observe is counted.
    pub now: Timestamp,
}

/// Why there is no draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// The annotation names something that is no category.
    #[error(transparent)]
    UnknownCategory(#[from] CategoryError),
    /// The annotation names nothing.
    #[error("it names no category of data: one such as biometric.face or vehicle.location is expected, several with commas")]
    NoCategory,
    /// The pods cannot be told from others.
    #[error(
        "the pods have no label of their own by which a DataHolding could select them: give the pod template one, such as app"
    )]
    NoLabel,
    /// Somebody makes drafts without end.
    #[error(
        "the namespace has {MOST} drafts already: fill them in and take the label {DRAFT_LABEL} off, or declare a DataHolding"
    )]
    TooManyDrafts,
}

impl DraftError {
    /// A stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownCategory(_) => "UnknownCategory",
            Self::NoCategory => "NoCategory",
            Self::NoLabel => "NoLabel",
            Self::TooManyDrafts => "TooManyDrafts",
        }
    }
}

/// The draft of a workload that no holding claims.
///
/// # Errors
/// When the annotation cannot be read, or the workload's pods cannot be selected.
pub fn draft(marked: &Marked<'_>, around: &Around<'_>) -> Result<DataHolding, DraftError> {
    let (data, match_labels) = possible(marked.data, marked.labels, around.drafts)?;
    let spec =
        spec(title(marked), WorkloadSelector { match_labels, match_expressions: vec![] }, &data, enforcement(&data, around));
    let metadata = ObjectMeta {
        name: Some(name::free(marked.name, around.taken)),
        namespace: Some(marked.namespace.to_owned()),
        labels: Some([(DRAFT_LABEL.to_owned(), "true".to_owned())].into()),
        annotations: Some([(DRAFT_OF_ANNOTATION.to_owned(), format!("{}/{}", marked.kind, marked.name))].into()),
        ..ObjectMeta::default()
    };
    Ok(DataHolding { metadata, spec, status: None })
}

/// What a draft would hold, and by which labels it would select: all that can be wrong with one, so that who has but a cache need ask
/// nobody where there can be none.
///
/// # Errors
/// As for the draft itself.
pub fn possible(
    data: &str,
    labels: &BTreeMap<String, String>,
    drafts: usize,
) -> Result<(BTreeSet<Category>, BTreeMap<String, String>), DraftError> {
    let data = categories(data)?;
    let match_labels = selection::lasting(labels).ok_or(DraftError::NoLabel)?;
    if drafts >= MOST {
        return Err(DraftError::TooManyDrafts);
    }
    Ok((data, match_labels))
}

/// Whether a holding is a draft that nobody has taken over.
#[must_use]
pub fn is_draft(holding: &DataHolding) -> bool {
    holding.metadata.labels.as_ref().and_then(|labels| labels.get(DRAFT_LABEL)).is_some_and(|value| value == "true")
}

/// The categories that an annotation names.
///
/// # Errors
/// When it names something else, or nothing.
pub fn categories(annotation: &str) -> Result<BTreeSet<Category>, DraftError> {
    let names = annotation.split(',').map(str::trim).filter(|name| !name.is_empty());
    let data = names.map(str::parse::<Category>).collect::<Result<BTreeSet<Category>, _>>()?;
    if data.is_empty() { Err(DraftError::NoCategory) } else { Ok(data) }
}

/// Those of the categories that none of the holdings holds.
pub fn not_held<'a>(data: &BTreeSet<Category>, holdings: impl IntoIterator<Item = &'a DataHolding>) -> BTreeSet<Category> {
    let held: BTreeSet<&str> =
        holdings.into_iter().flat_map(|holding| &holding.spec.data).map(|held| held.category.as_str()).collect();
    data.iter().filter(|category| !held.contains(category.as_str())).copied().collect()
}

/// That an annotation names categories which these holdings do not hold, and what to do.
#[must_use]
pub fn differs(
    missing: impl Iterator<Item = impl std::fmt::Display>,
    holdings: impl Iterator<Item = impl std::fmt::Display>,
) -> String {
    let list = |names: Vec<String>| names.join(", ");
    let missing = list(missing.map(|category| category.to_string()).collect());
    let holdings = list(holdings.map(|name| name.to_string()).collect());
    format!(
        "it says that the workload holds {missing}, which the DataHolding that covers it ({holdings}) does not hold: add that to its \
         spec.data, or take it out of the annotation (DataNotHeld)"
    )
}

fn title(marked: &Marked<'_>) -> String {
    format!("{PLACEHOLDER} ({} {})", marked.kind, marked.name).chars().take(TITLE).collect()
}

/// Observe for as long as every standard that applies grants it to drafts, and Enforce where one does not, or none applies.
fn enforcement(data: &BTreeSet<Category>, around: &Around<'_>) -> Enforcement {
    let applying = around.standards.iter().filter(|standard| applies(standard, data, around.namespace_labels));
    let granted = applying.map(granted_days).collect::<Option<Vec<i64>>>();
    let days = granted.into_iter().flatten().min().filter(|days| *days > 0);
    let until = days.and_then(|days| end(around.now, days));
    match until {
        Some(until) => Enforcement { mode: Mode::Observe, observe_until: Some(until.to_string()) },
        None => Enforcement::default(),
    }
}

/// For how many days a standard lets drafts observe; none where it does not.
fn granted_days(standard: &SovereigntyStandard) -> Option<i64> {
    standard.spec.observe.as_ref().filter(|observe| observe.drafts).map(|observe| i64::from(observe.max_days))
}

/// In whole seconds, as the API server writes the time of creation from which standards count.
fn end(now: Timestamp, days: i64) -> Option<Timestamp> {
    let lasts = SignedDuration::from_hours(days.checked_mul(24)?);
    Timestamp::from_second(now.as_second()).ok()?.checked_add(lasts).ok()
}

fn spec(
    title: String,
    workload_selector: WorkloadSelector,
    data: &BTreeSet<Category>,
    enforcement: Enforcement,
) -> DataHoldingSpec {
    let held = |category: &Category| Held { category: category.to_string(), ..Held::default() };
    DataHoldingSpec {
        title,
        system: None,
        controller: Controller { name: PLACEHOLDER.into(), registration_number: None, country: UNKNOWN_COUNTRY.into() },
        responsible: None,
        workload_selector,
        data: data.iter().map(held).collect(),
        transfers: vec![],
        in_cluster: vec![],
        clients: vec![],
        cluster_api: None,
        collection: None,
        storage: vec![],
        retention: None,
        destruction: None,
        software: vec![],
        certificates: vec![],
        impact_assessment: None,
        processors: None,
        remote_access: None,
        authorised_persons: None,
        enforcement,
    }
}

#[cfg(test)]
mod tests;
