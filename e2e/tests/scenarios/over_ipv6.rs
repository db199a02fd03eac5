//! Over IPv6 it is as over IPv4: the listed party is reached and the bytes arrive; the unlisted one, the one abroad, the listed
//! name on another address, literal and mapped addresses are not.
//!
//! Closes 16 of the threat model for IPv6 and IPv4-mapped addresses.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, packets_from};
use shekara_e2e::clients::{bracketed, curl_at, curl_with, tcp};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, MAPS};
use shekara_policy::Reason;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?;
    let (ads, ads_four) = (ads.any_v6()?, ads.any_v4()?);
    let (clinic, maps) = (world.hosts.get(CLINIC)?.v6("KZ")?, world.hosts.get(MAPS)?.v6("DE")?);
    let tls = |host: &str| json!([{"host": host, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", tls(CLINIC)), ("maps", tls(MAPS))]).await?;
    let covered = &border.covered;

    let since = world.sniffer.clock().await?;
    let url = |host: &str| format!("https://{host}/");
    let status = covered.run(&curl_with(&url(CLINIC), &["--ipv6"])).await?.success()?;
    ensure!(status == "200", "the clinic answers {status}");
    ensure!(!packets_from(&world.sniffer, covered, clinic, since).await?.is_empty(), "the clinic saw nothing over IPv6");

    let to = |address: IpAddr| Arrival::Packet(address, "tcp");
    let literal = curl_with(&format!("https://{}/", bracketed(ads)), &["--insecure"]);
    let mapped = format!("::ffff:{ads_four}").parse()?;
    let denied = [
        Attempt::new("an unlisted party", &curl_at(&url(ADS), ADS, 443, ads), to(ads)),
        Attempt::new("a listed name that leads abroad", &curl_with(&url(MAPS), &["--ipv6"]), to(maps)),
        Attempt::new("a literal address", &literal, to(ads)),
        Attempt::python("opaque TCP", &tcp(ads, 80), to(ads)),
        Attempt::python("an IPv4 address mapped into IPv6", &tcp(mapped, 80), to(ads_four)),
    ];
    for outcome in all_closed(&world.sniffer, covered, &border.free, &denied).await? {
        outcome.failure()?;
    }
    let elsewhere = [Attempt::new("a listed SNI to an address abroad", &curl_at(&url(CLINIC), CLINIC, 443, maps), to(maps))];
    for outcome in all_closed(&world.sniffer, covered, &border.free, &elsewhere).await? {
        outcome.success()?;
    }
    covered
        .record("the unlisted party", |record| record.destination == Some(ads) && is_denial(record, Reason::UnlistedParty))
        .await?;
    covered
        .record("the party abroad", |record| record.destination == Some(maps) && is_denial(record, Reason::CrossBorder))
        .await?;
    Ok(())
}
