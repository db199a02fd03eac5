//! By which of its labels a workload is selected.

use std::collections::BTreeMap;

/// The labels by which controllers tell their pods apart: another pod of the same workload has other values.
const ADDED: [&str; 7] = [
    "pod-template-hash",
    "pod-template-generation",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "controller-uid",
    "job-name",
];
/// Families of them, and the project's own marks.
const FAMILIES: [&str; 2] = ["batch.kubernetes.io/", "shekara.dev/"];
/// The labels that are commonly another with each version: the next one would fall out of the selection.
const OF_A_VERSION: [&str; 3] = ["app.kubernetes.io/version", "helm.sh/chart", "version"];
/// How many labels a selector has at most.
const MOST: usize = 32;

/// The labels that other pods of the workload have too, also those of its next version; none where there is no such label. Fewer
/// labels select more, so what is left out never leaves a pod out.
pub(super) fn lasting(labels: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let own = labels.iter().filter(|(key, _)| !is_added(key));
    let (lasting, of_a_version): (Vec<_>, Vec<_>) = own.partition(|(key, _)| !OF_A_VERSION.contains(&key.as_str()));
    let chosen = if lasting.is_empty() { of_a_version } else { lasting };
    let chosen: BTreeMap<String, String> =
        chosen.into_iter().take(MOST).map(|(key, value)| (key.clone(), value.clone())).collect();
    Some(chosen).filter(|chosen| !chosen.is_empty())
}

fn is_added(key: &str) -> bool {
    ADDED.contains(&key) || FAMILIES.iter().any(|family| key.starts_with(family))
}
