//! Which keys are replaced when: a pure function of what there is and of the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::state::{Seed, State, StateError};

/// For how long keys are in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How old a document key becomes.
    pub(crate) age: Duration,
    /// How long its predecessor still counts. Longer than any pod may take to see a new key set in its files.
    pub(crate) overlap: Duration,
}

/// The state that is to come; none where everything is as it should be. A new key signs from its first moment: documents and key
/// set travel together. What it replaced is in the set until the overlap is over.
pub(super) fn next(
    state: &State,
    plan: &Plan,
    authorities: &[String],
    lowest: u64,
    asked: bool,
    now: Timestamp,
    seed: impl Fn() -> Result<Seed, StateError>,
) -> Result<Option<State>, StateError> {
    let old = |limit: Duration| now.duration_since(state.made) >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX);
    let mut next = state.clone();
    if old(plan.overlap) {
        next.previous = None;
    }
    // while a predecessor still counts there is no third key: pods that have seen neither would have to be thought of
    if (asked || old(plan.age)) && next.previous.is_none() {
        next.previous = Some(next.key);
        next.key = seed()?;
        next.made = now;
    }
    let next = next.signed(authorities, lowest)?;
    Ok((next != *state).then_some(next))
}

#[cfg(test)]
mod tests {
    use shekara_policy::signed::{Stamp, Trust};

    use super::*;
    use crate::keys::seed;

    const PLAN: Plan = Plan { age: Duration::from_secs(1000), overlap: Duration::from_secs(100) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pem(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    #[test]
    fn a_key_is_replaced_in_time_and_its_predecessor_counts_for_a_while() {
        let first = State::create(at(0), &pem("a"), seed).unwrap();
        let step = |state: &State, second, asked| next(state, &PLAN, &pem("a"), 0, asked, at(second), seed).unwrap();
        assert!(step(&first, 999, false).is_none());
        let second = step(&first, 1000, false).unwrap();
        assert!(second.key != first.key && second.previous == Some(first.key) && second.version() == 2);
        assert_eq!(second.root().unwrap(), first.root().unwrap());
        assert!(step(&second, 1099, true).is_none(), "not while the one before still counts");
        let third = step(&second, 1100, false).unwrap();
        assert!(third.key == second.key && third.previous.is_none() && third.version() == 3);
        let asked = step(&third, 1101, true).unwrap();
        assert!(asked.key != third.key && asked.version() == 4);
        // each of them is taken by a pod that knew the one before
        let stamps = vec![Stamp { name: "faces".into(), uid: "u".into(), serial: 0 }];
        let mut trust = Trust::new(first.root().unwrap(), "n".into(), stamps, 1);
        for state in [&first, &second, &third, &asked] {
            assert_eq!(trust.take_keys(&state.keyring().unwrap().signed), Ok(true));
        }
        assert!(trust.take_keys(&first.keyring().unwrap().signed).is_err());
    }

    #[test]
    fn other_authorities_or_a_newer_set_in_the_cluster_make_another_set() {
        let first = State::create(at(0), &pem("a"), seed).unwrap();
        let step = |authorities: &[String], lowest| next(&first, &PLAN, authorities, lowest, false, at(1), seed).unwrap();
        assert!(step(&pem("a"), 1).is_none());
        assert_eq!(step(&pem("b"), 0).unwrap().version(), 2);
        assert_eq!(step(&pem("a"), 8).unwrap().version(), 9);
    }
}
