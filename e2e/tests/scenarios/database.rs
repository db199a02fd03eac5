//! psql reaches the listed database: opaque TCP, allowed by the name that this pod's own DNS question was answered with. Its
//! address alone opens nothing, neither before the question nor in another covered pod that has not asked.
//!
//! Closes 8 and, for opaque flows, 17 of the threat model.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, packets_at};
use shekara_e2e::clients::{psql, tcp};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::DATABASE;
use shekara_policy::Reason;
use shekara_policy::flow::Protocol;
use shekara_policy::record::Decision;

const PORT: u16 = 5432;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let host = world.hosts.get(DATABASE)?;
    let database = host.v4("KZ")?;
    let endpoints = json!([{"host": DATABASE, "ports": [PORT], "protocol": "TCP"}]);
    let border = scenario.border(&[("database", endpoints)]).await?;
    let by_address = [Attempt::new("psql to the address", &psql(&database.to_string()), Arrival::Packet(database, "tcp"))];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &by_address).await? {
        outcome.failure()?;
    }

    let since = world.sniffer.clock().await?;
    asks(&border.covered).await?;
    let arrived = packets_at(&world.sniffer, &border.covered, host, since).await?;
    ensure!(!arrived.is_empty(), "the database saw no packet");

    let other = scenario.client("other", Cover::Covered).await?;
    scenario.enforcing(2).await?;
    let pinned_elsewhere =
        [Attempt::python("the address that another pod has asked for", &tcp(database, PORT), Arrival::Packet(database, "tcp"))];
    for outcome in all_closed(&world.sniffer, &other, &border.free, &pinned_elsewhere).await? {
        outcome.failure()?;
    }
    let is_it = |record: &shekara_policy::record::FlowRecord| record.port == PORT && is_denial(record, Reason::UnlistedParty);
    other.record("the address without a name", is_it).await?;
    Ok(())
}

async fn asks(covered: &Client) -> Result<()> {
    let answer = covered.run(&psql(DATABASE)).await?.success()?;
    ensure!(answer.trim() == "1", "the database answers {answer:?}");
    let is_it = |record: &shekara_policy::record::FlowRecord| record.port == PORT && record.verdict == Decision::Allow;
    let record = covered.record("psql", is_it).await?;
    ensure!(record.protocol == Protocol::Tcp && record.name.as_deref() == Some(DATABASE), "another flow: {record:?}");
    ensure!(record.bytes_out > 0 && record.bytes_in > 0, "the bytes are not counted: {record:?}");
    Ok(())
}
