//! A listed party in the country is reached, over TLS and over HTTP, by curl, openssl and Python alike, and the clinic sees
//! the bytes. The record says to whom, where and how much.

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::packets_at;
use shekara_e2e::clients::curl;
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::{AUTHORITY, Scenario};
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_policy::flow::Protocol;
use shekara_policy::record::Decision;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let clinic = world.hosts.get(CLINIC)?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"host": CLINIC, "ports": [80], "protocol": "HTTP"},
    ]);
    let border = scenario.border(&[("clinic", endpoints)]).await?;
    let since = world.sniffer.clock().await?;
    for url in [format!("https://{CLINIC}/"), format!("http://{CLINIC}/")] {
        let status = border.covered.run(&curl(&url)).await?.success()?;
        ensure!(status == "200", "{url} answers {status}");
    }
    other_clients(&border.covered).await?;
    for protocol in [Protocol::Tls, Protocol::Http] {
        check_record(scenario, &border.covered, protocol).await?;
    }
    let arrived = packets_at(&world.sniffer, &border.covered, clinic, since).await?;
    ensure!(!arrived.is_empty(), "the clinic saw no packet of the covered pod");
    Ok(())
}

async fn other_clients(covered: &Client) -> Result<()> {
    let address = format!("{CLINIC}:443");
    let options = ["-servername", CLINIC, "-CAfile", AUTHORITY, "-verify_return_error", "-brief"];
    let openssl = ["openssl", "s_client", "-connect", &address].into_iter().chain(options).collect::<Vec<_>>();
    covered.run(&openssl).await?.success()?;
    let program = format!(
        "import ssl, urllib.request\n\
         context = ssl.create_default_context(cafile='{AUTHORITY}')\n\
         print(urllib.request.urlopen('https://{CLINIC}/', context=context, timeout=10).status)\n"
    );
    let status = covered.python(&program).await?.success()?;
    ensure!(status.trim() == "200", "Python got {status}");
    Ok(())
}

async fn check_record(scenario: &Scenario, covered: &Client, protocol: Protocol) -> Result<()> {
    let is_it = |record: &shekara_policy::record::FlowRecord| {
        record.protocol == protocol && record.name.as_deref() == Some(CLINIC) && record.verdict == Decision::Allow
    };
    let record = covered.record(&format!("{protocol:?} to the clinic"), is_it).await?;
    ensure!(record.country.is_some_and(|country| country.as_str() == "KZ"), "the country is not said: {record:?}");
    ensure!(record.bytes_out > 0 && record.bytes_in > 0, "the bytes are not counted: {record:?}");
    let rule = record.rules.first();
    let expected = (format!("{}/faces", scenario.namespace), scenario.named("clinic"));
    ensure!(
        rule.is_some_and(|rule| (rule.holding.clone(), rule.recipient.clone()) == expected),
        "the rule is not said: {record:?}"
    );
    ensure!(record.data.iter().any(|category| category.as_str() == "biometric.face"), "the data are not said: {record:?}");
    Ok(())
}
