//! What was counted stays counted, once: when pods end, when another replica of the operator leads, when the one that leads is
//! killed.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::TransferVerdict;
use shekara_e2e::clients::curl;
use shekara_e2e::cluster::scale_operator;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::replicas::{LEADING, another_leads, leader, operators};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let clinic = json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", clinic)]).await?;
    flows(&border.covered, 5).await?;
    counted(scenario, 5).await?;
    let pods = scenario.api::<Pod>();
    pods.delete("covered", &DeleteParams::default().grace_period(0)).await?;
    until("the pod is gone", CONDITION, async || {
        Ok(Seen::some_or(pods.get_opt("covered").await?.is_none().then_some(()), "it is there"))
    })
    .await?;

    scale_operator(&scenario.kube, 2).await?;
    let outcome = with_two_replicas(scenario).await;
    scale_operator(&scenario.kube, 1).await?;
    outcome
}

async fn with_two_replicas(scenario: &Scenario) -> Result<()> {
    the_leader_goes(scenario).await?;
    let later = scenario.client_in_time("later", Cover::Covered).await?;
    flows(&later, 3).await?;
    counted(scenario, 8).await?;
    kill_the_leader(scenario).await?;
    flows(&later, 1).await?;
    counted(scenario, 9).await
}

async fn flows(client: &Client, number: usize) -> Result<()> {
    for _ in 0..number {
        client.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    }
    Ok(())
}

/// Waits until the status says so many flows to the clinic.
async fn counted(scenario: &Scenario, flows: i64) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    until(&format!("{flows} flows are counted"), CONDITION, async || {
        let transfers = api.get("faces").await?.status.unwrap_or_default().transfers;
        let sum: i64 =
            transfers.iter().filter(|transfer| transfer.verdict == TransferVerdict::Allowed).map(|transfer| transfer.flows).sum();
        Ok(Seen::some_or((sum == flows).then_some(()), transfers))
    })
    .await
}

/// Deletes the pod of the replica that leads, which gives the Lease back, and waits until another one has it.
async fn the_leader_goes(scenario: &Scenario) -> Result<()> {
    let before = leader(&scenario.kube).await?;
    operators(&scenario.kube).delete(&before, &DeleteParams::default()).await?;
    let took = another_leads(&scenario.kube, &before).await?.as_secs_f64();
    measure::print("until another replica leads, when the Lease was given back", format_args!("{took:.1} s"));
    Ok(())
}

/// Kills the process of the replica that leads, and waits until the kubelet has started it again.
async fn kill_the_leader(scenario: &Scenario) -> Result<()> {
    let name = leader(&scenario.kube).await?;
    let operator = Client::ready(&operators(&scenario.kube), &name).await?;
    let restarts = async || {
        let statuses = operator.object().await?.status.and_then(|status| status.container_statuses).unwrap_or_default();
        Ok::<_, anyhow::Error>(statuses.first().map_or((0, false), |status| (status.restart_count, status.ready)))
    };
    let (before, _) = restarts().await?;
    Watcher::beside(scenario, &operator).await?.kill(&operator, "operator").await?;
    until("the operator has started again", LEADING, async || {
        let now = restarts().await?;
        Ok(Seen::some_or((now.0 > before && now.1).then_some(()), now))
    })
    .await
}
