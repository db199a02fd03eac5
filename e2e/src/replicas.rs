//! The replicas of the operator: which of them leads, and whether one of them panicked.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::time::Instant;

use crate::cluster::{OPERATOR_NAMESPACE, operator_pods, within};
use crate::wait::{Seen, until};

/// How long another replica may take to lead: the Lease runs out where nobody gave it back.
pub const LEADING: Duration = Duration::from_secs(60);

/// The name of the Lease.
const LEASE: &str = "shekara-operator";

/// What Rust says on standard error when a thread panics, whatever becomes of the process.
const PANIC: &str = "panicked at";

/// The pods of the operator's namespace.
#[must_use]
pub fn operators(client: &Client) -> Api<Pod> {
    within(client, OPERATOR_NAMESPACE)
}

/// The name of the pod that leads.
///
/// # Errors
/// When nobody does.
pub async fn leader(client: &Client) -> Result<String> {
    let leases: Api<Lease> = within(client, OPERATOR_NAMESPACE);
    let holder = leases.get(LEASE).await?.spec.and_then(|spec| spec.holder_identity);
    holder.filter(|holder| !holder.is_empty()).context("nobody leads")
}

/// Waits until another pod leads than the one of this name. Gives how long that took.
///
/// # Errors
/// When none does in time.
pub async fn another_leads(client: &Client, before: &str) -> Result<Duration> {
    let begin = Instant::now();
    until(&format!("another replica leads than {before}"), LEADING, async || {
        let now = leader(client).await;
        Ok(Seen::some_or(now.as_ref().is_ok_and(|now| now != before).then_some(()), now.map_err(|error| error.to_string())))
    })
    .await?;
    Ok(begin.elapsed())
}

/// Asserts that no replica has panicked, in its present run or in the one before.
///
/// # Errors
/// When one has, with what it said, or when a log cannot be read.
pub async fn nobody_panicked(client: &Client) -> Result<()> {
    for pod in operator_pods(client).await? {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let restarted = statuses.into_iter().any(|status| status.restart_count > 0);
        let runs: &[bool] = if restarted { &[false, true] } else { &[false] };
        for previous in runs {
            let log = LogParams { previous: *previous, ..LogParams::default() };
            let log = operators(client).logs(&pod.name_any(), &log).await?;
            let panic = log.lines().find(|line| line.contains(PANIC));
            ensure!(panic.is_none(), "{} panicked: {}", pod.name_any(), panic.unwrap_or_default());
        }
    }
    Ok(())
}
