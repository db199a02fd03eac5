//! Which holdings cover a pod: the same answer for admission and for whoever explains it.

use std::collections::{BTreeMap, BTreeSet};

use crate::draft::is_draft;
use crate::{DATA_ANNOTATION, DataHolding, HOLDING_ANNOTATION, PROTECT_LABEL};

/// A pod asks by its annotation for a holding that its namespace does not have: it would start without the protection that it
/// asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the namespace has no DataHolding {0:?}; create it before the pod, or correct the name")]
pub struct NoSuchHolding(pub String);

/// Whether a namespace with these labels is one whose pods are matched against its holdings.
#[must_use]
pub fn is_protected(namespace: &BTreeMap<String, String>) -> bool {
    namespace.get(PROTECT_LABEL).is_some_and(|value| value == "true")
}

/// Whether a holding claims a pod that runs. A draft leaves a pod alone that admission put into other holdings, which is `covered`: it
/// lists no route, and would cut off at once what those allow.
#[must_use]
pub fn claims_running(
    holding: &DataHolding,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    covered: bool,
) -> bool {
    holding.claims(labels, annotations) && !(covered && is_draft(holding))
}

/// The names of the holdings of its namespace that cover a new pod with these labels and annotations; none for a pod that is
/// nobody's. A pod that says by annotation what it holds, or who covers it, is matched in whatever namespace.
///
/// # Errors
/// When the pod asks for a holding that does not exist.
pub fn covering<'a>(
    namespace: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    holdings: impl IntoIterator<Item = &'a DataHolding>,
) -> Result<BTreeSet<String>, NoSuchHolding> {
    let asked = annotations.get(HOLDING_ANNOTATION).map(String::as_str).unwrap_or_default();
    if !is_protected(namespace) && asked.is_empty() && !annotations.contains_key(DATA_ANNOTATION) {
        return Ok(BTreeSet::new());
    }
    let claiming = holdings.into_iter().filter(|holding| holding.claims(labels, annotations));
    let names: BTreeSet<String> = claiming.filter_map(|holding| holding.metadata.name.clone()).collect();
    match asked.split(',').map(str::trim).find(|asked| !asked.is_empty() && !names.contains(*asked)) {
        Some(missing) => Err(NoSuchHolding(missing.to_owned())),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::PROTECT_LABEL;

    fn holding(name: &str, app: &str) -> DataHolding {
        let holding = json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding", "metadata": {"name": name, "namespace": "n"},
            "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": app}}, "data": []}
        });
        serde_json::from_value(holding).unwrap()
    }

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// The label of the namespace, of the pod, the annotation, and the holdings that cover it.
    #[rstest]
    #[case("true", "a", "", Ok("one,two"))]
    #[case("true", "b", "", Ok("three"))]
    #[case("true", "c", "", Ok(""))]
    #[case("true", "c", "three, one", Ok("one,three"))]
    #[case("true", "a", "three", Ok("one,three,two"))]
    #[case("false", "a", "", Ok(""))]
    #[case("", "a", "", Ok(""))]
    #[case("", "c", "three", Ok("three"))]
    #[case("true", "a", "four", Err("four"))]
    #[case("", "c", "three,four", Err("four"))]
    fn a_pod_is_covered_by_selector_or_by_asking(
        #[case] protect: &str,
        #[case] app: &str,
        #[case] asked: &str,
        #[case] expected: Result<&str, &str>,
    ) {
        let holdings = [holding("one", "a"), holding("two", "a"), holding("three", "b")];
        let annotations = if asked.is_empty() { BTreeMap::new() } else { map(&[(HOLDING_ANNOTATION, asked)]) };
        let covering = covering(&map(&[(PROTECT_LABEL, protect)]), &map(&[("app", app)]), &annotations, &holdings);
        match expected {
            Ok(names) => assert_eq!(covering.unwrap().into_iter().collect::<Vec<_>>().join(","), names),
            Err(missing) => assert!(covering.unwrap_err().to_string().contains(&format!("no DataHolding {missing:?}"))),
        }
    }

    /// What a pod says that it holds has it matched wherever it is, as in a protected namespace, and adds no holding by itself.
    #[rstest]
    #[case("a", "one")]
    #[case("b", "")]
    fn a_pod_that_says_what_it_holds_is_matched_anywhere(#[case] app: &str, #[case] expected: &str) {
        let annotations = map(&[(crate::DATA_ANNOTATION, "vehicle.location")]);
        let covering = covering(&BTreeMap::new(), &map(&[("app", app)]), &annotations, &[holding("one", "a")]);
        assert_eq!(covering.unwrap().into_iter().collect::<Vec<_>>().join(","), expected);
    }
}
