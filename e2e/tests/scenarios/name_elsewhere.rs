//! A listed name in the ClientHello or in the Host header, on a connection to another address: the address never sees a packet.
//! The flow goes where the name leads, or nowhere.
//!
//! Closes 1, 2 (plain HTTP) and 38 (a hosts file of one's own) of the threat model.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{curl_at, curl_with};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, MAPS};

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let (ads, maps) = (world.hosts.get(ADS)?.any_v4()?, world.hosts.get(MAPS)?.v4("DE")?);
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"host": CLINIC, "ports": [80], "protocol": "HTTP"},
    ]);
    let border = scenario.border(&[("clinic", endpoints)]).await?;
    let host_header = format!("Host: {CLINIC}");
    let attempts = [
        Attempt::new(
            "a listed SNI to an address abroad",
            &curl_at(&format!("https://{CLINIC}/"), CLINIC, 443, maps),
            Arrival::Packet(maps, "tcp"),
        ),
        Attempt::new(
            "a listed SNI to an unlisted address",
            &curl_at(&format!("https://{CLINIC}/"), CLINIC, 443, ads),
            Arrival::Packet(ads, "tcp"),
        ),
        Attempt::new(
            "a listed Host to an unlisted address",
            &curl_with(&format!("http://{ads}/"), &["--header", &host_header]),
            Arrival::Packet(ads, "tcp"),
        ),
    ];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        // the connection was made with the clinic in its place, whose certificate the client has checked
        let status = outcome.success()?;
        ensure!(status == "200", "the clinic answers {status}");
    }
    let redirected = |record: &shekara_policy::record::FlowRecord| record.destination == Some(maps) && record.dialled.is_some();
    let record = border.covered.record("the redirected flow", redirected).await?;
    let clinic = world.hosts.get(CLINIC)?;
    ensure!(
        clinic.addresses.iter().any(|placed| record.dialled == Some(placed.address)),
        "something else than the clinic was dialled: {record:?}"
    );
    Ok(())
}
