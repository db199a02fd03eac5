use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const REMOVED: &str = "2026-06-01T10:00:00Z";

fn time(text: &str) -> Timestamp {
    format!("2026-06-01T{text}Z").parse().unwrap()
}

fn holding(data: &[&str], held: Value) -> DataHolding {
    let data: Vec<Value> = data.iter().map(|category| json!({"category": category})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "faces", "namespace": "cameras"},
        "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {}, "data": data},
        "status": {"held": held}
    }))
    .unwrap()
}

fn categories(names: &[&str]) -> BTreeSet<Category> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn entries(held: &[HeldCategory]) -> Vec<(&str, Option<&str>)> {
    held.iter().map(|held| (held.category.as_str(), held.removed_at.as_deref())).collect()
}

const FACE: &str = "biometric.face";
const PLACE: &str = "vehicle.location";

/// When the oldest live pod was created, the time, and whether what was taken away at ten is still counted.
#[rstest]
#[case(Some("09:00:00"), "10:00:00", true)]
#[case(Some("09:00:00"), "23:00:00", true)]
#[case(Some("10:00:30"), "23:00:00", true)]
#[case(Some("10:00:31"), "23:00:00", false)]
#[case(Some("10:00:31"), "10:00:29", true)]
#[case(None, "10:00:29", true)]
#[case(None, "10:00:30", false)]
fn what_was_taken_away_is_counted_until_the_last_pod_ends_that_was_there(
    #[case] oldest: Option<&str>,
    #[case] now: &str,
    #[case] counted: bool,
) {
    let holding = holding(&[FACE], json!([{"category": FACE}, {"category": PLACE, "removedAt": REMOVED}]));
    let held = held(&holding, &categories(&[FACE, PLACE]), || oldest.map(time), time(now));
    let place = counted.then_some((PLACE, Some(REMOVED)));
    assert_eq!(entries(&held), [(FACE, None)].into_iter().chain(place).collect::<Vec<_>>());
}

#[test]
fn it_is_noticed_by_the_status_and_by_the_last_document() {
    let now = time("12:00:00");
    let old = || Some(time("09:00:00"));
    let just = [(FACE, None), (PLACE, Some("2026-06-01T12:00:00Z"))];
    // the status named it, whatever became of the document
    let known = holding(&[FACE], json!([{"category": FACE}, {"category": PLACE}]));
    assert_eq!(entries(&held(&known, &categories(&[FACE]), old, now)), just);
    // it was added and taken away between two writings of the status
    let quick = holding(&[FACE], json!([{"category": FACE}]));
    assert_eq!(entries(&held(&quick, &categories(&[FACE, PLACE]), old, now)), just);
    // one that is named again was never away
    let again = holding(&[FACE, PLACE], json!([{"category": PLACE, "removedAt": REMOVED}]));
    assert_eq!(entries(&held(&again, &categories(&[FACE, PLACE]), old, now)), [(FACE, None), (PLACE, None)]);
    // what cannot be read, or is to come, counts from now
    for wrong in ["yesterday", "2027-01-01T00:00:00Z"] {
        let odd = holding(&[FACE], json!([{"category": PLACE, "removedAt": wrong}]));
        assert_eq!(entries(&held(&odd, &categories(&[]), old, now)), just);
    }
}

#[test]
fn pods_are_asked_for_only_where_something_was_taken_away() {
    let unchanged = holding(&[FACE, PLACE], json!([{"category": FACE}]));
    let held = held(&unchanged, &categories(&[FACE]), || panic!("nothing was taken away"), time("12:00:00"));
    assert_eq!(entries(&held), [(FACE, None), (PLACE, None)]);
    assert_eq!(counted(&unchanged), categories(&[FACE, PLACE]));
}

#[test]
fn the_time_to_look_again_is_when_the_last_ones_on_their_way_are_there() {
    let held = [HeldCategory { category: PLACE.into(), removed_at: Some(REMOVED.into()) }];
    assert_eq!(next_change(&held, time("10:00:10")), Some(time("10:00:30")));
    assert_eq!(next_change(&held, time("10:00:30")), None);
}

#[test]
fn what_was_taken_away_is_received_by_those_alone_that_had_it() {
    let documented = categories(&[FACE, PLACE]);
    let narrowed = holding(&[FACE], json!([{"category": FACE}, {"category": PLACE, "removedAt": REMOVED}]));
    assert_eq!(counted(&narrowed), documented);
    assert_eq!(receives(&narrowed, &documented, time("09:00:00")), documented);
    assert_eq!(receives(&narrowed, &documented, time("11:00:00")), categories(&[FACE]));
    // nobody has looked yet
    let unseen = holding(&[FACE], json!([{"category": FACE}, {"category": PLACE}]));
    assert_eq!(receives(&unseen, &documented, time("09:00:00")), documented);
    // what the document does not count yet holds nobody
    let more = holding(&[FACE, PLACE], json!([]));
    assert_eq!(receives(&more, &categories(&[FACE]), time("09:00:00")), categories(&[FACE]));
}

/// Who looks next: the one who publishes documents, or the one who writes the status.
fn looks() -> impl Strategy<Value = Vec<bool>> {
    proptest::collection::vec(any::<bool>(), 0..12)
}

proptest! {
    /// However both take turns, what was let go of does not come back, and in the end neither counts it.
    #[test]
    fn what_was_let_go_of_stays_so(before in looks(), after in looks(), recorded in any::<bool>()) {
        let record = if recorded { json!([{"category": FACE}, {"category": PLACE}]) } else { json!([]) };
        let mut narrowed = holding(&[FACE], record);
        let mut document = categories(&[FACE, PLACE]);
        let place: Category = PLACE.parse().unwrap();
        let look = |narrowed: &mut DataHolding, document: &mut BTreeSet<Category>, publishes: bool, oldest: Option<Timestamp>, now| {
            let found = held(narrowed, document, || oldest, now);
            if publishes {
                *document = found.iter().map(|held| held.category.parse().unwrap()).collect();
            } else {
                narrowed.status.as_mut().unwrap().held = written(narrowed, &found, document);
            }
        };
        // a pod lives that was there
        for publishes in before.into_iter().chain([false]) {
            look(&mut narrowed, &mut document, publishes, Some(time("09:00:00")), time("10:00:00"));
            prop_assert!(document.contains(&place));
        }
        // it has ended
        for publishes in after.into_iter().chain([true, false]) {
            let let_go = !document.contains(&place);
            look(&mut narrowed, &mut document, publishes, Some(time("11:00:00")), time("12:00:00"));
            prop_assert!(!let_go || !document.contains(&place));
        }
        prop_assert_eq!(counted(&narrowed), categories(&[FACE]));
        prop_assert_eq!(document, categories(&[FACE]));
    }
}
