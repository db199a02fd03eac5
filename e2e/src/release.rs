//! The release of the chart with other values.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::cluster::{RELEASE, helm};
use crate::environment::source_tree;
use crate::wait::{Seen, until};

/// How long the values that were found may take to be put back, where the cluster is not well at first.
const BACK: Duration = Duration::from_secs(300);

/// What every change of the release says: what it waits for, and that the values count, whoever scaled the operator before.
const ALWAYS: [&str; 4] = ["--wait", "--timeout", "3m", "--force-conflicts"];

/// The values with which the chart is installed, in JSON.
///
/// # Errors
/// When it is not installed.
pub async fn values() -> Result<String> {
    helm(&["get", "values", RELEASE, "--output", "json"]).await
}

/// Installs the chart of this source tree, or upgrades to it, with these values and no others.
///
/// # Errors
/// When helm fails.
pub async fn install(values: &str) -> Result<()> {
    let file = std::env::temp_dir().join(format!("shekara-values-{}.json", std::process::id()));
    std::fs::write(&file, values)?;
    let installed = upgrade(&["--install", "--reset-values", "--values", &file.to_string_lossy()]).await;
    std::fs::remove_file(&file)?;
    installed
}

/// Sets a value beside those that are there, as helm's `--set` takes it.
///
/// # Errors
/// When helm fails.
pub async fn set(value: &str) -> Result<()> {
    set_all(&[value]).await
}

/// Sets several.
///
/// # Errors
/// When helm fails.
pub async fn set_all(values: &[&str]) -> Result<()> {
    let values = values.iter().flat_map(|value| ["--set", *value]);
    upgrade(&["--reuse-values"].into_iter().chain(values).collect::<Vec<_>>()).await
}

/// Goes back to a revision.
///
/// # Errors
/// When helm fails.
pub async fn roll_back(revision: u64) -> Result<()> {
    let revision = revision.to_string();
    helm(&[&["rollback", RELEASE, &revision][..], &ALWAYS[..]].concat()).await.map(drop)
}

/// Does something while a value is set, and puts back those that were found, whatever came of it.
///
/// # Errors
/// When helm fails, or what was done.
pub async fn while_set<T>(value: &str, body: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let found = values().await?;
    let outcome = match set(value).await {
        Ok(()) => body().await,
        Err(error) => Err(error),
    };
    let back = until("the values of the release are put back", BACK, async || {
        Ok(install(&found).await.map_or_else(|error| Seen::NotYet(format!("{error:#}")), Seen::Yes))
    })
    .await;
    let outcome = outcome.with_context(|| format!("with {value}"))?;
    back.map(|()| outcome)
}

async fn upgrade(arguments: &[&str]) -> Result<()> {
    let chart = source_tree()?.join("charts/shekara");
    let chart = chart.to_string_lossy();
    let all: Vec<&str> = ["upgrade", RELEASE, &chart].into_iter().chain(arguments.iter().copied()).chain(ALWAYS).collect();
    helm(&all).await.map(drop)
}
