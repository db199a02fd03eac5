//! The holdings that are in the inventory: those that are there, and with their sums those that went, until their pods have said
//! their last of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shekara_crds::DataHolding;
use shekara_crds::closed::{ClosedHolding, Registered, bounded};
use tokio::sync::Notify;

use super::{Ledger, State, Totals};
use crate::watch::Key;

/// A holding that is not closed yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Open {
    registered: Registered,
    /// When it was seen that it is gone.
    gone: Option<Timestamp>,
    /// Whether this operator has seen it: else it may have gone before.
    #[serde(skip)]
    seen: bool,
    /// Whether it may have gone before that was seen.
    #[serde(default)]
    at_the_latest: bool,
}

/// A holding that went, with what was counted of it.
#[derive(Debug, PartialEq)]
pub(crate) struct Gone {
    pub(crate) registered: Registered,
    pub(crate) at: Timestamp,
    /// Whether it may have gone earlier.
    pub(crate) at_the_latest: bool,
    pub(crate) totals: Totals,
}

/// What becomes of a holding that is not there.
#[derive(Debug, PartialEq)]
pub(crate) enum Closing {
    /// Its pods may say something more of it for this long.
    Settles(Duration),
    /// It is over.
    Over(Box<Gone>),
    /// Nothing was known of it.
    Unknown,
}

/// The holdings that are closed.
#[derive(Default)]
pub(crate) struct Closed {
    entries: Mutex<Entries>,
    changed: Notify,
}

/// Them as they are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entries {
    /// By UID.
    pub(super) holdings: BTreeMap<String, String>,
    /// How many more there were.
    pub(super) left_out: usize,
}

impl Ledger {
    /// Says that a holding is there. One that had its name and is another is over.
    pub(crate) fn is_there(&self, holding: &DataHolding, now: Timestamp) -> Option<Box<Gone>> {
        let registered = Registered::of(holding);
        let key = Key::new(&*registered.namespace, &*registered.name);
        let mut state = self.state.lock();
        let known = state.holdings.get(&key).map(|open| (open.registered == registered, open.registered.uid == registered.uid));
        let over = match known {
            Some((_, false)) => state.close(&key, now),
            _ => None,
        };
        if known != Some((true, true)) {
            state.changed.insert(key.namespace.clone());
        }
        state.holdings.insert(key, Open { registered, gone: None, seen: true, at_the_latest: false });
        over
    }

    /// Says that a holding is not there, whose pods may say something of it for a while.
    pub(crate) fn is_gone(&self, key: &Key, now: Timestamp, settling: Duration) -> Closing {
        let mut state = self.state.lock();
        let Some(open) = state.holdings.get_mut(key) else { return Closing::Unknown };
        let Some(gone) = open.gone else {
            (open.gone, open.at_the_latest) = (Some(now), !open.seen);
            state.changed.insert(key.namespace.clone());
            return Closing::Settles(settling);
        };
        let passed = Duration::try_from(now.duration_since(gone)).unwrap_or_default();
        if let Some(rest) = settling.checked_sub(passed).filter(|rest| !rest.is_zero()) {
            return Closing::Settles(rest);
        }
        state.close(key, now).map_or(Closing::Unknown, Closing::Over)
    }

    /// Every holding that is not closed.
    pub(crate) fn open_holdings(&self) -> Vec<Key> {
        self.state.lock().holdings.keys().cloned().collect()
    }
}

impl State {
    fn close(&mut self, key: &Key, now: Timestamp) -> Option<Box<Gone>> {
        let open = self.holdings.remove(key)?;
        let totals = self.totals(key);
        self.forget(key);
        self.changed.insert(key.namespace.clone());
        let at = open.gone.unwrap_or(now);
        let at_the_latest = open.at_the_latest || open.gone.is_none() && !open.seen;
        Some(Box::new(Gone { registered: open.registered, at, at_the_latest, totals }))
    }
}

impl Closed {
    /// Goes on from what was kept. What was closed meanwhile stays.
    pub(super) fn restore(&self, kept: Entries) {
        let mut entries = self.entries.lock();
        entries.holdings.extend(kept.holdings);
        entries.left_out = entries.left_out.max(kept.left_out);
    }

    /// Takes a holding that is closed. One that is known already stays as it was closed first.
    pub(crate) fn add(&self, closed: &ClosedHolding) -> Result<(), serde_json::Error> {
        let entry = serde_json::to_string(closed)?;
        self.entries.lock().holdings.entry(closed.registered.uid.clone()).or_insert(entry);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until one more is closed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Says that they could not be written.
    pub(super) fn still_changed(&self) {
        self.changed.notify_one();
    }

    /// All of them, as far as they take no more than so many bytes.
    pub(super) fn within(&self, most: usize) -> Entries {
        let mut entries = self.entries.lock();
        let (holdings, left_out) = bounded(std::mem::take(&mut entries.holdings), most);
        *entries = Entries { holdings, left_out: entries.left_out + left_out };
        entries.clone()
    }
}

#[cfg(test)]
mod tests;
