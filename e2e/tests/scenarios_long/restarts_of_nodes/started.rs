//! Starts of the pods' containers.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::targets::LATE;

/// How often the application of a pod was started.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Started {
    pod: Option<String>,
    restarts: i32,
    runs: bool,
}

impl Started {
    pub(super) fn of(pod: &Pod) -> Result<Self> {
        let mut statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let late = statuses.find(|status| status.name == LATE).context("the application was not started")?;
        let runs = late.state.as_ref().is_some_and(|state| state.running.is_some());
        Ok(Self { pod: pod.uid(), restarts: late.restart_count, runs })
    }

    pub(super) fn is_after(&self, before: &Self) -> bool {
        self.runs && (self.pod != before.pod || self.restarts > before.restarts)
    }
}

/// When the first container of a pod was started.
pub(super) fn first_start(pod: &Pod) -> Result<Timestamp> {
    let status = pod.status.clone().unwrap_or_default();
    let all = status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    let times = all.filter_map(|container| {
        let state = container.state?;
        let running = state.running.and_then(|running| running.started_at);
        running.or_else(|| state.terminated.and_then(|terminated| terminated.started_at))
    });
    times.map(|time| time.0).min().context("nothing of the pod was started")
}
