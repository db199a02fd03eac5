//! Observe: a holding that its standard lets observe records what Enforce would stop and stops nothing, for all protocols; what was
//! seen is drafted; and at the end the pod enforces by the clock alone, until it is replaced by one that is proven to.

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, arrives};
use shekara_e2e::clients::{curl, udp};
use shekara_e2e::holdings::{CONDITION, condition, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO};
use shekara_policy::record::{Decision, FlowRecord};
use shekara_policy::{Protocol, Reason};

use crate::command_line::program::Program;

/// How long the holding observes: long enough to see it do so on a slow machine.
const OBSERVED: SignedDuration = SignedDuration::from_secs(75);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let standard = with(scenario.standard_spec(), "/observe", json!({"maxDays": 14, "drafts": true}))?;
    scenario.standard_with(standard).await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    let end = Timestamp::now() + OBSERVED;
    let enforcement = json!({"mode": "Observe", "observeUntil": end.to_string()});
    scenario.holding_with("faces", with(scenario.holding_spec(&["clinic"]), "/enforcement", enforcement)?).await?;
    scenario.condition("faces", "Accepted", "True").await?;
    let covered = scenario.client_in_time("covered", Cover::Covered).await?;
    says(scenario, "Observing").await?;

    let (sniffer, echo) = (&scenario.world()?.sniffer, scenario.world()?.hosts.get(ECHO)?.any_v4()?);
    let datagram = Attempt::python("UDP", &udp(echo, 9999), Arrival::Packet(echo, "udp"));
    covered.run(&curl(&format!("https://{ADS}/"))).await?.success()?;
    covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    let since = sniffer.clock().await?;
    datagram.make(&covered).await?;
    arrives(sniffer, &covered, &datagram, since).await?;
    let to_ads = |record: &FlowRecord| record.name.as_deref() == Some(ADS) && record.protocol == Protocol::Tls;
    let seen = covered.record("the unlisted party", to_ads).await?;
    ensure!(Timestamp::now() < end, "this machine is too slow to see anything of Observe");
    let passed = seen.verdict == Decision::Deny && seen.observed && seen.reason == Some(Reason::UnlistedParty);
    ensure!(passed && seen.bytes_out > 0 && seen.dialled.is_some(), "{seen:?}");
    drafted(scenario, &covered).await?;
    counted(scenario).await?;

    // nobody does anything: the end comes by itself
    says(scenario, "RestartNeeded").await?;
    ensure!(Timestamp::now() >= end, "it ended too early");
    covered.run(&curl(&format!("https://{ADS}/"))).await?.failure()?;
    covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    let free = scenario.client("free", Cover::Free).await?;
    all_closed(sniffer, &covered, &free, &[datagram]).await?;
    let replaced = scenario.client_in_time("replaced", Cover::Covered).await?;
    replaced.run(&curl(&format!("https://{ADS}/"))).await?.failure()?;
    let object = replaced.object().await?;
    ensure!(!serde_json::to_string(&object.spec)?.contains("SHEKARA_OBSERVE_UNTIL"), "the new pod was admitted to observe");
    Ok(())
}

/// Waits until the holding is not enforced for this reason.
async fn says(scenario: &Scenario, reason: &str) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    let within = CONDITION + std::time::Duration::try_from(OBSERVED)?;
    until(&format!("Enforcing=False for the reason {reason}"), within, async || {
        let holding = api.get("faces").await?;
        let found = condition(&holding, "Enforcing").filter(|said| said.status == "False" && said.reason == reason);
        Ok(Seen::some_or(found.map(drop), holding.status))
    })
    .await
}

/// A recipient is drafted of what was seen.
async fn drafted(scenario: &Scenario, covered: &Client) -> Result<()> {
    let log = covered.log(shekara_e2e::records::SIDECAR).await?;
    let manifest = Program::find(&scenario.namespace)?.fed(&["propose", "faces", "--records", "-"], &log).await?;
    let draft = manifest.find("kind: Recipient").and_then(|at| manifest.get(at..)).context("no recipient is drafted")?;
    ensure!(draft.contains(ADS) && draft.contains("443") && draft.contains("TLS"), "{manifest}");
    Ok(())
}

/// The status says what left although Enforce would have stopped it.
async fn counted(scenario: &Scenario) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    until("the status tells of what passed", CONDITION, async || {
        let status = api.get("faces").await?.status;
        let denials = status.iter().flat_map(|status| &status.denials);
        let told = denials.into_iter().any(|denial| {
            denial.reason == Reason::UnlistedParty.code()
                && denial.observed.is_some_and(|flows| flows > 0)
                && denial.bytes_out.is_some_and(|bytes| bytes > 0)
        });
        Ok(Seen::some_or(told.then_some(()), status))
    })
    .await
}
