//! Routes that claim to carry no data, by what each standard says of home and of abroad.

use crate::country::Country;
use crate::document::{EmptyRoute, Leave};
use crate::reason::Reason;
use crate::verdict::Denial;

/// The lowest bound of the standards on what may leave to a country, none where no standard sets one.
pub(super) fn judge(route: Option<&EmptyRoute>, country: Country) -> Result<Option<u64>, Denial> {
    // A route without data whose terms are not said is as one of which nobody has said anything.
    let Some(route) = route.filter(|route| !route.terms.is_empty()) else {
        return Err(Denial::of(Reason::EmptyTransferDenied));
    };
    let mut bound: Option<u64> = None;
    let mut abroad_for = None;
    for terms in &route.terms {
        let at_home = terms.home.contains(&country);
        let leave = if at_home { terms.at_home } else { terms.abroad };
        if !at_home {
            abroad_for = abroad_for.or(Some(&terms.standard));
        }
        match leave {
            Leave::Denied => {
                return Err(Denial { standard: Some(terms.standard.clone()), ..Denial::of(Reason::EmptyTransferDenied) });
            }
            Leave::Bounded(bytes) => bound = Some(bound.map_or(bytes, |lower| lower.min(bytes))),
            Leave::Allowed => {}
        }
    }
    match abroad_for {
        Some(standard) if !route.approved => Err(Denial { standard: Some(standard.clone()), ..Denial::of(Reason::NoApproval) }),
        _ => Ok(bound),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::document::EmptyTerms;

    fn terms(standard: &str, at_home: Leave, abroad: Leave) -> EmptyTerms {
        EmptyTerms { standard: standard.into(), home: ["KZ".parse().unwrap()].into(), at_home, abroad }
    }

    fn at(approved: bool, terms: Vec<EmptyTerms>, country: &str) -> Result<Option<u64>, Reason> {
        judge(Some(&EmptyRoute { approved, terms }), country.parse().unwrap()).map_err(|denial| denial.reason)
    }

    #[rstest]
    #[case(Leave::Allowed, Leave::Denied, true, "KZ", Ok(None))]
    #[case(Leave::Bounded(7), Leave::Denied, false, "KZ", Ok(Some(7)))]
    #[case(Leave::Denied, Leave::Allowed, true, "KZ", Err(Reason::EmptyTransferDenied))]
    #[case(Leave::Allowed, Leave::Denied, true, "DE", Err(Reason::EmptyTransferDenied))]
    #[case(Leave::Allowed, Leave::Denied, false, "DE", Err(Reason::EmptyTransferDenied))]
    #[case(Leave::Allowed, Leave::Allowed, false, "DE", Err(Reason::NoApproval))]
    #[case(Leave::Allowed, Leave::Allowed, true, "DE", Ok(None))]
    #[case(Leave::Allowed, Leave::Bounded(9), true, "DE", Ok(Some(9)))]
    fn one_standard(
        #[case] at_home: Leave,
        #[case] abroad: Leave,
        #[case] approved: bool,
        #[case] country: &str,
        #[case] expected: Result<Option<u64>, Reason>,
    ) {
        assert_eq!(at(approved, vec![terms("a", at_home, abroad)], country), expected);
    }

    #[test]
    fn of_several_standards_each_must_agree_and_the_lowest_bound_counts() {
        let bounded = |bytes| terms("a", Leave::Bounded(bytes), Leave::Bounded(bytes));
        assert_eq!(at(true, vec![bounded(9), bounded(7), terms("b", Leave::Allowed, Leave::Allowed)], "DE"), Ok(Some(7)));
        let denial = judge(
            Some(&EmptyRoute { approved: true, terms: vec![bounded(9), terms("no", Leave::Denied, Leave::Denied)] }),
            "KZ".parse().unwrap(),
        )
        .unwrap_err();
        assert_eq!((denial.reason, denial.standard.as_deref()), (Reason::EmptyTransferDenied, Some("no")));
    }

    #[test]
    fn what_nobody_said_anything_of_is_closed() {
        assert_eq!(at(true, vec![], "KZ"), Err(Reason::EmptyTransferDenied));
        assert!(judge(None, "KZ".parse().unwrap()).is_err());
    }
}
