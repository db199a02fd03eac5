//! What a client notices of the sidecar of the pod that it connects to: how long a connection takes until its first byte is there, and
//! how long a volume takes, beside the same without a sidecar. Both are printed, and bounded by nothing: they depend on what else the
//! machine does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join3;
use serde::Deserialize;
use serde_json::json;
use shekara_e2e::holdings::with;
use shekara_e2e::measure::{self, Spread};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

const PORT: u16 = 8080;
const CONNECTIONS: usize = 500;
const BYTES: u64 = 1 << 30;

/// Each is measured so many times, in turns, so that what the machine does at some time does not meet one alone.
const ROUNDS: usize = 3;

/// How long a round may take before the scenario gives up on it.
const LIMIT: Duration = Duration::from_secs(120);

/// How long a server may take to answer.
const SOON: Duration = Duration::from_secs(30);

/// What the asking program prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Round {
    /// The seconds of each connection.
    connections: Vec<f64>,
    /// The seconds of the volume.
    volume: f64,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let source = json!({
        "name": "scraper", "pods": {"namespace": scenario.namespace, "podSelector": {"matchLabels": {"workload": "scraper"}}},
    });
    let spec = with(scenario.standard_spec(), "/inbound", json!({"mode": "Listed", "from": [source]}))?;
    scenario.standard_with(spec).await?;
    let server = async |name: &str, cover| {
        let command = ["python3", "-c", include_str!("../../clients/serve.py"), &PORT.to_string()];
        scenario.start(&Workload::new(name, cover).container(scenario.client_container("client", &command)?)).await
    };
    let (scraper, covered, free) = try_join3(
        scenario.client("scraper", Cover::Free),
        server("server-covered", Cover::Covered),
        server("server-free", Cover::Free),
    )
    .await?;
    for server in [&covered, &free] {
        until(&format!("{} answers", server.name), SOON, async || {
            Ok(Seen::some_or(ask(&scraper, server, 1, 1).await.ok(), "not yet"))
        })
        .await?;
    }
    let (mut with, mut without) = (Totals::default(), Totals::default());
    for _ in 0..ROUNDS {
        without.add(ask(&scraper, &free, CONNECTIONS, BYTES).await.context("without a sidecar")?);
        with.add(ask(&scraper, &covered, CONNECTIONS, BYTES).await?);
    }
    let (with_volume, without_volume) = (with.volume(), without.volume());
    let (with, without) = (Spread::of(with.connections)?, Spread::of(without.connections)?);
    measure::print(
        "a connection in, until its first byte",
        format_args!(
            "p50 {:.2} ms, p99 {:.2} ms; without a sidecar p50 {:.2} ms, p99 {:.2} ms",
            with.p50 * 1e3,
            with.p99 * 1e3,
            without.p50 * 1e3,
            without.p99 * 1e3
        ),
    );
    measure::print(
        "a GiB to a client that connected",
        format_args!(
            "{with_volume:.2} s, without a sidecar {without_volume:.2} s: {:.2} times as long",
            with_volume / without_volume
        ),
    );
    Ok(())
}

async fn ask(from: &Client, server: &Client, connections: usize, bytes: u64) -> Result<Round> {
    let program = include_str!("../../clients/ask.py");
    let command =
        ["python3", "-c", program, &server.v4()?.to_string(), &PORT.to_string(), &connections.to_string(), &bytes.to_string()];
    Ok(serde_json::from_str(&from.run_within(LIMIT, &command).await?.success()?)?)
}

/// All rounds with one server.
#[derive(Default)]
struct Totals {
    connections: Vec<f64>,
    volumes: Vec<f64>,
}

impl Totals {
    fn add(&mut self, round: Round) {
        self.connections.extend(round.connections);
        self.volumes.push(round.volume);
    }

    /// The best time of the volume: whatever else the machine does only adds to it.
    fn volume(&self) -> f64 {
        self.volumes.iter().copied().fold(f64::INFINITY, f64::min)
    }
}
