//! The operator is away for ten minutes, and sidecars are killed meanwhile: what is allowed goes on, before and after each restart
//! and in a flow that lives all the time, what is denied stays denied, and new covered pods are refused. When the operator is back
//! the holding is enforced, and its counts are exact: all that happened in the pod whose sidecar lived on, and of the other one all
//! but what the killed starts had counted since their last checkpoint.
//!
//! Closes 14 of the threat model for an operator that is down for long.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{curl, curl_at};
use shekara_e2e::cluster::without_operator;
use shekara_e2e::counted::Counts;
use shekara_e2e::live::{ECHO_PORT, LiveFlow};
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::now;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO};
use tokio::time::{Instant, sleep_until};

/// What is promised: so long it may be away.
const AWAY: Duration = Duration::from_secs(600);

/// In so many rounds, of equal length, everything is tried again.
const ROUNDS: u32 = 10;

/// In the rounds of these numbers a sidecar is killed. The kubelet waits longer before each next start.
const KILLED: [u32; 3] = [1, 4, 7];

/// So many flows to the clinic are made where flows are tried.
const FLOWS: usize = 3;

/// The two covered pods: the sidecar of one is killed.
struct Place {
    border: Border,
    killed: Client,
    watcher: Watcher,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let recipients = [
        ("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])),
        ("echo", json!([{"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}])),
    ];
    let border = scenario.border(&recipients).await?;
    let killed = scenario.client("killed", Cover::Covered).await?;
    scenario.enforcing(2).await?;
    let watcher = Watcher::beside(scenario, &killed).await?;
    let place = Place { border, killed, watcher };
    let mut live = LiveFlow::open(&place.border.covered, echo).await?;

    let mut expected = Counts::default();
    tried(scenario, &place, &place.border.covered, &mut expected).await?;
    tried(scenario, &place, &place.killed, &mut expected).await?;
    scenario.counted("clinic", expected).await.context("before")?;
    without_operator(&scenario.kube, async || away(scenario, &place, &mut live, &mut expected).await).await?;

    live.goes_on().await?;
    scenario.enforcing(2).await?;
    scenario.counted("clinic", expected).await.context("after")?;
    measure::print("flows counted exactly", format_args!("{} allowed, {} denied", expected.allowed, expected.denied));
    let another = scenario.client_in_time("another", Cover::Covered).await?;
    scenario.enforcing(3).await?;
    tried(scenario, &place, &another, &mut expected).await
}

async fn away(scenario: &Scenario, place: &Place, live: &mut LiveFlow, expected: &mut Counts) -> Result<()> {
    let begin = Instant::now();
    // what the start of the sidecar that lives has counted: whoever kills it takes it along
    let mut own = Counts::default();
    for round in 0..ROUNDS {
        async {
            if KILLED.contains(&round) {
                let killed = now()?;
                place.watcher.kill_sidecar(&place.killed).await?;
                let took = now()? - killed;
                measure::print("a sidecar that was killed was ready by its files after", format_args!("{took:.1} s"));
                own = Counts::default();
            }
            tried(scenario, place, &place.border.covered, expected).await?;
            tried(scenario, place, &place.killed, &mut own).await?;
            scenario.refuses_covered_pods().await?;
            live.goes_on().await
        }
        .await
        .with_context(|| format!("in round {round}"))?;
        sleep_until(begin + AWAY / ROUNDS * (round + 1)).await;
    }
    measure::print("the operator was away for", format_args!("{:.0} s", begin.elapsed().as_secs_f64()));
    live.goes_on().await?;
    expected.allowed += own.allowed;
    expected.denied += own.denied;
    Ok(())
}

/// The clinic is reached by a covered pod, and an unlisted party is not.
async fn tried(scenario: &Scenario, place: &Place, covered: &Client, counts: &mut Counts) -> Result<()> {
    for _ in 0..FLOWS {
        let status = covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
        ensure!(status == "200", "the clinic answers {status}");
        counts.allowed += 1;
    }
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let unlisted = curl_at(&format!("https://{ADS}/"), ADS, 443, ads);
    let attempts = [Attempt::new("an unlisted party", &unlisted, Arrival::Packet(ads, "tcp"))];
    for outcome in all_closed(&world.sniffer, covered, &place.border.free, &attempts).await? {
        outcome.failure()?;
        counts.denied += 1;
    }
    Ok(())
}
