//! Which holdings cover a new pod.

use std::collections::{BTreeMap, BTreeSet};

use super::refusal::{Fault, Refusal};
use crate::{DataHolding, HOLDING_ANNOTATION, cover};

/// The names of the holdings that cover a pod with these labels and annotations; none for a pod that is nobody's.
///
/// # Errors
/// When the pod asks for a holding that does not exist: it would start without the protection that it asks for.
pub fn covering<'a>(
    namespace: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
    holdings: impl IntoIterator<Item = &'a DataHolding>,
) -> Result<BTreeSet<String>, Refusal> {
    cover::covering(namespace, labels, annotations, holdings).map_err(|missing| {
        let field = format!("metadata.annotations[{HOLDING_ANNOTATION}]");
        Refusal { holdings: BTreeSet::new(), faults: vec![Fault { field, sentence: missing.to_string() }] }
    })
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
