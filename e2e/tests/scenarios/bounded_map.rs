//! A pod in two holdings, each bound by a standard of its own, that uses a foreign map service to which both claim to send no data:
//! it is reached within its bound, cut off to the byte when that is spent, and closed under the standard `kz-request-2025`, while
//! the clinic at home gets the data of both holdings throughout.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use shekara_crds::{DataHolding, SovereigntyStandard};
use shekara_e2e::clients::{curl, curl_at};
use shekara_e2e::cluster::apply;
use shekara_e2e::holdings::{CONDITION, FACE, condition, recipient_spec, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{CLINIC, MAPS};
use shekara_policy::Reason;
use shekara_policy::record::{Decision, FlowRecord};

/// What may go to the map service from a pod on one day.
const BOUND: u64 = 20 * 1024;

/// The category of the second holding.
const PLACE: &str = "vehicle.location";

/// The preset as the chart brings it.
const PRESET: &str = include_str!("../../../charts/shekara/files/standards/kz-request-2025.yaml");

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    declare(scenario).await?;
    let covered = scenario.client_in_time("covered", Cover::Covered).await?;
    scenario.enforcing(1).await?;
    within_the_bound(scenario, &covered).await?;
    over_it(&covered).await?;
    under_the_preset(scenario, &covered).await
}

/// Two standards, two holdings of the same pods, a clinic at home and maps abroad.
async fn declare(scenario: &Scenario) -> Result<()> {
    for (name, data, abroad) in [("standard", "biometric.*", "Bounded"), ("vehicles", "vehicle.*", "Allowed")] {
        let spec = with(scenario.standard_spec(), "/appliesTo/data", json!([data]))?;
        let spec = with(spec, "/transfers/0/data", json!([data]))?;
        let spec = with(spec, "/emptyTransfers", json!({"abroad": abroad}))?;
        standard(scenario, name, with(spec, "/maxEmptyOutPerDay", json!("20Ki"))?).await?;
    }
    let clinic = recipient_spec(json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]));
    scenario.recipient_with("clinic", with(clinic, "/permits/0/data", json!([FACE, PLACE]))?).await?;
    let maps = json!([{"host": MAPS, "ports": [443], "protocol": "TLS"}, {"host": MAPS, "ports": [80], "protocol": "HTTP"}]);
    let maps = with(with(recipient_spec(maps), "/country", json!("DE"))?, "/permits", json!([]))?;
    scenario.recipient_with("maps", maps).await?;
    for (name, data) in [("faces", FACE), ("vehicles", PLACE)] {
        let spec = with(scenario.holding_spec(&["clinic", "maps"]), "/data", json!([{"category": data}]))?;
        let spec = with(spec, "/transfers/0/data", json!([data]))?;
        let approval = json!({"by": "A. S.", "document": "44", "date": "2026-11-20"});
        let map = json!({"recipient": scenario.named("maps"), "data": [], "purpose": "base map", "approval": approval});
        scenario.holding_with(name, with(spec, "/transfers/1", map)?).await?;
        scenario.condition(name, "Accepted", "True").await?;
    }
    Ok(())
}

async fn standard(scenario: &Scenario, name: &str, spec: Value) -> Result<SovereigntyStandard> {
    let standard = scenario.object("SovereigntyStandard", &scenario.named(name), spec)?;
    apply(&kube::Api::all(scenario.kube.clone()), &standard).await
}

