//! The status of a holding says what happened: conditions of the present generation, coverage, transfers and denials with counts and
//! bytes, the policy and how many pods have loaded it. `kubectl wait` and `kubectl get` read it. A holding whose pods have no
//! sidecar says so, with their names.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::TransferVerdict;
use shekara_e2e::clients::{curl, curl_at, curl_with};
use shekara_e2e::cluster::program;
use shekara_e2e::holdings::{CONDITION, FACE, condition, recipient_spec, with};
use shekara_e2e::pods::workload::{APPLICATION, Cover};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, MAPS};

const EXPIRES: &str = "2099-01-01T00:00:00Z";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let tls = |host: &str| json!([{"host": host, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", tls(CLINIC)), ("maps", tls(MAPS))]).await?;
    let expiring = with(recipient_spec(tls(CLINIC)), "/permits/0/validUntil", json!(EXPIRES))?;
    scenario.recipient_with("clinic", expiring).await?;
    for kind in ["Accepted", "Covered", "Enforcing", "Ready"] {
        wait(scenario, kind).await?;
    }
    flows(scenario, &border).await?;
    let holding = summed_up(scenario).await?;
    sound(scenario, &holding)?;
    columns(scenario).await?;
    injected(scenario).await?;
    uncovered(scenario, &border).await
}

async fn wait(scenario: &Scenario, kind: &str) -> Result<()> {
    let condition = format!("--for=condition={kind}");
    program("kubectl", &["wait", &condition, "dataholding/faces", "-n", &scenario.namespace, "--timeout=60s"]).await.map(drop)
}

async fn flows(scenario: &Scenario, border: &Border) -> Result<()> {
    let ads = scenario.world()?.hosts.get(ADS)?.any_v4()?;
    let listed = curl(&format!("https://{CLINIC}/"));
    for command in [&listed, &listed] {
        border.covered.run(command).await?.success()?;
    }
    for command in [curl_with(&format!("https://{MAPS}/"), &["--ipv4"]), curl_at(&format!("https://{ADS}/"), ADS, 443, ads)] {
        border.covered.run(&command).await?.failure()?;
    }
    Ok(())
}

/// Waits until the flows are in the status: sidecars report at intervals.
async fn summed_up(scenario: &Scenario) -> Result<DataHolding> {
    let api = scenario.api::<DataHolding>();
    until("the flows are in the status", CONDITION, async || {
        let holding = api.get("faces").await?;
        let status = holding.status.clone().unwrap_or_default();
        let flows: i64 = status.transfers.iter().map(|transfer| transfer.flows).sum();
        let known = |reason: &str| status.denials.iter().any(|denial| denial.reason == reason);
        let all = flows >= 3 && known("UnlistedParty") && known("CrossBorder") && status.expires.is_some();
        Ok(Seen::some_or(all.then(|| holding.clone()), status))
    })
    .await
}

fn sound(scenario: &Scenario, holding: &DataHolding) -> Result<()> {
    let status = holding.status.clone().context("there is no status")?;
    for kind in ["Accepted", "Covered", "Enforcing", "Ready"] {
        let found = condition(holding, kind).with_context(|| format!("there is no condition {kind}"))?;
        ensure!(found.status == "True", "{kind} is {}: {}", found.status, found.message);
        ensure!(found.observed_generation == holding.metadata.generation, "{kind} is said of another generation: {found:?}");
        ensure!(!found.reason.is_empty() && !found.message.is_empty(), "{kind} says nothing");
    }
    let coverage = status.coverage.context("there is no coverage")?;
    ensure!((coverage.in_scope, coverage.covered, coverage.summary.as_str()) == (1, 1, "1/1"), "another coverage: {coverage:?}");
    ensure!(coverage.states.get("Enforcing") == Some(&1) && coverage.uncovered.is_empty(), "other states: {coverage:?}");
    ensure!(status.standards == Some(scenario.named("standard")), "other standards: {:?}", status.standards);
    ensure!(status.expires.as_deref() == Some(EXPIRES), "it expires at {:?}", status.expires);
    let policy = status.policy.context("there is no policy")?;
    ensure!(policy.digest.starts_with("sha256:") && policy.loaded_by == 1, "another policy: {policy:?}");

    let transfer = |name: &str| status.transfers.iter().find(|transfer| transfer.recipient == scenario.named(name));
    let clinic = transfer("clinic").context("the clinic is not among the transfers")?;
    ensure!(
        clinic.verdict == TransferVerdict::Allowed && clinic.country.as_deref() == Some("KZ"),
        "other than allowed: {clinic:?}"
    );
    ensure!(clinic.data == [FACE] && clinic.flows >= 2, "other data or flows: {clinic:?}");
    ensure!(clinic.bytes_out > 0 && clinic.bytes_in > 0 && clinic.last.is_some(), "bytes or time are missing: {clinic:?}");
    let maps = transfer("maps").context("the maps are not among the transfers")?;
    ensure!(
        maps.verdict == TransferVerdict::Denied && maps.reason.as_deref() == Some("CrossBorder"),
        "other than denied: {maps:?}"
    );
    ensure!(maps.bytes_out == 0 && maps.bytes_in == 0, "something left: {maps:?}");
    let unlisted = status.denials.iter().find(|denial| denial.reason == "UnlistedParty").context("no unlisted party")?;
    ensure!(unlisted.flows >= 1 && unlisted.last_destination.as_deref() == Some(ADS), "another denial: {unlisted:?}");
    let sum: i64 = status.denials.iter().map(|denial| denial.flows).sum();
    ensure!(status.denied == sum && sum >= 2, "{} are denied, by reasons {sum}", status.denied);
    Ok(())
}

async fn columns(scenario: &Scenario) -> Result<()> {
    let table = program("kubectl", &["get", "dh", "-n", &scenario.namespace]).await?;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let head = lines.next().unwrap_or_default();
    ensure!(head == ["NAME", "READY", "MODE", "COVERED", "DENIED", "EXPIRES", "AGE"], "other columns: {head:?}");
    let row = lines.next().unwrap_or_default();
    ensure!(row.starts_with(&["faces", "True", "Enforce", "1/1"]), "another row: {row:?}");
    let all = program("kubectl", &["get", "shekara", "-n", &scenario.namespace, "-o", "name"]).await?;
    ensure!(all.contains("dataholding.shekara.dev/faces"), "the category shekara has {all:?}");
    Ok(())
}

/// The owning workload, here the pod itself, has an event that says that it was injected.
async fn injected(scenario: &Scenario) -> Result<()> {
    let api = scenario.api::<Event>();
    until("the event of the injection", CONDITION, async || {
        let events = api.list(&ListParams::default()).await?.items;
        let found = events.iter().find(|event| event.reason.as_deref() == Some("Injected"));
        let ours = found.filter(|event| event.involved_object.name.as_deref() == Some("covered"));
        let reasons: Vec<_> = events.iter().map(|event| (&event.involved_object.name, &event.reason)).collect();
        Ok(Seen::some_or(ours.cloned(), reasons))
    })
    .await?;
    Ok(())
}

/// A holding that is declared after its pods were made: they go on without a sidecar, and the status names them.
async fn uncovered(scenario: &Scenario, border: &Border) -> Result<()> {
    let selector = json!({"matchLabels": {APPLICATION: Cover::Free.label()}});
    let spec = with(scenario.holding_spec(&["clinic"]), "/workloadSelector", selector)?;
    let late = scenario.holding_with("late", spec).await?;
    for kind in ["Covered", "Enforcing", "Ready"] {
        scenario.condition(&late.name_any(), kind, "False").await?;
    }
    let covered = scenario.condition("late", "Covered", "False").await?;
    ensure!(covered.message.contains(&border.free.name), "the message does not name the pod: {}", covered.message);
    let status = scenario.api::<DataHolding>().get("late").await?.status.unwrap_or_default();
    let coverage = status.coverage.context("there is no coverage")?;
    ensure!((coverage.in_scope, coverage.covered, coverage.summary.as_str()) == (1, 0, "0/1"), "another coverage: {coverage:?}");
    let first = coverage.uncovered.first().context("no pod is named")?;
    ensure!((first.name.as_str(), first.state.as_str()) == (border.free.name.as_str(), "Bare"), "another pod: {first:?}");
    Ok(())
}
