//! An address without a name is reached only where a recipient lists its network and port: TLS without SNI, HTTP with an
//! address for a Host, opaque TCP.
//!
//! Closes 17 of the threat model, and 22 for link-local metadata, node addresses and the Kubernetes API.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, packets_from};
use shekara_e2e::clients::{curl_with, tcp};
use shekara_e2e::pods::Client;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO};
use shekara_policy::Reason;

/// The port on which the echo service listens.
const ECHO_PORT: u16 = 7;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let (ads, clinic) = (world.hosts.get(ADS)?.any_v4()?, world.hosts.get(CLINIC)?.v4("KZ")?);
    let echo = world.hosts.get(ECHO)?.any_v4()?;
    let names = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"host": CLINIC, "ports": [80], "protocol": "HTTP"},
    ]);
    let networks = json!([{"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}]);
    let border = scenario.border(&[("clinic", names), ("echo", networks)]).await?;
    let insecure = |url: String| curl_with(&url, &["--insecure"]);
    let tcp_to = |address: IpAddr| Arrival::Packet(address, "tcp");
    let attempts = [
        Attempt::new("TLS without SNI", &insecure(format!("https://{ads}/")), tcp_to(ads)),
        Attempt::new("TLS without SNI to the clinic's own address", &insecure(format!("https://{clinic}/")), tcp_to(clinic)),
        Attempt::new("HTTP with an address for a Host", &insecure(format!("http://{ads}/")), tcp_to(ads)),
        Attempt::python("opaque TCP", &tcp(ads, ECHO_PORT), tcp_to(ads)),
        Attempt::python("a listed address on another port", &tcp(echo, 80), tcp_to(echo)),
    ];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        outcome.failure()?;
    }
    let since = world.sniffer.clock().await?;
    border.covered.python(&tcp(echo, ECHO_PORT)).await?.success()?;
    ensure!(!packets_from(&world.sniffer, &border.covered, echo, since).await?.is_empty(), "the listed address saw nothing");
    inside(scenario, &border.covered).await
}

/// Addresses that are nobody's party: metadata, the node, the Kubernetes API.
async fn inside(scenario: &Scenario, covered: &Client) -> Result<()> {
    let node = covered.object().await?.status.and_then(|status| status.host_ip).context("the pod has no node")?;
    let program = "import os\nprint(os.environ['KUBERNETES_SERVICE_HOST'], os.environ['KUBERNETES_SERVICE_PORT'])";
    let api = covered.python(program).await?.success()?;
    let (api, port) = api.trim().split_once(' ').context("the pod knows no API server")?;
    for (address, port, expected) in [
        ("169.254.169.254", 80, Reason::ForbiddenAddress),
        (node.as_str(), 10250, Reason::PeerNodeAddress),
        (api, port.parse()?, Reason::ClusterAPIDenied),
    ] {
        let outcome = covered.python(&tcp(address.parse()?, port)).await?.failure()?;
        let chosen: IpAddr = address.parse()?;
        let record = covered.record(address, |record| record.destination == Some(chosen)).await?;
        ensure!(is_denial(&record, expected), "another verdict in {}: {record:?}; {outcome}", scenario.namespace);
    }
    Ok(())
}
