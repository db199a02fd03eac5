//! Volume goes through the sidecar unchanged: a GiB up and down, and a thousand downloads at once, each on a connection of its own. How
//! long it takes is printed, beside the same without a sidecar, and bounded by nothing: it depends on what else the machine does. The
//! sidecar stays within its memory: it is not started again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use shekara_e2e::honest::Place;
use shekara_e2e::honest::outcome::Outcome;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::records::SIDECAR;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::SERVICES;

const BYTES: u64 = 1 << 30;
const DOWNLOADS: usize = 1000;

/// How long a command may take before the scenario gives up on it.
const LIMIT: Duration = Duration::from_secs(300);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let place = Place::new(scenario, "moreclients").await?;
    for scheme in ["http", "https"] {
        let without = Volume::of(&place.free, scheme).await.context("without a sidecar")?;
        let with = Volume::of(&place.covered, scheme).await?;
        for (way, with, without) in [("up", with.up, without.up), ("down", with.down, without.down)] {
            print_ratio(&format!("a GiB {way} by {scheme}"), with, without);
        }
    }
    let without = downloads(&place.free).await.context("without a sidecar")?;
    let with = downloads(&place.covered).await?;
    print_ratio(&format!("{DOWNLOADS} downloads of a MiB at once"), with, without);
    lived_through(&place.covered).await
}

/// How long a volume took, in seconds.
struct Volume {
    up: f64,
    down: f64,
}

impl Volume {
    async fn of(pod: &Client, scheme: &str) -> Result<Self> {
        let script = include_str!("../../clients/volume.sh");
        let url = format!("{scheme}://{SERVICES}/upload");
        let said = pod.run_within(LIMIT, &["bash", "-c", script, "volume", &url, &BYTES.to_string()]).await?.success()?;
        let word = |key: &str| {
            let word = said.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
            word.with_context(|| format!("no {key} in {said:?}"))
        };
        ensure!(word("sent")? == word("back")?, "other bytes came back than were sent: {said}");
        Ok(Self { up: word("up")?.parse()?, down: word("down")?.parse()? })
    }
}

/// How long all downloads took together, in seconds.
async fn downloads(pod: &Client) -> Result<f64> {
    let script = include_str!("../../clients/many.sh");
    let ran = pod.run_within(LIMIT, &["bash", "-c", script, "many", SERVICES, &DOWNLOADS.to_string()]).await?;
    let outcome = Outcome::of(ran)?;
    let took = outcome.took;
    let said = outcome.worked()?;
    let [expected, connections, came] = said.lines().collect::<Vec<_>>()[..] else {
        anyhow::bail!("not every download gave the same: {said}")
    };
    ensure!(
        connections == format!("{DOWNLOADS} connections") && came == expected,
        "not every download gave what was sent: {said}"
    );
    Ok(took)
}

fn print_ratio(what: &str, with: f64, without: f64) {
    measure::print(what, format_args!("{with:.1} s, without a sidecar {without:.1} s: {:.2} times as long", with / without));
}

async fn lived_through(covered: &Client) -> Result<()> {
    let statuses = covered.object().await?.status.unwrap_or_default().init_container_statuses.unwrap_or_default();
    let sidecar = statuses.iter().find(|status| status.name == SIDECAR).context("the pod has no sidecar")?;
    ensure!(sidecar.restart_count == 0, "the sidecar was started again: {:?}", sidecar.last_state);
    Ok(())
}
