//! The proxy as a whole: its tasks, and how it begins and ends.

use crate::config::Config;

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot begin, or a part of it ends by itself.
pub fn run(config: Config) -> anyhow::Result<()> {
    let _ = config;
    anyhow::bail!("not there yet")
}
