//! A category that a registrar takes away from a holding goes on binding as long as a pod lives that was there before: a standard
//! that applies by it still closes what it closes, and the status says since when and why. When that pod has ended the document
//! lets go of it. The holding that is deleted after that stays as closed, with what left and what did not.
//!
//! Closes the part of 37 of the threat model that is about pods that run.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use shekara_crds::data_holding::status::HeldCategory;
use shekara_crds::{DataHolding, SovereigntyStandard};
use shekara_e2e::attempt::packets_at;
use shekara_e2e::clients::curl;
use shekara_e2e::closed::closed;
use shekara_e2e::cluster::apply;
use shekara_e2e::holdings::{CONDITION, FACE, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_policy::Reason;

const LOCATION: &str = "vehicle.location";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    standards(scenario).await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    let both = json!([{"category": FACE}, {"category": LOCATION}]);
    scenario.holding_with("faces", with(scenario.holding_spec(&["clinic"]), "/data", both)?).await?;
    let holding = scenario.condition("faces", "Accepted", "True").await.map(|_| scenario.api::<DataHolding>())?;
    let old = scenario.client_in_time("old", Cover::Covered).await?;
    scenario.enforcing(1).await?;
    stays_closed(scenario, &old).await.context("before the narrowing")?;

    let less = Patch::Merge(json!({"spec": {"data": [{"category": FACE}]}}));
    let uid = holding.patch("faces", &PatchParams::default(), &less).await?.metadata.uid.context("the holding has no UID")?;
    held(scenario, "what was taken away is still held", |held| {
        held.iter().any(|held| held.category == LOCATION && held.removed_at.is_some())
    })
    .await?;
    scenario.enforcing(1).await?;
    stays_closed(scenario, &old).await.context("while a pod lives that was there before")?;
    // a pod that is killed takes along what it has not told yet
    denied(scenario, 2).await?;

    scenario.api::<Pod>().delete("old", &DeleteParams::default().grace_period(0)).await?;
    held(scenario, "what was taken away is held no longer", |held| held.iter().all(|held| held.category != LOCATION)).await?;
    let new = scenario.client_in_time("new", Cover::Covered).await?;
    scenario.enforcing(1).await?;
    let status = new.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "the clinic answers {status}");
    new.record("the flow to the clinic", |record| record.name.as_deref() == Some(CLINIC) && record.bytes_out > 0).await?;

    left(scenario).await?;
    holding.delete("faces", &DeleteParams::default()).await?;
    let closed = closed(scenario, &uid).await?;
    ensure!(closed.registered.namespace == scenario.namespace && closed.registered.name == "faces", "another one: {closed:?}");
    ensure!(!closed.at_the_latest && closed.registered.data == [FACE], "{closed:?}");
    let left = closed.transfers.iter().find(|transfer| transfer.recipient == scenario.named("clinic"));
    ensure!(left.is_some_and(|left| left.flows >= 1 && left.bytes_out > 0), "what left is not kept: {closed:?}");
    let denied = closed.denials.iter().any(|denial| denial.reason == Reason::SourcesDisagree.code() && denial.flows >= 2);
    ensure!(denied, "what did not leave is not kept: {closed:?}");
    Ok(())
}

/// The one for faces says where the clinic is, and the one for vehicles says otherwise: where both apply nobody knows.
async fn standards(scenario: &Scenario) -> Result<()> {
    let faces = with(scenario.standard_spec(), "/appliesTo/data", json!(["biometric.*"]))?;
    let clinic = scenario.world()?.hosts.get(CLINIC)?;
    let abroad = clinic.addresses.iter().map(|placed| {
        let bits = if placed.address.is_ipv4() { 32 } else { 128 };
        json!({"cidr": format!("{}/{bits}", placed.address), "country": "DE"})
    });
    let vehicles = with(scenario.standard_spec(), "/appliesTo/data", json!(["vehicle.*"]))?;
    let vehicles = with(vehicles, "/networks", abroad.collect())?;
    scenario.standard_with(faces).await?;
    let vehicles: SovereigntyStandard = scenario.object("SovereigntyStandard", &scenario.named("vehicles"), vehicles)?;
    apply(&kube::Api::all(scenario.kube.clone()), &vehicles).await.map(drop)
}

/// A flow to the clinic is denied, since two standards differ about its country, and nothing arrives there.
async fn stays_closed(scenario: &Scenario, pod: &Client) -> Result<()> {
    let world = scenario.world()?;
    let before = pod.records().await?.len();
    let since = world.sniffer.clock().await?;
    pod.run(&curl(&format!("https://{CLINIC}/"))).await?.failure()?;
    until("the flow is denied for its reason", CONDITION, async || {
        let records = pod.records().await?;
        let denied = records.iter().skip(before).any(|record| is_denial(record, Reason::SourcesDisagree));
        Ok(Seen::some_or(denied.then_some(()), records))
    })
    .await?;
    let arrived = packets_at(&world.sniffer, pod, world.hosts.get(CLINIC)?, since).await?;
    ensure!(arrived.is_empty(), "something arrived at the clinic: {arrived:?}");
    Ok(())
}

async fn held(scenario: &Scenario, what: &str, is_so: impl Fn(&[HeldCategory]) -> bool) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    until(what, CONDITION, async || {
        let held = api.get("faces").await?.status.unwrap_or_default().held;
        Ok(Seen::some_or(is_so(&held).then_some(()), held))
    })
    .await
}

/// Waits until so many denials are in the status.
async fn denied(scenario: &Scenario, flows: i64) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    until("the denials are counted", CONDITION, async || {
        let denials = api.get("faces").await?.status.unwrap_or_default().denials;
        let all = denials.iter().any(|denial| denial.reason == Reason::SourcesDisagree.code() && denial.flows >= flows);
        Ok(Seen::some_or(all.then_some(()), denials))
    })
    .await
}

/// Waits until the flow to the clinic is in the status.
async fn left(scenario: &Scenario) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    until("the flow is counted", CONDITION, async || {
        let transfers = api.get("faces").await?.status.unwrap_or_default().transfers;
        let left = transfers.iter().any(|transfer| transfer.flows >= 1 && transfer.reason.is_none());
        Ok(Seen::some_or(left.then_some(()), transfers))
    })
    .await
}
