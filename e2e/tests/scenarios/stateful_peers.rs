//! The members of a covered StatefulSet, started at once, find each other: three Redis servers, of which two copy from the first,
//! each by its own name. A client of the same holding is served, and none of them has a way out.
//!
//! Closes 21 of the threat model for peers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::json;
use shekara_e2e::measure;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, now, until};
use shekara_e2e::world::hosts::cast::CLINIC;

const MEMBERS: usize = 3;
const PORT: u16 = 6379;

/// How long after the members are ready a copy may still be under way: Redis tries again every second.
const COPY: Duration = Duration::from_secs(30);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    service(scenario).await?;
    let members = scenario.members(&redis(scenario)?, PORT, MEMBERS).await?;
    let ready = now()?;
    let (first, others) = members.split_first().context("there is no member")?;
    for member in others {
        until(&format!("{} copies from the first", member.name), COPY, async || {
            let said = member.run(&["redis-cli", "info", "replication"]).await?;
            Ok(if said.stdout.contains("master_link_status:up") { Seen::Yes(()) } else { Seen::NotYet(said.to_string()) })
        })
        .await?;
    }
    measure::print("three Redis members copy after they were ready", format_args!("{:.1} s", now()? - ready));
    scenario.enforcing(i64::try_from(MEMBERS)? + 1).await?;
    first.run(&["redis-cli", "set", "face", "4711"]).await?.success()?;
    for member in &members {
        let host = scenario.member_host("redis", &member.name);
        until(&format!("{host} has the copy"), COPY, async || {
            let said = border.covered.run(&["redis-cli", "-h", &host, "get", "face"]).await?;
            Ok(if said.stdout.trim() == "4711" { Seen::Yes(()) } else { Seen::NotYet(said.to_string()) })
        })
        .await?;
    }
    // the Service of all members is covered, for each of them is
    let said = border.covered.run(&["redis-cli", "-h", "any", "get", "face"]).await?.success()?;
    ensure!(said.trim() == "4711", "the Service of all members says {said:?}");
    border.stands(scenario.world()?).await
}

/// A Service of all members, beside the one that gives each its name.
async fn service(scenario: &Scenario) -> Result<()> {
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "any"}, "spec": {"selector": {"workload": "redis"}, "ports": [{"port": PORT}]},
    }))?;
    scenario.api::<Service>().create(&PostParams::default(), &service).await.context("the Service is refused")?;
    Ok(())
}

fn redis(scenario: &Scenario) -> Result<Workload> {
    let server = "setpriv --reuid=redis --regid=redis --init-groups redis-server /etc/redis/redis.conf --daemonize no --supervised no \
                  --logfile '' --bind '*' '-::*' --protected-mode no";
    let first = scenario.member_host("redis", "redis-0");
    let program = format!("case $HOSTNAME in redis-0) exec {server} ;; *) exec {server} --replicaof {first} {PORT} ;; esac");
    Ok(Workload::new("redis", Cover::Covered).container(json!({
        "name": "redis", "image": scenario.images.get("redis")?, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", program],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    })))
}
