//! A pod that no holding covers, in the same protected namespace, is as its owner wrote it, and reaches what it reached before:
//! by name, by address, over UDP and ICMP, at home and abroad.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shekara_crds::{COVERED_LABEL, HOLDINGS_ANNOTATION};
use shekara_e2e::clients::{curl, udp};
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::Query;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO, MAPS};

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    untouched(&border.free).await?;
    let touched = border.covered.object().await?.metadata.labels.unwrap_or_default();
    ensure!(touched.get(COVERED_LABEL).is_some_and(|value| value == "true"), "the covered pod has no mark: {touched:?}");
    goes_out(scenario, &border.free).await
}

async fn untouched(free: &Client) -> Result<()> {
    let pod = free.object().await?;
    let spec = pod.spec.context("the pod has no spec")?;
    ensure!(spec.init_containers.unwrap_or_default().is_empty(), "there are init containers");
    ensure!(spec.containers.len() == 1, "there are more containers");
    ensure!(spec.volumes.unwrap_or_default().len() == 1, "there are more volumes");
    let marks = [pod.metadata.labels.unwrap_or_default(), pod.metadata.annotations.unwrap_or_default()];
    let ours =
        marks.iter().flat_map(|marks| marks.keys()).find(|key| [COVERED_LABEL, HOLDINGS_ANNOTATION].contains(&key.as_str()));
    ensure!(ours.is_none(), "the pod is marked: {ours:?}");
    Ok(())
}

async fn goes_out(scenario: &Scenario, free: &Client) -> Result<()> {
    let world = scenario.world()?;
    for host in [CLINIC, ADS, MAPS] {
        let status = free.run(&curl(&format!("https://{host}/"))).await?.success()?;
        ensure!(status == "200", "{host} answers {status}");
    }
    let echo = world.hosts.get(ECHO)?.any_v4()?;
    let since = world.sniffer.clock().await?;
    free.python(&udp(echo, 9999)).await?.success()?;
    free.run(&["ping", "-4", "-c", "1", "-W", "5", &echo.to_string()]).await?.success()?;
    for protocol in ["udp", "icmp"] {
        let source = free.addresses.iter().find(|address| address.is_ipv4()).copied();
        let query = Query {
            source,
            destination: Some(echo),
            protocol: Some(protocol.to_owned()),
            since: Some(since),
            ..Query::default()
        };
        world.sniffer.arrival(protocol, &query).await?;
    }
    Ok(())
}
