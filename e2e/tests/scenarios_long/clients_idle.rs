//! Connections that are idle for fifteen minutes, with the keepalives that their clients have, work afterwards: HTTP over TLS on the same
//! connection, Redis, psql that waits for an answer, ssh, and a subscriber of a broker. The same in a pod without a sidecar.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use shekara_e2e::honest::Place;
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::SERVICES;

const IDLE: Duration = Duration::from_secs(900);

/// How long it may take until all of them have ended.
const LIMIT: Duration = Duration::from_secs(1000);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let place = Place::new(scenario, "clients").await?;
    let (covered, free) = try_join(idle(&place.covered), idle(&place.free)).await?;
    let all = ["https", "mqtt", "psql", "redis", "ssh"];
    ensure!(free == all, "without a sidecar there were {free:?}");
    ensure!(covered == all, "of the covered pod's connections there were {covered:?}");
    Ok(())
}

/// The connections that worked after their pause, in alphabetical order.
async fn idle(pod: &Client) -> Result<Vec<String>> {
    let script = include_str!("../../clients/idle.sh");
    let command = ["bash", "-c", script, "idle", SERVICES, &IDLE.as_secs().to_string()];
    let said = pod.run_within(LIMIT, &command).await?.success().context("idle connections")?;
    let mut names: Vec<String> = said.lines().filter(|line| *line != "still").map(str::to_owned).collect();
    names.sort();
    Ok(names)
}
