//! A party that nobody lists is out of reach, by name and by address, and the client knows at once: its DNS question is answered
//! NXDOMAIN, its connection is closed, over HTTP with the reason, and the record says `UnlistedParty`.
//!
//! Closes 17 and, for names, 5 and 6 of the threat model.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{curl, curl_at, tcp};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};
use shekara_policy::Reason;
use shekara_policy::flow::Protocol;

/// Far less than the time-outs of clients, and enough for the way to the pod on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"host": CLINIC, "ports": [80], "protocol": "HTTP"},
    ]);
    let border = scenario.border(&[("clinic", endpoints)]).await?;
    let there = || Arrival::Packet(ads, "tcp");
    let attempts = [
        Attempt::new("TLS by name", &[&curl(&format!("https://{ADS}/"))[..], &["--ipv4".into()]].concat(), there()),
        Attempt::new("TLS without DNS", &curl_at(&format!("https://{ADS}/"), ADS, 443, ads), there()),
        Attempt::new("HTTP without DNS", &curl_at(&format!("http://{ADS}/"), ADS, 80, ads), there()),
        Attempt::python("plain TCP to a port that nobody lists", &tcp(ads, 8080), there()),
    ];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        let outcome = outcome.failure()?;
        ensure!(outcome.took < AT_ONCE, "not closed at once: {outcome}");
    }
    let covered = &border.covered;
    let url = format!("http://{ADS}/");
    let told = covered
        .run(&["curl", "--silent", "--include", "--max-time", "10", "--resolve", &format!("{ADS}:80:{ads}"), &url])
        .await?;
    ensure!(told.stdout.contains(Reason::UnlistedParty.code()), "the HTTP client is not told why: {told}");
    for protocol in [Protocol::Tls, Protocol::Http] {
        let name = |name: &Option<String>| name.as_deref() == Some(ADS);
        let denial =
            covered.record(&format!("{protocol:?} denied"), |record| record.protocol == protocol && name(&record.name)).await?;
        ensure!(is_denial(&denial, Reason::UnlistedParty), "another verdict: {denial:?}");
        ensure!(denial.dialled.is_none() && denial.bytes_out == 0, "something left: {denial:?}");
    }
    covered.record("a port that nobody lists", |record| record.port == 8080 && is_denial(record, Reason::UnlistedParty)).await?;
    covered
        .record("the question", |record| record.protocol == Protocol::Dns && is_denial(record, Reason::UnlistedQuestion))
        .await?;
    Ok(())
}
