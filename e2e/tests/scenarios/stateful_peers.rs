//! The members of a covered StatefulSet, started at once, find each other: three Redis servers, of which two copy from the first,
//! each by its own name. A client of the same holding is served, and none of them has a way out.
//!
//! Closes 21 of the threat model for peers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use shekara_e2e::measure;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::pods::{Client, START};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, now, until};
use shekara_e2e::world::hosts::cast::CLINIC;

const MEMBERS: usize = 3;

/// How long after the members are ready a copy may still be under way: Redis tries again every second.
const COPY: Duration = Duration::from_secs(30);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    start(scenario).await?;
    let api: Api<Pod> = scenario.api();
    let names: Vec<String> = (0..MEMBERS).map(|number| format!("redis-{number}")).collect();
    let members = try_join_all(names.iter().map(|name| member(&api, name))).await?;
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
        let host = format!("{}.redis.{}.svc.cluster.local", member.name, scenario.namespace);
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

async fn member(api: &Api<Pod>, name: &str) -> Result<Client> {
    let what = format!("there is the member {name}");
    until(&what, START, async || Ok(Seen::some_or(api.get_opt(name).await?.map(drop), "none"))).await?;
    Client::ready(api, name).await
}

async fn start(scenario: &Scenario) -> Result<()> {
    for (name, more) in [("redis", json!("None")), ("any", json!(null))] {
        // a name for each member from its first moment on, ready or not: they look for each other while they start
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"clusterIP": more, "publishNotReadyAddresses": name == "redis", "selector": {"workload": "redis"}, "ports": [{"port": 6379}]},
        }))?;
        scenario.api::<Service>().create(&PostParams::default(), &service).await.context("the Service is refused")?;
    }
    let server = "setpriv --reuid=redis --regid=redis --init-groups redis-server /etc/redis/redis.conf --daemonize no --supervised no \
                  --logfile '' --bind '*' '-::*' --protected-mode no";
    let program = format!(
        "case $HOSTNAME in redis-0) exec {server} ;; *) exec {server} --replicaof redis-0.redis.{}.svc.cluster.local 6379 ;; esac",
        scenario.namespace
    );
    let workload = Workload::new("redis", Cover::Covered).container(json!({
        "name": "redis", "image": scenario.images.get("redis")?, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", program],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
    }));
    let set: StatefulSet = workload.owned_by("StatefulSet", |template| {
        json!({"replicas": MEMBERS, "serviceName": "redis", "podManagementPolicy": "Parallel", "selector": workload.selector(), "template": template})
    })?;
    scenario.api::<StatefulSet>().create(&PostParams::default(), &set).await.context("the StatefulSet is refused")?;
    Ok(())
}
