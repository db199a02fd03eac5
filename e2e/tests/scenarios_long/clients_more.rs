//! What `scenarios/honest_clients` promises, with clients that are large or slow to start: Go, Java, Node, gRPC, WebSocket, git,
//! rsync, msmtp.

use anyhow::Result;
use shekara_e2e::honest::Place;
use shekara_e2e::honest::cases::MORE;
use shekara_e2e::scenario::Scenario;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    Place::new(scenario, "moreclients").await?.try_all(scenario, MORE).await
}
