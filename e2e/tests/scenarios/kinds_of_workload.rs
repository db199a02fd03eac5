//! A Deployment, a Job, a CronJob and a bare pod are covered alike. The Jobs complete: the sidecar ends with them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join3;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use shekara_e2e::attempt::packets_from;
use shekara_e2e::clients::{curl, curl_at, shell};
use shekara_e2e::cluster::program;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::pods::{Client, START};
use shekara_e2e::records::{SIDECAR, is_denial};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};
use shekara_policy::Reason;
use shekara_policy::record::Decision;

const REPLICAS: usize = 2;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    let (free, bare, deployed) =
        try_join3(scenario.client("free", Cover::Free), scenario.client("bare", Cover::Covered), deployed(scenario)).await?;
    for covered in deployed.into_iter().chain([bare]) {
        let name = covered.name.clone();
        Border { covered, free: free.clone() }.stands(world).await.with_context(|| format!("of {name}"))?;
    }
    let (covered, free) = ((Cover::Covered, By::Hand), (Cover::Free, By::Hand));
    let nightly = (Cover::Covered, By::Schedule);
    try_join3(
        completes(scenario, "job", covered),
        completes(scenario, "free-job", free),
        completes(scenario, "nightly", nightly),
    )
    .await?;
    // a pod that has ended is in scope no more
    scenario.enforcing(i64::try_from(REPLICAS)? + 1).await?;
    Ok(())
}

/// The pods of a Deployment.
async fn deployed(scenario: &Scenario) -> Result<Vec<Client>> {
    let workload = scenario.client_manifest("deployed", Cover::Covered)?;
    let deployment: Deployment = workload.owned_by(
        "Deployment",
        |template| json!({"replicas": REPLICAS, "selector": workload.selector(), "template": template}),
    )?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await.context("the Deployment is refused")?;
    let api = scenario.api::<Pod>();
    let list = ListParams::default().labels("workload=deployed");
    let names = until("the pods of the Deployment", START, async || {
        let names: Vec<String> = api.list(&list).await?.items.iter().map(ResourceExt::name_any).collect();
        Ok(Seen::some_or((names.len() == REPLICAS).then(|| names.clone()), names))
    })
    .await?;
    let mut clients = Vec::new();
    for name in &names {
        clients.push(Client::ready(&api, name).await?);
    }
    Ok(clients)
}

/// Who makes a Job.
#[derive(Clone, Copy)]
enum By {
    Hand,
    /// A CronJob, of which one run is asked for at once.
    Schedule,
}

/// A Job that reaches the clinic, tries the unlisted party, and succeeds where that went as it had to.
async fn completes(scenario: &Scenario, name: &str, (cover, by): (Cover, By)) -> Result<()> {
    let world = scenario.world()?;
    let (ads, since) = (world.hosts.get(ADS)?.any_v4()?, world.sniffer.clock().await?);
    let workload = job(scenario, name, cover, &curl_at(&format!("https://{ADS}/"), ADS, 443, ads))?;
    create(scenario, &workload, by).await.with_context(|| format!("the Job {name} is refused"))?;
    let api = scenario.api::<Job>();
    let ended = until(&format!("the Job {name} ends"), Duration::from_secs(120), async || {
        let status = api.get(name).await?.status.unwrap_or_default();
        let conditions = status.conditions.clone().unwrap_or_default();
        let end = conditions.into_iter().find(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str()));
        Ok(Seen::some_or(end.filter(|condition| condition.status == "True"), status))
    })
    .await?;
    let pods = scenario.api::<Pod>();
    let found = pods.list(&ListParams::default().labels(&format!("workload={name}"))).await?.items.pop();
    let pod = found.with_context(|| format!("the Job {name} left no pod"))?;
    ensure!(ended.type_ == "Complete", "the Job {name} failed: {}", shekara_e2e::diagnose::pod(&pod));
    let client = Client::of(&pods, &pod)?;
    let arrived = packets_from(&world.sniffer, &client, ads, since).await?;
    if cover == Cover::Free {
        ensure!(!arrived.is_empty(), "the sniffer does not see the unlisted party");
        return Ok(());
    }
    ensure!(arrived.is_empty(), "the unlisted party saw the Job: {arrived:?}");
    ensure!(sidecar_ended(&pod), "the sidecar goes on: {}", shekara_e2e::diagnose::pod(&pod));
    let allowed = |record: &shekara_policy::record::FlowRecord| record.verdict == Decision::Allow && record.port == 443;
    client.record("the clinic, by the Job", allowed).await?;
    client.record("the unlisted party, by the Job", |record| is_denial(record, Reason::UnlistedParty)).await?;
    Ok(())
}

async fn create(scenario: &Scenario, workload: &Workload, by: By) -> Result<()> {
    let spec = |template| json!({"backoffLimit": 0, "template": template});
    match by {
        By::Hand => {
            let job: Job = workload.owned_by("Job", spec)?;
            scenario.api::<Job>().create(&PostParams::default(), &job).await?;
        }
        By::Schedule => {
            let schedule = |template| json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": spec(template)}});
            let job: CronJob = workload.owned_by("CronJob", schedule)?;
            scenario.api::<CronJob>().create(&PostParams::default(), &job).await?;
            let (name, from) = (workload.name(), format!("--from=cronjob/{}", workload.name()));
            program("kubectl", &["--namespace", &scenario.namespace, "create", "job", name, &from]).await?;
        }
    }
    Ok(())
}

fn job(scenario: &Scenario, name: &str, cover: Cover, unlisted: &[String]) -> Result<Workload> {
    let listed = shell(&curl(&format!("https://{CLINIC}/")));
    let unlisted = shell(unlisted);
    let program = match cover {
        Cover::Covered => format!("{listed} && ! {unlisted}"),
        Cover::Free => format!("{listed} && {unlisted}"),
    };
    Ok(Workload::new(name, cover).once().container(scenario.client_container("client", &["sh", "-c", &program])?))
}

fn sidecar_ended(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let mut sidecars = statuses.into_iter().filter(|status| status.name == SIDECAR);
    sidecars.any(|status| status.state.as_ref().is_some_and(|state| state.terminated.is_some()))
}
