//! Ordinary programs do not notice the sidecar but by what it refuses. Each client gets from a listed party the bytes that it gets
//! without a sidecar. From an unlisted one it is refused within a second, by its name and where its address is known, and says so;
//! nothing of it arrives there. What was said is printed, for docs/clients.md. Clients that are large or slow to start are in
//! `scenarios_long/clients_more`.

use anyhow::Result;
use shekara_e2e::honest::Place;
use shekara_e2e::honest::cases::QUICK;
use shekara_e2e::scenario::Scenario;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    Place::new(scenario, "clients").await?.try_all(scenario, QUICK).await
}