async fn within_the_bound(scenario: &Scenario, covered: &Client) -> Result<()> {
    for host in [MAPS, CLINIC] {
        covered.run(&curl(&format!("https://{host}/"))).await?.success()?;
    }
    let is_it =
        |name: &'static str| move |record: &FlowRecord| record.name.as_deref() == Some(name) && record.verdict == Decision::Allow;
    let clinic = covered.record("the clinic", is_it(CLINIC)).await?;
    let data: Vec<&str> = clinic.data.iter().map(|category| category.as_str()).collect();
    ensure!(data == [FACE, PLACE] && clinic.rules.len() == 2, "both holdings have their part: {clinic:?}");
    let maps = covered.record("the maps", is_it(MAPS)).await?;
    ensure!(maps.data.is_empty() && maps.country.is_some_and(|country| country.as_str() == "DE"), "{maps:?}");
    // the claim is reported with its volume
    let api = scenario.api::<DataHolding>();
    let (name, expected) = (scenario.named("maps"), i64::try_from(maps.bytes_out)?);
    until("the status says what went to the maps", CONDITION, async || {
        let status = api.get("faces").await?.status;
        let found = status.iter().flat_map(|status| &status.transfers).find(|transfer| transfer.recipient == name);
        let said = found.is_some_and(|transfer| transfer.data.is_empty() && transfer.bytes_out >= expected);
        Ok(Seen::some_or(said.then_some(()), status))
    })
    .await
}

async fn over_it(covered: &Client) -> Result<()> {
    let much = format!(
        "import socket\n\
         with socket.create_connection(('{MAPS}', 80), timeout=10) as s:\n\
         \x20   s.sendall(b'POST / HTTP/1.1\\r\\nHost: {MAPS}\\r\\nContent-Length: 1000000\\r\\n\\r\\n')\n\
         \x20   for _ in range(1000): s.sendall(b'x' * 1000)\n\
         \x20   s.recv(1)\n"
    );
    covered.python(&much).await?.failure()?;
    let spent = |record: &FlowRecord| record.name.as_deref() == Some(MAPS) && is_denial(record, Reason::BudgetSpent);
    covered.record("the maps cut off", |record| spent(record) && record.bytes_out > 0).await?;
    let sent: u64 = covered
        .records()
        .await?
        .iter()
        .filter(|record| record.name.as_deref() == Some(MAPS))
        .map(|record| record.bytes_out)
        .sum();
    ensure!(sent == BOUND, "{sent} bytes went to the maps and not {BOUND}");
    let refused = covered.run(&curl(&format!("https://{MAPS}/"))).await?;
    refused.failure()?;
    covered.record("the maps denied", |record| spent(record) && record.dialled.is_none() && record.bytes_out == 0).await?;
    covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success().map(drop)
}

async fn under_the_preset(scenario: &Scenario, covered: &Client) -> Result<()> {
    let spec: Value = serde_saphyr::from_str(PRESET).context("the preset cannot be read")?;
    let own = scenario.standard_spec();
    let part = |pointer: &str| own.pointer(pointer).cloned().with_context(|| format!("the scenario's standard has no {pointer}"));
    let spec = with(spec, "/appliesTo/namespaceSelector", part("/appliesTo/namespaceSelector")?)?;
    standard(scenario, "preset", with(spec, "/networks", part("/networks")?)?).await?;
    let refusal = scenario.condition("faces", "Accepted", "False").await?;
    ensure!(refusal.reason == Reason::EmptyTransferDenied.code(), "{refusal:?}");
    ensure!(refusal.message.contains("spec.transfers[1]") && refusal.message.contains(&scenario.named("preset")), "{refusal:?}");
    let api = scenario.api::<DataHolding>();
    until("the missing declarations are named", CONDITION, async || {
        let holding = api.get("faces").await?;
        let missing = condition(&holding, "DeclarationComplete").filter(|condition| condition.status == "False");
        let named = missing
            .is_some_and(|missing| missing.message.contains("SystemCertificate") && missing.message.contains("LegalBasis"));
        Ok(Seen::some_or(named.then_some(()), holding.status))
    })
    .await?;
    let address = scenario.world()?.hosts.get(MAPS)?.v4("DE")?;
    let url = format!("https://{MAPS}/");
    let denied = |record: &FlowRecord| record.name.as_deref() == Some(MAPS) && is_denial(record, Reason::EmptyTransferDenied);
    until("the maps are closed by the preset", CONDITION, async || {
        covered.run(&curl_at(&url, MAPS, 443, address)).await?.failure()?;
        let records = covered.records().await?;
        Ok(Seen::some_or(records.iter().any(denied).then_some(()), records.last().cloned()))
    })
    .await?;
    covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success().map(drop)
}
