//! Pods that read what the pods of a holding print, and that not every standard lists which asks for a list.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shekara_crds::sovereignty_standard::SourcePods;

use crate::caches::Caches;
use crate::watch::{Owner, PodSummary};

/// How soon it is looked again whether those that were named are still there: one that is gone says nothing.
pub(super) const LOOK: Duration = Duration::from_secs(15);

/// Those of the cluster, each by what makes it and in the words of a person.
pub(super) fn unlisted(caches: &Caches, collectors: &[Vec<SourcePods>]) -> BTreeSet<String> {
    if collectors.is_empty() {
        return BTreeSet::new();
    }
    let listed = |pod: &PodSummary| {
        let among = |listed: &Vec<SourcePods>| listed.iter().any(|pods| pods.have(&pod.namespace, &pod.labels));
        collectors.iter().all(among)
    };
    // one that has ended has read what there was
    let unlisted = caches.pods.matching(|pod| pod.reads_logs && !pod.ended && !listed(pod));
    unlisted.into_iter().map(name).collect()
}

fn name(pod: Arc<PodSummary>) -> String {
    let owner = pod.owner.clone().unwrap_or_else(|| Owner::pod(&pod.name, pod.uid.clone()));
    format!("{} {} in {}", owner.kind, owner.name, pod.namespace)
}
