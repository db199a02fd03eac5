use jiff::SignedDuration;
use serde_json::json;
use shekara_policy::exchange::Checkpoint;

use super::*;
use crate::fixtures;
use crate::watch::PodSummary;

const SETTLING: Duration = Duration::from_secs(15);

fn key() -> Key {
    Key::new("cameras", "faces")
}

fn holding(uid: &str) -> DataHolding {
    let mut holding = fixtures::holding("faces", "a");
    holding["metadata"]["uid"] = json!(uid);
    serde_json::from_value(holding).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    "2026-06-01T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// The pod `web` says that so many flows have left.
fn counts(ledger: &Ledger, sequence: u64, flows: u64) {
    let pod = PodSummary {
        namespace: "cameras".into(),
        name: "web".into(),
        uid: "u".into(),
        holdings: ["faces".to_owned()].into(),
        ..PodSummary::default()
    };
    let checkpoint: Checkpoint = serde_json::from_value(json!({
        "instance": "i", "started": at(0), "sequence": sequence, "documents": [], "serials": [], "standing": "Confirmed", "refused": null, "geo": null, "datagramsDenied": 0,
        "totals": [{"recipients": ["clinic"], "country": "KZ", "data": [], "reason": null, "flows": flows, "bytesOut": 1, "bytesIn": 0, "last": at(0), "lastDestination": "a.kz"}]
    }))
    .unwrap();
    ledger.record(&pod, checkpoint, || true);
}

fn flows(totals: &Totals) -> u64 {
    totals.iter().map(|(_, counted)| counted.flows).sum()
}

fn over(closing: Closing) -> Gone {
    match closing {
        Closing::Over(gone) => *gone,
        other => panic!("it is {other:?}"),
    }
}

#[test]
fn a_holding_that_went_is_closed_with_the_last_words_of_its_pods() {
    let ledger = Ledger::default();
    assert_eq!(ledger.is_there(&holding("1"), at(0)), None);
    counts(&ledger, 1, 3);
    assert_eq!(ledger.is_gone(&key(), at(10), SETTLING), Closing::Settles(SETTLING));
    counts(&ledger, 2, 5);
    assert_eq!(ledger.is_gone(&key(), at(20), SETTLING), Closing::Settles(Duration::from_secs(5)));
    let gone = over(ledger.is_gone(&key(), at(25), SETTLING));
    assert_eq!((gone.registered.uid.as_str(), gone.at, gone.at_the_latest, flows(&gone.totals)), ("1", at(10), false, 5));
    assert_eq!(ledger.is_gone(&key(), at(26), SETTLING), Closing::Unknown);
    assert_eq!(flows(&ledger.totals(&key())), 0);
}

#[test]
fn another_holding_of_the_name_is_another_and_closes_the_first() {
    let ledger = Ledger::default();
    ledger.is_there(&holding("1"), at(0));
    counts(&ledger, 1, 3);
    let gone = ledger.is_there(&holding("2"), at(10)).unwrap();
    assert_eq!((gone.registered.uid.as_str(), gone.at, flows(&gone.totals)), ("1", at(10), 3));
    assert_eq!(flows(&ledger.totals(&key())), 0);
    assert_eq!(ledger.is_there(&holding("2"), at(20)), None);
}

#[test]
fn what_went_while_the_operator_was_away_is_closed_at_the_latest_now() {
    let before = Ledger::default();
    before.is_there(&holding("1"), at(0));
    counts(&before, 1, 3);
    let kept = before.write("cameras", true).unwrap().unwrap();
    let restored = || {
        let after = Ledger::default();
        after.restore("cameras", &kept, |_| Some("u".into())).unwrap();
        after
    };
    let after = restored();
    assert_eq!(after.open_holdings(), [key()]);
    assert_eq!(after.is_gone(&key(), at(100), SETTLING), Closing::Settles(SETTLING));
    let gone = over(after.is_gone(&key(), at(115), SETTLING));
    assert_eq!((gone.at, gone.at_the_latest, flows(&gone.totals)), (at(100), true, 3));
    // it was made anew meanwhile
    let gone = restored().is_there(&holding("2"), at(100)).unwrap();
    assert_eq!((gone.registered.uid.as_str(), gone.at_the_latest), ("1", true));
    // nothing happened
    assert_eq!(restored().is_there(&holding("1"), at(100)), None);
}

#[test]
fn a_holding_without_counts_is_kept_and_one_that_is_as_before_writes_nothing() {
    let ledger = Ledger::default();
    ledger.is_there(&holding("1"), at(0));
    assert_eq!(ledger.take_changed(), ["cameras".to_owned()].into());
    assert!(ledger.write("cameras", true).unwrap().is_some());
    ledger.is_there(&holding("1"), at(10));
    assert_eq!(ledger.take_changed(), [].into());
    let mut other = holding("1");
    other.spec.title = "Another".into();
    ledger.is_there(&other, at(20));
    assert_eq!(ledger.take_changed(), ["cameras".to_owned()].into());
}

#[tokio::test]
async fn a_holding_is_closed_once_and_that_is_told() {
    let closed = |at: &str| ClosedHolding {
        registered: Registered::of(&holding("1")),
        closed_at: at.into(),
        at_the_latest: false,
        transfers: vec![],
        denials: vec![],
        denied: 0,
        truncated: false,
    };
    let ledger = Ledger::default();
    ledger.closed.restore(Entries { holdings: [("0".to_owned(), "{}".to_owned())].into(), left_out: 7 });
    ledger.closed.add(&closed("first")).unwrap();
    ledger.closed.changed().await;
    ledger.closed.add(&closed("second")).unwrap();
    let entries = ledger.closed.within(usize::MAX);
    assert_eq!((entries.holdings.keys().map(String::as_str).collect::<Vec<_>>(), entries.left_out), (vec!["0", "1"], 7));
    assert!(entries.holdings["1"].contains("first"));
    assert_eq!(ledger.closed.within(10).left_out, 8);
    assert_eq!(ledger.closed.within(10).left_out, 8, "none is left out twice");
}
