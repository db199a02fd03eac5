//! Where nothing changes nothing is written: the API server counts what it is asked to write while a border stands idle.

use std::time::Duration;

use anyhow::Result;
use shekara_e2e::scenario::Scenario;

/// How long the cluster is watched, in seconds, where `SHEKARA_IDLE_SECONDS` does not say another number.
const WINDOW: u64 = 30;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let window = std::env::var("SHEKARA_IDLE_SECONDS").map_or(Ok(WINDOW), |text| text.parse())?;
    scenario.stands_idle(Duration::from_secs(window)).await
}
