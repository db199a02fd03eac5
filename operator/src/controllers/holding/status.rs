//! The status of a holding: a pure function of what was found.

use std::collections::BTreeSet;

use jiff::Timestamp;
use shekara_crds::data_holding::Mode;
use shekara_crds::data_holding::status::{HeldCategory, Policy};
use shekara_crds::declaration::Missing;
use shekara_crds::{Compiled, DataHolding, DataHoldingStatus};

use super::coverage::{Survey, count};
use super::flows::flows;
use super::inbound::inbound;
use super::said::{covered, declared, enforcing, ready};
use crate::controllers::conditions::{accepted, conditions, listed};
use crate::ledger::Totals;

/// The longest text with the names of standards, in bytes.
const STANDARDS: usize = 1024;
/// The largest status, in bytes: what etcd and every reader of a list has to carry.
pub(super) const LARGEST: usize = 60 * 1024;

/// What was found of a holding.
pub(super) struct View<'a> {
    pub(super) holding: &'a DataHolding,
    /// What its document counts.
    pub(super) held: Vec<HeldCategory>,
    pub(super) compiled: &'a Compiled,
    /// What the standards require and the holding does not declare.
    pub(super) missing: &'a [Missing],
    /// The digest of the document that was published.
    pub(super) digest: &'a str,
    pub(super) survey: &'a Survey,
    /// The pods of others that mount a claim of pods in scope, each with the claim.
    pub(super) shared: &'a BTreeSet<(String, String)>,
    /// Who reads what its pods print and is not listed.
    pub(super) collectors: &'a BTreeSet<String>,
    pub(super) totals: &'a Totals,
    /// Whether the pods of its namespace are matched against its holdings.
    pub(super) protected: bool,
    /// Whether the document is so new that sidecars may still be about to load it.
    pub(super) loading: bool,
    pub(super) now: Timestamp,
}

/// The status.
pub(super) fn of(view: &View<'_>) -> DataHoldingStatus {
    let standards = listed(view.compiled.standards.iter().cloned(), ",", STANDARDS);
    let compiled = match standards.as_str() {
        "" => "The declaration is compiled.".to_owned(),
        names => format!("The declaration is compiled under these standards: {names}."),
    };
    let mut said = vec![
        accepted(&view.compiled.problems, compiled),
        covered(view.survey, view.shared, view.collectors, view.protected),
        enforcing(view.survey, view.loading),
    ];
    said.push(ready(&said));
    // after the others, for it gates nothing
    said.push(declared(view.missing));
    let before = view.holding.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let flows = flows(view.totals, view.compiled);
    let status = DataHoldingStatus {
        conditions: conditions(said, before, view.holding.metadata.generation, view.now),
        standards: Some(standards).filter(|names| !names.is_empty()),
        mode: Some(mode(view)),
        coverage: Some(view.survey.coverage()),
        transfers: flows.transfers,
        denials: flows.denials,
        inbound: Some(inbound(view.totals, &view.compiled.document)),
        denied: flows.denied,
        controls: Vec::new(),
        held: view.held.clone(),
        policy: Some(Policy { digest: view.digest.to_owned(), loaded_by: count(view.survey.loaded) }),
        expires: view.compiled.expires.map(|instant| instant.to_string()),
        truncated: flows.truncated || view.survey.is_cut(),
    };
    bounded(status)
}

fn mode(view: &View<'_>) -> Mode {
    let observes = view.compiled.document.observe_until.is_some_and(|until| view.now < until);
    if observes { Mode::Observe } else { Mode::Enforce }
}

/// Whether the status that the API server has says that the present generation is enforced.
pub(super) fn is_enforcing(holding: &DataHolding) -> bool {
    let said = holding.status.iter().flat_map(|status| &status.conditions);
    said.into_iter().any(|condition| {
        condition.type_ == "Enforcing"
            && condition.status == "True"
            && condition.observed_generation == holding.metadata.generation
    })
}

/// Leaves out the transfers with the fewest flows until the status is small enough.
fn bounded(mut status: DataHoldingStatus) -> DataHoldingStatus {
    while size(&status) > LARGEST {
        let fewest = status.transfers.iter().enumerate().min_by_key(|(_, transfer)| transfer.flows).map(|(index, _)| index);
        let Some(fewest) = fewest else { break };
        status.transfers.remove(fewest);
        status.truncated = true;
    }
    status
}

pub(super) fn size(status: &DataHoldingStatus) -> usize {
    // a status that cannot be written has no size, and the write will say why
    serde_json::to_vec(status).map_or(0, |json| json.len())
}
