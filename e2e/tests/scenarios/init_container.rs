//! The application's own init container is judged like the application: the sidecar's containers come before it, so it has a
//! network at once, reaches the listed party, and nothing else.
//!
//! Closes 12 of the threat model.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use serde_json::json;
use shekara_e2e::attempt::{packets_at, packets_from};
use shekara_e2e::clients::{curl, curl_at, shell};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};
use shekara_policy::Reason;

/// The init containers of the sidecar, in the order in which they run.
const OURS: [&str; 3] = ["shekara-init", "shekara-proxy", "shekara-verify"];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let (ads, clinic) = (world.hosts.get(ADS)?.any_v4()?, world.hosts.get(CLINIC)?);
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    let since = world.sniffer.clock().await?;
    let (covered, free) = (manifest(scenario, "covered", Cover::Covered, ads)?, manifest(scenario, "free", Cover::Free, ads)?);
    let (covered, free) = try_join(scenario.start(&covered), scenario.start(&free)).await?;

    comes_first(&covered).await?;
    let (here, there) = (outcomes(&covered).await?, outcomes(&free).await?);
    ensure!(there == ["clinic=0", "ads=0"], "without enforcement the init container sees {there:?}");
    ensure!(here.first().is_some_and(|line| line == "clinic=0"), "the clinic is out of reach of the init container: {here:?}");
    ensure!(here.get(1).is_some_and(|line| line != "ads=0"), "the init container reached the unlisted party: {here:?}");
    ensure!(!packets_from(&world.sniffer, &free, ads, since).await?.is_empty(), "the sniffer does not see the unlisted party");
    let leaked = packets_from(&world.sniffer, &covered, ads, since).await?;
    ensure!(leaked.is_empty(), "the unlisted party saw the init container: {leaked:?}");
    let arrived = packets_at(&world.sniffer, &covered, clinic, since).await?;
    ensure!(!arrived.is_empty(), "the clinic did not see the init container");
    covered.record("the unlisted party", |record| is_denial(record, Reason::UnlistedParty)).await?;
    Ok(())
}

fn manifest(scenario: &Scenario, name: &str, cover: Cover, ads: IpAddr) -> Result<Workload> {
    let clinic = curl(&format!("https://{CLINIC}/"));
    let unlisted = curl_at(&format!("https://{ADS}/"), ADS, 443, ads);
    let quiet = "> /dev/null 2>&1";
    let tries = format!("{} {quiet}; echo clinic=$?; {} {quiet}; echo ads=$?", shell(&clinic), shell(&unlisted));
    let first = scenario.client_container("first", &["sh", "-c", &tries])?;
    Ok(scenario.client_manifest(name, cover)?.init_container(first))
}

/// What curl ended with, by destination.
async fn outcomes(client: &Client) -> Result<Vec<String>> {
    Ok(client.log("first").await?.lines().map(str::to_owned).collect())
}

async fn comes_first(covered: &Client) -> Result<()> {
    let spec = covered.object().await?.spec.context("the pod has no spec")?;
    let names: Vec<String> = spec.init_containers.unwrap_or_default().into_iter().map(|container| container.name).collect();
    let expected: Vec<&str> = OURS.into_iter().chain(["first"]).collect();
    ensure!(names == expected, "the init containers are {names:?}");
    Ok(())
}
