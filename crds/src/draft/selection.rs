//! By which of its labels a workload is selected.

use std::collections::BTreeMap;

/// Labels with the name of one instance of a workload, that controllers may write into other labels too: Knative has the name of the
/// revision in `app`, Tekton that of the run in `tekton.dev/pipeline` where the pipeline stands in the run.
const INSTANCES: [&str; 6] = [
    "serving.knative.dev/revision",
    "statefulset.kubernetes.io/pod-name",
    "tekton.dev/customRun",
    "tekton.dev/pipelineRun",
    "tekton.dev/taskRun",
    "workflows.argoproj.io/workflow",
];
/// Other labels by which controllers tell their pods apart: another pod of the same workload has other values.
const ADDED: [&str; 6] = [
    "leaderworkerset.sigs.k8s.io/group-key",
    "leaderworkerset.sigs.k8s.io/subgroup-key",
    "spark-app-selector",
    "spark-exec-id",
    "sparkoperator.k8s.io/submission-id",
    "workflows.argoproj.io/completed",
];
/// By what the names of such labels end whoever writes them, as in `rollouts-pod-template-hash` and `serving.knative.dev/revisionUID`.
const ENDINGS: [&str; 7] = ["-hash", "-index", "-uid", "UID", "-generation", "Generation", "job-name"];
/// Families of them, those that come with the node (`PodTopologyLabels` of Kubernetes), and the project's own marks.
const FAMILIES: [&str; 4] = ["batch.kubernetes.io/", "jobset.sigs.k8s.io/", "topology.kubernetes.io/", "shekara.dev/"];
/// The labels that are commonly another with each version: the next one would fall out of the selection.
const OF_A_VERSION: [&str; 5] = ["app.kubernetes.io/version", "chart", "helm.sh/chart", "spark-version", "version"];
/// How many labels a selector has at most.
const MOST: usize = 32;

/// The labels that other pods of the workload have too, also those of its next version; none where there is no such label. Fewer
/// labels select more, so what is left out never leaves a pod out.
pub(super) fn lasting(labels: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let instances = INSTANCES.iter().filter_map(|key| labels.get(*key)).collect::<Vec<_>>();
    let passes = |key: &str, value: &String| OF_A_VERSION.contains(&key) || instances.contains(&value);
    let own = labels.iter().filter(|(key, _)| !is_added(key));
    let (passing, lasting): (Vec<_>, Vec<_>) = own.partition(|(key, value)| passes(key, value));
    let chosen = if lasting.is_empty() { passing } else { lasting };
    let chosen: BTreeMap<String, String> =
        chosen.into_iter().take(MOST).map(|(key, value)| (key.clone(), value.clone())).collect();
    Some(chosen).filter(|chosen| !chosen.is_empty())
}

fn is_added(key: &str) -> bool {
    INSTANCES.contains(&key)
        || ADDED.contains(&key)
        || ENDINGS.iter().any(|ending| key.ends_with(ending))
        || FAMILIES.iter().any(|family| key.starts_with(family))
}
