use rstest::rstest;
use serde_json::json;
use shekara_policy::signed::SigningKey;

use super::*;

fn pod(uid: &str) -> PodSummary {
    PodSummary {
        namespace: "n".into(),
        name: "p".into(),
        uid: uid.into(),
        holdings: ["h".into()].into(),
        ..PodSummary::default()
    }
}

fn checkpoint(instance: &str, started: &str, sequence: u64, flows: u64) -> Checkpoint {
    serde_json::from_value(json!({
        "instance": instance, "started": format!("2026-06-01T{started}:00Z"), "sequence": sequence, "documents": ["sha256:1"], "serials": [1], "standing": "Confirmed", "refused": null, "geo": null,
        "totals": [{"recipients": ["clinic"], "country": "KZ", "data": [], "reason": null, "flows": flows, "bytesOut": 10 * flows, "bytesIn": 0, "last": "2026-06-01T12:00:00Z", "lastDestination": "a.kz"}],
        "datagramsDenied": 0
    }))
    .unwrap()
}

fn flows(ledger: &Ledger) -> u64 {
    ledger.totals(&Key::new("n", "h")).iter().map(|(_, counted)| counted.flows).sum()
}

/// Checkpoints as (instance, started, sequence, flows), each instance of a start that registers before its first one, and how many
/// flows are counted after all of them.
#[rstest]
#[case(&[("a", "10:00", 1, 3)], 3)]
#[case(&[("a", "10:00", 1, 3), ("a", "10:00", 2, 5)], 5)]
#[case(&[("a", "10:00", 2, 5), ("a", "10:00", 1, 3)], 5)]
#[case(&[("a", "10:00", 2, 5), ("a", "10:00", 2, 5)], 5)]
#[case(&[("a", "10:00", 2, 5), ("b", "11:00", 1, 2)], 7)]
#[case(&[("a", "10:00", 2, 5), ("b", "11:00", 1, 2), ("a", "10:00", 3, 6), ("b", "11:00", 2, 4)], 9)]
#[case(&[("a", "10:00", 2, 5), ("b", "10:00", 1, 2)], 7)]
#[case::with_the_clock_set_back(&[("a", "10:00", 2, 5), ("b", "09:00", 1, 2), ("a", "10:00", 3, 6), ("b", "09:00", 2, 4)], 9)]
fn what_comes_late_or_twice_is_counted_once(#[case] sent: &[(&str, &str, u64, u64)], #[case] counted: u64) {
    let ledger = Ledger::default();
    let mut starts = BTreeSet::new();
    for (instance, started, sequence, flows) in sent {
        let checkpoint = checkpoint(instance, started, *sequence, *flows);
        if starts.insert(instance) {
            let pod = PodSummary { restarts: i32::try_from(starts.len()).unwrap(), ..pod("1") };
            let key = SigningKey::from_seed(&[instance.as_bytes()[0]; 32]).unwrap().public();
            let registration = Registration { instance: checkpoint.instance.clone(), started: checkpoint.started, key };
            assert_eq!(ledger.register(&pod, &registration), Registering::Accepted);
        }
        ledger.record(&pod("1"), checkpoint, || true);
    }
    assert_eq!(flows(&ledger), counted);
}

#[test]
fn the_flows_of_a_pod_that_ended_stay_counted_once() {
    let ledger = Ledger::default();
    let name = Key::new("n", "p");
    ledger.record(&pod("1"), checkpoint("a", "10:00", 1, 3), || true);
    ledger.keep_only(&name, Some("1"));
    assert!(ledger.heard(&pod("1")).is_some());
    ledger.keep_only(&name, None);
    ledger.keep_only(&name, None);
    assert_eq!(ledger.heard(&pod("1")), None);
    assert_eq!(flows(&ledger), 3);
    assert_eq!(ledger.record(&pod("1"), checkpoint("a", "10:00", 2, 4), || false), Recorded::Old);
    assert_eq!(flows(&ledger), 3);
    ledger.record(&pod("2"), checkpoint("b", "11:00", 1, 1), || true);
    assert_eq!(flows(&ledger), 4);
    assert_eq!(ledger.heard(&pod("1")), None, "another pod of this name is not this pod");
    ledger.record(&pod("3"), checkpoint("c", "12:00", 1, 1), || true);
    assert_eq!(flows(&ledger), 5);
    ledger.forget(&Key::new("n", "h"));
    assert_eq!(flows(&ledger), 0, "another holding of this name has counted nothing");
}

#[test]
fn a_sum_is_bounded_and_loses_no_flow() {
    let ledger = Ledger::default();
    let mut many = checkpoint("a", "10:00", 1, 1);
    let total = many.totals.remove(0);
    let numbered = |number: u32| {
        let mut total = total.clone();
        total.recipients = [number.to_string()].into();
        total
    };
    many.totals = (0..3000).map(numbered).collect();
    ledger.record(&pod("1"), many, || true);
    let totals = ledger.totals(&Key::new("n", "h"));
    assert_eq!(totals.iter().count(), 1001);
    assert_eq!(flows(&ledger), 3000);
}

#[test]
fn datagrams_at_the_sink_are_denials() {
    let ledger = Ledger::default();
    let mut sunk = checkpoint("a", "10:00", 1, 1);
    sunk.datagrams_denied = 7;
    ledger.record(&pod("1"), sunk, || true);
    let totals = ledger.totals(&Key::new("n", "h"));
    let denied: Vec<u64> =
        totals.iter().filter(|(shared, _)| shared.reason.is_some()).map(|(_, counted)| counted.flows).collect();
    assert_eq!(denied, [7]);
}
