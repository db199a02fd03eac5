//! Holdings that are not there any more: each is closed, with what was counted of it, once its pods have said their last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use shekara_crds::closed::ClosedHolding;
use shekara_crds::data_holding::status::TransferVerdict;
use tracing::{error, info};

use super::flows::{Flows, second, summed};
use super::{LATE, Visited};
use crate::controllers::Context;
use crate::ledger::{Closing, Gone};
use crate::watch::Key;

/// Visits a holding that is not there.
pub(super) fn visit(context: &Context, key: &Key, now: Timestamp) -> Visited {
    let settling = Duration::from_secs(context.config.checkpoint_interval.into()) + LATE;
    match context.ledger.is_gone(key, now, settling) {
        Closing::Settles(rest) => Visited::Again(rest),
        Closing::Over(gone) => {
            close(context, &gone);
            Visited::Gone
        }
        Closing::Unknown => {
            context.ledger.forget(key);
            Visited::Gone
        }
    }
}

/// Has a holding stay in the inventory as closed.
pub(super) fn close(context: &Context, gone: &Gone) {
    let holding = Key::new(&*gone.registered.namespace, &*gone.registered.name);
    match context.ledger.closed.add(&closed(gone)) {
        Ok(()) => info!(%holding, uid = gone.registered.uid, at = %gone.at, "a holding is closed"),
        Err(problem) => error!(%holding, %problem, "a holding that is closed cannot be written"),
    }
}

/// What is kept of it.
fn closed(gone: &Gone) -> ClosedHolding {
    let declared: BTreeMap<_, _> =
        gone.registered.recipients.iter().map(|recipient| (recipient.clone(), BTreeSet::new())).collect();
    let Flows { mut transfers, denials, denied, truncated } = summed(&gone.totals, &declared, &BTreeMap::new());
    transfers.retain(|transfer| transfer.verdict != TransferVerdict::Denied);
    ClosedHolding {
        registered: gone.registered.clone(),
        closed_at: second(gone.at),
        at_the_latest: gone.at_the_latest,
        transfers,
        denials,
        denied,
        truncated,
    }
}

#[cfg(test)]
mod tests;
