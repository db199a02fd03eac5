//! A listed party whose name leads abroad, itself or by another name, is denied with `CrossBorder`. Where a name has an address at home and one abroad,
//! the one at home is dialled, whichever the application chose, and the other never sees a packet.
//!
//! Closes 1 of the threat model for names that lead abroad.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, packets_from};
use shekara_e2e::clients::{curl, curl_at, curl_with};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::world::hosts::cast::{MAPS, MAPS_ALIAS, SPLIT};
use shekara_policy::Reason;
use shekara_policy::record::FlowRecord;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let tls = |host: &str| json!([{"host": host, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("maps", tls(MAPS)), ("alias", tls(MAPS_ALIAS)), ("split", tls(SPLIT))]).await?;
    abroad(scenario, &border).await?;
    split(scenario, &border).await
}

async fn abroad(scenario: &Scenario, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let there = world.hosts.get(MAPS)?.v4("DE")?;
    let attempts = [MAPS, MAPS_ALIAS].map(|name| {
        let command = curl_with(&format!("https://{name}/"), &["--ipv4"]);
        Attempt::new(format!("{name}, which leads abroad"), &command, Arrival::Packet(there, "tcp"))
    });
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        outcome.failure()?;
    }
    for name in [MAPS, MAPS_ALIAS] {
        let is_it = |record: &FlowRecord| record.name.as_deref() == Some(name) && is_denial(record, Reason::CrossBorder);
        let denial = border.covered.record(name, is_it).await?;
        ensure!(denial.country.is_some_and(|country| country.as_str() == "DE"), "the country is not said: {denial:?}");
        ensure!(denial.standard == Some(scenario.named("standard")), "the standard is not said: {denial:?}");
        ensure!(denial.dialled.is_none() && denial.bytes_out == 0, "something left: {denial:?}");
    }
    Ok(())
}

async fn split(scenario: &Scenario, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let host = world.hosts.get(SPLIT)?;
    let (home, away) = (host.v4("KZ")?, host.v4("DE")?);
    let url = format!("https://{SPLIT}/");
    let since = world.sniffer.clock().await?;
    let commands = [curl(&url), curl_at(&url, SPLIT, 443, home), curl_at(&url, SPLIT, 443, away)];
    for command in &commands {
        border.covered.run(command).await?.success()?;
    }
    // the free pod's packet comes after all of the covered pod's
    border.free.run(&curl_at(&url, SPLIT, 443, away)).await?.success()?;
    let query = shekara_e2e::world::Query {
        source: border.free.addresses.iter().find(|address| address.is_ipv4()).copied(),
        destination: Some(away),
        since: Some(since),
        ..Default::default()
    };
    world.sniffer.arrival("the address abroad without enforcement", &query).await?;
    let leaked = packets_from(&world.sniffer, &border.covered, away, since).await?;
    ensure!(leaked.is_empty(), "the address abroad saw the covered pod: {leaked:?}");
    ensure!(!packets_from(&world.sniffer, &border.covered, home, since).await?.is_empty(), "the address at home saw nothing");
    let record = border
        .covered
        .record("the address abroad chosen", |record| record.name.as_deref() == Some(SPLIT) && record.destination == Some(away))
        .await?;
    ensure!(record.dialled == Some(home), "another address than that at home was dialled: {record:?}");
    Ok(())
}
