//! A message broker at home gets what a telematics backend publishes and gives it back, over plain MQTT (opaque TCP, by the pin
//! of the name) and over TLS. The vendor's broker is a listed recipient too, but it is abroad: it never sees a packet.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use shekara_e2e::attempt::{Attempt, all_closed, packets_at};
use shekara_e2e::clients::{publish, subscribe};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::world::hosts::cast::{BROKER, VENDOR};
use shekara_policy::Reason;
use shekara_policy::flow::Protocol;
use shekara_policy::record::Decision;

const PLAIN: u16 = 1883;
const TLS: u16 = 8883;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("broker", endpoints(BROKER)), ("vendor", endpoints(VENDOR))]).await?;
    home(scenario, &border).await?;
    abroad(scenario, &border).await
}

fn endpoints(host: &str) -> Value {
    json!([{"host": host, "ports": [PLAIN], "protocol": "TCP"}, {"host": host, "ports": [TLS], "protocol": "TLS"}])
}

async fn home(scenario: &Scenario, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let covered = &border.covered;
    let since = world.sniffer.clock().await?;
    for (port, protocol) in [(PLAIN, Protocol::Tcp), (TLS, Protocol::Tls)] {
        let topic = format!("{}/{port}", scenario.namespace);
        covered.run(&publish(BROKER, port, &topic, "here")).await?.success()?;
        let given = covered.run(&subscribe(BROKER, port, &topic)).await?.success()?;
        ensure!(given.trim() == "here", "the broker gives {given:?} back");
        let is_it = |record: &shekara_policy::record::FlowRecord| {
            record.protocol == protocol && record.port == port && record.verdict == Decision::Allow
        };
        let record = covered.record(&format!("MQTT on port {port}"), is_it).await?;
        ensure!(record.name.as_deref() == Some(BROKER), "the name is not said: {record:?}");
        ensure!(record.bytes_out > 0 && record.bytes_in > 0, "the bytes are not counted: {record:?}");
    }
    let arrived = packets_at(&world.sniffer, covered, world.hosts.get(BROKER)?, since).await?;
    ensure!(!arrived.is_empty(), "the broker saw no packet");
    Ok(())
}

async fn abroad(scenario: &Scenario, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let vendor = world.hosts.get(VENDOR)?;
    let attempt = |port: u16| {
        let command = publish(VENDOR, port, &scenario.namespace, "there");
        Attempt::host(format!("MQTT to the vendor on port {port}"), &command, vendor)
    };
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &[attempt(PLAIN), attempt(TLS)]).await? {
        outcome.failure()?;
    }
    for port in [PLAIN, TLS] {
        let is_it = |record: &shekara_policy::record::FlowRecord| record.port == port && is_denial(record, Reason::CrossBorder);
        let denial = border.covered.record(&format!("the vendor on port {port}"), is_it).await?;
        ensure!(denial.name.as_deref() == Some(VENDOR), "the name is not said: {denial:?}");
        ensure!(denial.country.is_some_and(|country| country.as_str() == "DE"), "the country is not said: {denial:?}");
        ensure!(denial.dialled.is_none() && denial.bytes_out == 0, "something left: {denial:?}");
    }
    Ok(())
}
