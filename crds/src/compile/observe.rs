//! Until when a holding observes: its owner wishes it, and every standard that applies must grant it and bounds it.

use jiff::{SignedDuration, Span, Timestamp};

use super::problem::{ProblemCode, Problems};
use super::standard::Standard;
use crate::data_holding::{DataHolding, Mode};

const MODE: &str = "spec.enforcement.mode";

/// How much later than is granted one may wish without being told.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The first instant at which the holding enforces; none where it does already. Counted from the holding's creation, which nobody
/// who edits it can change.
pub(super) fn until(holding: &DataHolding, standards: &[Standard], now: Timestamp, problems: &mut Problems) -> Option<Timestamp> {
    let enforcement = &holding.spec.enforcement;
    if enforcement.mode == Mode::Enforce {
        return None;
    }
    let wished: Timestamp = enforcement.observe_until.as_deref().and_then(|until| until.parse().ok())?;
    let refuse = |problems: &mut Problems, message: String| {
        problems.add(MODE, ProblemCode::ObserveNotGranted, format!("{message}: the holding enforces"));
        None
    };
    if let Some(standard) = standards.iter().find(|standard| standard.broken || standard.observe_days < 1) {
        let message = format!("SovereigntyStandard/{} lets no holding observe", standard.name);
        return refuse(problems, message);
    }
    let Some(days) = standards.iter().map(|standard| standard.observe_days).min() else {
        return refuse(problems, "no SovereigntyStandard applies that would let the holding observe".to_owned());
    };
    let created = holding.metadata.creation_timestamp.as_ref().map(|created| created.0);
    let Some(granted) = created.and_then(|created| created.checked_add(Span::new().hours(i64::from(days) * 24)).ok()) else {
        return refuse(problems, "when the holding was created is not known".to_owned());
    };
    // who drafts by the clock of another machine may be a moment ahead, and what is over is no problem
    if granted.saturating_add(SKEW).unwrap_or(Timestamp::MAX) < wished && now < granted {
        let message = format!("the standards grant {days} days from the holding's creation: it observes until {granted}");
        problems.add("spec.enforcement.observeUntil", ProblemCode::ObserveBounded, message);
    }
    Some(granted.min(wished))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::SovereigntyStandard;

    fn standard(days: Option<i32>) -> Standard {
        let observe = days.map(|days| json!({"maxDays": days}));
        let standard: SovereigntyStandard = serde_json::from_value(json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "s"},
            "spec": {"title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"data": ["vehicle.*"]},
                "homeCountries": ["KZ"], "transfers": [], "observe": observe}
        }))
        .unwrap();
        Standard::parse(&standard, &mut Problems::default())
    }

    fn holding(enforcement: &serde_json::Value) -> DataHolding {
        serde_json::from_value(json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding",
            "metadata": {"name": "h", "namespace": "n", "creationTimestamp": "2026-03-01T00:00:00Z"},
            "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": "a"}},
                "data": [{"category": "vehicle.location"}], "enforcement": enforcement}
        }))
        .unwrap()
    }

    fn found(until: &str, days: &[Option<i32>]) -> (Option<String>, Vec<ProblemCode>) {
        let standards: Vec<Standard> = days.iter().copied().map(standard).collect();
        let mut problems = Problems::default();
        let now = "2026-03-02T00:00:00Z".parse().unwrap();
        let found = super::until(&holding(&json!({"mode": "Observe", "observeUntil": until})), &standards, now, &mut problems);
        (found.map(|until| until.to_string()), problems.into_vec().into_iter().map(|problem| problem.code).collect())
    }

    #[test]
    fn every_standard_must_grant_it_and_the_shortest_counts_from_the_creation() {
        let wished = "2026-03-10T00:00:00Z";
        let bounded = "2026-03-03T00:00:00Z".to_owned();
        assert_eq!(found(wished, &[Some(14), Some(20)]), (Some(wished.to_owned()), vec![]));
        assert_eq!(found(wished, &[Some(14), Some(2)]), (Some(bounded), vec![ProblemCode::ObserveBounded]));
        for refusing in [vec![], vec![None], vec![Some(14), None], vec![Some(0), Some(14)]] {
            assert_eq!(found(wished, &refusing), (None, vec![ProblemCode::ObserveNotGranted]), "{refusing:?}");
        }
    }

    #[test]
    fn who_enforces_has_no_end_of_observe() {
        let mut problems = Problems::default();
        assert_eq!(
            super::until(&holding(&json!({"mode": "Enforce"})), &[standard(Some(14))], Timestamp::MIN, &mut problems),
            None
        );
        assert!(problems.into_vec().is_empty());
    }

    proptest! {
        #[test]
        fn never_later_than_any_standard_grants_and_not_at_all_where_one_does_not(
            days in prop::collection::vec(prop::option::of(0..400i32), 0..4),
            wished in 1_700_000_000..1_900_000_000i64,
        ) {
            let wished = Timestamp::from_second(wished).unwrap();
            let created: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
            let (found, _) = found(&wished.to_string(), &days);
            let found: Option<Timestamp> = found.map(|found| found.parse().unwrap());
            let granting = !days.is_empty() && days.iter().all(|days| days.is_some_and(|days| days > 0));
            prop_assert_eq!(found.is_some(), granting);
            for days in days.into_iter().flatten().filter(|_| granting) {
                prop_assert!(found.unwrap() <= created + Span::new().hours(i64::from(days) * 24));
                prop_assert!(found.unwrap() <= wished);
            }
        }
    }
}
