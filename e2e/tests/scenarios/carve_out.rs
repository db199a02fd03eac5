//! The carve-out of the packet filter is a mark that needs a capability which applications do not have: as root, as the user of the
//! sidecar's containers, with the mark asked for, or raw, nothing gets out. The sidecar's own ports lead nowhere.
//!
//! Closes 9, 10 (the capabilities that are taken away) and 29 of the threat model.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{raw_tcp, tcp};
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};
use shekara_policy::Reason;

/// The port to which the packet filter redirects TCP.
const PROXY_PORT: u16 = 15001;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let IpAddr::V4(ads_four) = ads else { bail!("{ads} is of IPv6") };
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let there = || Arrival::Packet(ads, "tcp");
    let as_user = |user: u32| format!("import os\nos.setgroups([])\nos.setgid({user})\nos.setuid({user})\n{}", tcp(ads, 80));
    let attempts = [
        Attempt::python("TCP as root", &as_user(0), there()),
        Attempt::python("TCP as the user of the proof", &as_user(65532), there()),
        Attempt::python("TCP as another user", &as_user(1337), there()),
        Attempt::python("TCP with the sidecar's mark", &marked(ads), there()),
        Attempt::python("TCP by a raw socket", &raw_tcp(ads_four, 80), there()),
    ];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        outcome.failure()?;
    }
    // a runtime that does not know this spelling takes nothing away by it; what admission adds must not hang on it
    let mut container = scenario.client_container("client", &["sleep", "infinity"])?;
    let fields = container.as_object_mut().context("the container is no object")?;
    fields.insert("securityContext".into(), json!({"capabilities": {"drop": ["CAP_NET_RAW"]}}));
    let misspelt = scenario.start(&Workload::new("misspelt", Cover::Covered).container(container)).await?;
    let mark = Attempt::python("TCP with the sidecar's mark, NET_RAW dropped as CAP_NET_RAW", &marked(ads), there());
    all_closed(&world.sniffer, &misspelt, &border.free, &[mark]).await?;
    for own in ["127.0.0.1", "::1"] {
        border.covered.python(&tcp(own.parse()?, PROXY_PORT)).await?.failure()?;
    }
    let denial = border.covered.record("the sidecar's own port", |record| is_denial(record, Reason::SelfConnection)).await?;
    ensure!(denial.dialled.is_none(), "something was dialled: {denial:?}");
    Ok(())
}

/// Asks for the sidecar's mark on its socket, and goes on only with it.
fn marked(address: IpAddr) -> String {
    format!(
        "import socket\n\
         s = socket.socket()\n\
         s.settimeout(5)\n\
         s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0x5ba1)\n\
         s.connect(('{address}', 80))\n\
         s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n\
         assert s.recv(1)\n"
    )
}
