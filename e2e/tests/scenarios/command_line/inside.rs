//! Destinations inside the cluster: what the program says of a covered peer, and of the Service of a bare pod, is what the covered pod
//! meets there.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use k8s_openapi::api::core::v1::Service;
use kube::api::PostParams;
use serde_json::json;
use shekara_e2e::clients::tcp;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_policy::Reason;
use shekara_policy::record::{Decision, FlowRecord};

use super::program::{DENIED, Program, at};
use super::same;

const PORT: u16 = 80;

pub(super) async fn check(scenario: &Scenario, program: &Program, border: &Border) -> Result<()> {
    let nginx = scenario.images.get("nginx")?;
    let serving = |name, cover| Workload::new(name, cover).serving("nginx", nginx, PORT);
    let (web, bare) = (serving("web", Cover::Covered), serving("bare", Cover::Free));
    let (web, _) = try_join(scenario.start(&web), scenario.start(&bare)).await?;
    scenario.enforcing(2).await?;
    let (covered_service, bare_service) = (service(scenario, "web").await?, service(scenario, "bare").await?);

    let pod = &border.covered.name;
    // a Service that is reached has endpoints, so that the address of the pod is known as one of them
    for address in [covered_service, web.v4()?] {
        let record = met(border, address, |record| record.verdict == Decision::Allow).await?;
        same(program, pod, &format!("{address}:{PORT}"), &[], &record).await?;
    }
    let name = format!("web.{}.svc.cluster.local:{PORT}", scenario.namespace);
    let (_, answer) = program.json(&["simulate", &format!("pod/{pod}"), &name]).await?;
    let holding = format!("{}/faces", scenario.namespace);
    ensure!(
        *at(&answer, "/rules/0/inside/coveredBy") == json!([holding]),
        "the holding that covers the peer is not said: {answer:#}"
    );
    ensure!(*at(&answer, "/peers/0/ends/0/coveredBy/0/enforcing") == json!(true), "{answer:#}");

    let unlisted = |record: &FlowRecord| record.reason == Some(Reason::InClusterUnlisted);
    let record = met(border, bare_service, unlisted).await?;
    same(program, pod, &format!("{bare_service}:{PORT}"), &[], &record).await?;
    let (code, said) = program.run(&["simulate", &format!("pod/{pod}"), &format!("{}:443", super::KUBERNETES)]).await?;
    ensure!(code == DENIED && said.contains("ClusterAPIDenied"), "it ended with {code}: {said}");
    Ok(())
}

/// The Service of a workload, by its cluster address.
async fn service(scenario: &Scenario, workload: &str) -> Result<IpAddr> {
    let spec = json!({"selector": {"workload": workload}, "ports": [{"port": PORT}]});
    let service: Service = serde_json::from_value(json!({"metadata": {"name": workload}, "spec": spec}))?;
    let created = scenario.api::<Service>().create(&PostParams::default(), &service).await.context("the Service is refused")?;
    Ok(created.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?.parse()?)
}

/// The record of a try of the covered pod, as soon as one is as expected: endpoints come a moment after their Service.
async fn met(border: &Border, address: IpAddr, expected: impl Fn(&FlowRecord) -> bool) -> Result<FlowRecord> {
    until(&format!("{address} is met as expected"), CONDITION, async || {
        let outcome = border.covered.python(&tcp(address, PORT)).await?;
        let records = border.covered.records().await?;
        let mut there = records.into_iter().rev().filter(|record| record.destination == Some(address) && record.port == PORT);
        Ok(Seen::some_or(there.next().filter(&expected), outcome.to_string()))
    })
    .await
}
