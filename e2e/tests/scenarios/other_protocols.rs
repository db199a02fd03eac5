//! Of UDP, ICMP, ICMPv6 and SCTP nothing arrives, while neighbour discovery goes on, so that IPv6 lasts.
//!
//! Closes 4 and 31 of the threat model.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{curl_with, ping, sctp, udp};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let echo = world.hosts.get(ECHO)?;
    let (four, six) = (echo.any_v4()?, echo.any_v6()?);
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let attempts = [
        Attempt::python("UDP", &udp(four, 9999), Arrival::Packet(four, "udp")),
        Attempt::python("UDP over IPv6", &udp(six, 9999), Arrival::Packet(six, "udp")),
        Attempt::python("UDP to the port of QUIC", &udp(four, 443), Arrival::Packet(four, "udp")),
        Attempt::python("ICMP", &ping(four), Arrival::Packet(four, "icmp")),
        Attempt::python("ICMPv6", &ping(six), Arrival::Packet(six, "icmpv6")),
        Attempt::python("SCTP", &sctp(four), Arrival::Packet(four, "sctp")),
        Attempt::python("SCTP over IPv6", &sctp(six), Arrival::Packet(six, "sctp")),
    ];
    all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await?;
    neighbours(scenario, &border.covered).await
}

/// The pod forgets its next hop over IPv6, learns it anew, and the listed party is reached.
async fn neighbours(scenario: &Scenario, covered: &Client) -> Result<()> {
    let watcher = Watcher::beside(scenario, covered).await?;
    let known = ["ip", "-6", "neighbour", "show", "nud", "reachable", "nud", "stale", "nud", "delay", "nud", "probe"];
    watcher.in_network_of(covered, &["ip", "-6", "neighbour", "flush", "dev", "eth0"]).await?;
    let after = watcher.in_network_of(covered, &known).await?;
    ensure!(!after.contains("lladdr"), "the pod still knows its neighbours: {after}");
    let status = covered.run(&curl_with(&format!("https://{CLINIC}/"), &["--ipv6"])).await?.success()?;
    ensure!(status == "200", "the clinic answers {status}");
    Ok(())
}
