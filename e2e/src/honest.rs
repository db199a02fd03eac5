//! Honest clients: ordinary programs that reach whom they may, byte for byte as without a sidecar, and say what happened where
//! they are refused.

pub mod cases;
pub mod outcome;
pub mod table;

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use futures::future::{try_join, try_join3};
use serde_json::{Value, json};

use crate::attempt::packets_at;
use crate::pods::Client;
use crate::pods::workload::{Cover, Workload};
use crate::scenario::Scenario;
use crate::world::hosts::cast::{KNOWN_SERVICES, SERVICES, UNLISTED_SERVICES};
use cases::{Case, Listed};
use outcome::Outcome;
use table::Row;

/// The clients' commands.
const SCRIPT: &str = include_str!("../clients/clients.sh");

/// How long a refusal may take.
const AT_ONCE: f64 = 1.0;

/// How often a refusal is looked at that took longer: beside other scenarios a client waits for a processor.
const LOOKS: usize = 3;

/// A covered pod, and one that none covers, with the same clients. Both have the address of the unlisted party in their hosts
/// files, by its second name.
pub struct Place {
    /// The covered pod.
    pub covered: Client,
    /// The other one.
    pub free: Client,
    since: f64,
}

/// The endpoints of the listed party, each with the protocol that its clients need.
#[must_use]
pub fn endpoints() -> Value {
    let endpoint = |ports: &[u16], protocol: &str| json!({"host": SERVICES, "ports": ports, "protocol": protocol});
    json!([
        // the web, the proxy, and a port where HTTP/2 without TLS is to be seen refused
        endpoint(&[80, 8083, 8888], "HTTP"),
        endpoint(&[443, 8883], "TLS"),
        // HTTP/2 without TLS, MQTT, PostgreSQL (whose TLS begins behind a question of its own), Redis, echo
        endpoint(&[8082, 1883, 5432, 6379, 7], "TCP"),
        endpoint(&[22, 25, 3306], "TCPServerFirst"),
    ])
}

impl Place {
    /// Declares the listed party and starts both pods, from an image.
    ///
    /// # Errors
    /// When something is refused, or the holding is not enforced in time.
    pub async fn new(scenario: &Scenario, image: &str) -> Result<Self> {
        let world = scenario.world()?;
        let unlisted = world.hosts.get(UNLISTED_SERVICES)?.any_v4()?;
        scenario.standard().await?;
        scenario.recipient("services", endpoints()).await?;
        scenario.holding(&["services"]).await?;
        let (covered, free) =
            (workload(scenario, image, Cover::Covered, unlisted)?, workload(scenario, image, Cover::Free, unlisted)?);
        let (covered, free) = try_join(scenario.start_in_time(&covered), scenario.start(&free)).await?;
        scenario.enforcing(1).await?;
        Ok(Self { covered, free, since: world.sniffer.clock().await? })
    }

    /// Lets each client try, and prints the table of what came of it.
    ///
    /// # Errors
    /// When one does not do what is promised of it, or something of the covered pod arrived at the unlisted party. The rows of the
    /// others are printed all the same.
    pub async fn try_all(&self, scenario: &Scenario, cases: &[Case]) -> Result<()> {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        for case in cases {
            match self.try_one(case).await {
                Ok(row) => rows.push(row),
                Err(error) => {
                    rows.push(Row::failed(case.what));
                    faults.push(format!("{}: {error:#}", case.what));
                }
            }
        }
        println!("{}", table::render(&rows));
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        self.nothing_arrived(scenario).await
    }

    async fn try_one(&self, case: &Case) -> Result<Row> {
        let free = async |host: &str| {
            let outcome = exchange(&self.free, case, host).await?;
            outcome.worked().with_context(|| format!("without a sidecar, {host}"))
        };
        let (expected, by_name, by_address) = try_join3(free(SERVICES), free(UNLISTED_SERVICES), free(KNOWN_SERVICES)).await?;
        ensure!(
            by_name == expected && by_address == expected,
            "not the same without a sidecar: {expected}, {by_name}, {by_address}"
        );
        let listed = match case.listed {
            Listed::Reached => {
                let got = exchange(&self.covered, case, SERVICES).await?.worked().context("the listed party")?;
                ensure!(got == expected, "the listed party gave {got:?}, and without a sidecar {expected:?}");
                None
            }
            Listed::Refused => Some(self.refused(case, SERVICES).await?),
        };
        let by_name = self.refused(case, UNLISTED_SERVICES).await?;
        let by_address = self.refused(case, KNOWN_SERVICES).await?;
        Ok(Row::new(case.what, listed.as_ref(), &by_name, &by_address))
    }

    /// The client is refused, says so, and does not wait for it.
    async fn refused(&self, case: &Case, host: &str) -> Result<Outcome> {
        let look = async || exchange(&self.covered, case, host).await?.refused().with_context(|| host.to_owned());
        let mut outcome = look().await?;
        for _ in 1..LOOKS {
            if outcome.took < AT_ONCE {
                break;
            }
            outcome = look().await?;
        }
        ensure!(outcome.took < AT_ONCE, "{host}: refused after {:.1} s, with the words {:?}", outcome.took, outcome.words);
        Ok(outcome)
    }

    async fn nothing_arrived(&self, scenario: &Scenario) -> Result<()> {
        let world = scenario.world()?;
        let unlisted = world.hosts.get(UNLISTED_SERVICES)?;
        let control = packets_at(&world.sniffer, &self.free, unlisted, self.since).await?;
        ensure!(!control.is_empty(), "the unlisted party saw nothing of the uncovered pod either");
        let arrived = packets_at(&world.sniffer, &self.covered, unlisted, self.since).await?;
        ensure!(arrived.is_empty(), "packets of the covered pod arrived at the unlisted party: {arrived:?}");
        Ok(())
    }
}

fn workload(scenario: &Scenario, image: &str, cover: Cover, unlisted: IpAddr) -> Result<Workload> {
    let container = scenario.container_of(image, "client", &["sleep", "infinity"])?;
    Ok(Workload::new(cover.label(), cover).container(container).knowing(KNOWN_SERVICES, unlisted))
}

async fn exchange(pod: &Client, case: &Case, host: &str) -> Result<Outcome> {
    Outcome::of(pod.run(&["bash", "-c", SCRIPT, "clients", case.client, host]).await?)
}
