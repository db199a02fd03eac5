//! Where nothing changes nothing is written, for as long as five minutes of a border that stands idle, while the API server counts what it
//! is asked to write.

use std::time::Duration;

use anyhow::Result;
use shekara_e2e::scenario::Scenario;

/// How long the cluster is watched.
const WINDOW: Duration = Duration::from_secs(300);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.stands_idle(WINDOW).await
}
