//! Holdings that are no more. They stay in the inventory, with what was counted of them last, in a ConfigMap of the operator's
//! namespace: one entry a holding, by its UID.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::data_holding::status::{DenialSummary, TransferSummary};
use crate::data_holding::{Controller, DataHolding, Responsible, System};
use crate::narrowing;

/// The name of the ConfigMap.
pub const NAME: &str = "shekara-closed";
/// Its annotation that says how many holdings were left out because there was no more room.
pub const LEFT_OUT: &str = "shekara.dev/left-out";

/// What the inventory says of a holding, whether it is there or closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID: a holding of the same name that was made later is another one.
    pub uid: String,
    /// The title.
    pub title: String,
    /// The registered system.
    pub system: Option<System>,
    /// Who decides what the data are used for.
    pub controller: Controller,
    /// Who answers for the holding.
    pub responsible: Option<Responsible>,
    /// The categories, those included that were taken away and that a live pod could still have.
    pub data: Vec<String>,
    /// The recipients of its transfers.
    pub recipients: BTreeSet<String>,
}

/// A holding that is no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedHolding {
    /// What it was.
    #[serde(flatten)]
    pub registered: Registered,
    /// When it was seen that it is gone (RFC 3339).
    pub closed_at: String,
    /// Whether it may have gone earlier, while the operator was away.
    pub at_the_latest: bool,
    /// What had left to each recipient, and what of it had come back.
    pub transfers: Vec<TransferSummary>,
    /// What had been denied, by reason.
    pub denials: Vec<DenialSummary>,
    /// The number of flows that had been denied.
    pub denied: i64,
    /// Whether some of this was left out because there was no more room.
    pub truncated: bool,
}

impl Registered {
    /// What is kept of a holding.
    #[must_use]
    pub fn of(holding: &DataHolding) -> Self {
        let spec = &holding.spec;
        Self {
            namespace: holding.namespace().unwrap_or_default(),
            name: holding.name_any(),
            uid: holding.uid().unwrap_or_default(),
            title: spec.title.clone(),
            system: spec.system.clone(),
            controller: spec.controller.clone(),
            responsible: spec.responsible.clone(),
            data: narrowing::counted(holding).iter().map(ToString::to_string).collect(),
            recipients: spec.transfers.iter().map(|transfer| transfer.recipient.clone()).collect(),
        }
    }
}

/// Entries of the ConfigMap that take no more than so many bytes, and how many were left out for that. What was counted of the
/// oldest is left out first, and then the oldest themselves. What cannot be read stays for whoever can, and goes only where it alone
/// takes more: nothing could be written any more.
#[must_use]
pub fn bounded(mut entries: BTreeMap<String, String>, most: usize) -> (BTreeMap<String, String>, usize) {
    let mut size: usize = entries.iter().map(|(uid, entry)| uid.len() + entry.len()).sum();
    let mut left_out = 0;
    if size <= most {
        return (entries, left_out);
    }
    let read = entries.iter().filter_map(|(uid, entry)| Some((uid.clone(), serde_json::from_str::<ClosedHolding>(entry).ok()?)));
    let mut oldest: Vec<(String, ClosedHolding)> = read.collect();
    oldest.sort_by(|(_, one), (_, other)| one.closed_at.cmp(&other.closed_at));
    for (uid, closed) in &oldest {
        if size <= most {
            break;
        }
        let bare = ClosedHolding { transfers: vec![], denials: vec![], truncated: true, ..closed.clone() };
        if let (Ok(bare), Some(entry)) = (serde_json::to_string(&bare), entries.get_mut(uid)) {
            size = size.saturating_sub(entry.len()) + bare.len();
            *entry = bare;
        }
    }
    for (uid, _) in &oldest {
        if size <= most {
            break;
        }
        if let Some(entry) = entries.remove(uid) {
            size = size.saturating_sub(uid.len() + entry.len());
            left_out += 1;
        }
    }
    // of those that can be read none is left where this begins
    while size > most
        && let Some((uid, entry)) = entries.pop_first()
    {
        size = size.saturating_sub(uid.len() + entry.len());
        left_out += 1;
    }
    (entries, left_out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn closed(number: usize, transfers: usize) -> String {
        let holding: DataHolding = serde_json::from_value(json!({
            "metadata": {"name": "faces", "namespace": "cameras", "uid": number.to_string()},
            "spec": {"title": "Faces", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {}, "data": [{"category": "biometric.face"}]},
            "status": {"held": [{"category": "vehicle.location", "removedAt": "2026-06-01T10:00:00Z"}]}
        }))
        .unwrap();
        let transfer = json!({"recipient": "clinic", "data": [], "verdict": "Allowed", "flows": 1, "bytesOut": 2, "bytesIn": 3});
        let closed = ClosedHolding {
            registered: Registered::of(&holding),
            closed_at: format!("2026-06-{number:02}T10:00:00Z"),
            at_the_latest: false,
            transfers: serde_json::from_value(vec![transfer; transfers].into()).unwrap(),
            denials: vec![],
            denied: 0,
            truncated: false,
        };
        serde_json::to_string(&closed).unwrap()
    }

    fn left(entries: &BTreeMap<String, String>) -> Vec<(String, usize)> {
        let transfers = |entry: &String| serde_json::from_str::<ClosedHolding>(entry).map_or(0, |closed| closed.transfers.len());
        entries.iter().map(|(uid, entry)| (uid.clone(), transfers(entry))).collect()
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let read: ClosedHolding = serde_json::from_str(&closed(1, 1)).unwrap();
        assert_eq!((read.registered.uid.as_str(), read.transfers.len()), ("1", 1));
        assert_eq!(read.registered.data, ["biometric.face", "vehicle.location"]);
        assert_eq!(serde_json::to_string(&read).unwrap(), closed(1, 1));
    }

    #[test]
    fn what_cannot_be_read_goes_last_and_where_it_alone_takes_more_than_there_is_room() {
        let unread = |uid: &str| (uid.to_owned(), "?".repeat(99));
        let mut entries = BTreeMap::from([unread("a"), unread("b"), unread("c")]);
        entries.insert("1".into(), closed(1, 0));
        let kept = |most: usize| {
            let (kept, left_out) = bounded(entries.clone(), most);
            (kept.into_keys().collect::<Vec<String>>(), left_out)
        };
        assert_eq!(kept(300), (vec!["a".into(), "b".into(), "c".into()], 1));
        assert_eq!(kept(299), (vec!["b".into(), "c".into()], 2));
        assert_eq!(kept(0), (vec![], 4));
    }

    #[test]
    fn where_there_is_no_more_room_the_oldest_lose_their_counts_and_then_go() {
        let mut entries: BTreeMap<String, String> = (1..=3).map(|number| (number.to_string(), closed(number, 10))).collect();
        entries.insert("of-a-later-version".into(), "?".into());
        let (whole, bare) = (closed(1, 10).len(), closed(1, 0).len());
        let room = |wanted: usize| bounded(entries.clone(), wanted + 40);
        let (kept, left_out) = room(3 * whole);
        assert_eq!((kept, left_out), (entries.clone(), 0));
        let (kept, left_out) = room(2 * whole + bare);
        assert_eq!(
            (left(&kept), left_out),
            (vec![("1".into(), 0), ("2".into(), 10), ("3".into(), 10), ("of-a-later-version".into(), 0)], 0)
        );
        assert!(kept["1"].contains(r#""truncated":true"#));
        let (kept, left_out) = room(2 * bare);
        assert_eq!((left(&kept), left_out), (vec![("2".into(), 0), ("3".into(), 0), ("of-a-later-version".into(), 0)], 1));
    }
}
