//! The chart is upgraded to other images and another value, and rolled back. Each time the declarations are the same objects and their
//! status goes on, pods that were covered before are not started again, keep their live flows and their border, obey what is declared
//! from then on, and can be changed as far as any covered pod can; new pods, those of a Deployment from before among them, get the sidecar
//! of the release that is installed then; and `helm test` passes. A copy of a covered pod, sidecar included, is created by hand where
//! its sidecar is that of the release, and refused where it is another one.
//!
//! Closes 27 of the threat model for a sidecar of another release.

mod release;

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};
use shekara_e2e::clients::curl;
use shekara_e2e::cluster::{RELEASE, helm, operator};
use shekara_e2e::holdings::{CONDITION, condition};
use shekara_e2e::live::{ECHO_PORT, LiveFlow};
use shekara_e2e::pods::copied::copy;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START, is_ready};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};
use tokio::time::timeout;

use release::{Images, Release, bear_other_names, forget_other_names};

/// How long upgrade and rollback may take, with all that is asserted after each: the release is put back within the scenario's own time.
const THERE_AND_BACK: Duration = Duration::from_secs(600);

/// The Deployment of before, and how many covered pods there are besides its own.
const DEPLOYED: &str = "deployed";
const OTHERS: usize = 1;

/// What was there before the upgrade.
struct Before {
    border: Border,
    live: LiveFlow,
    declared: Declared,
    containers: Value,
    images: Images,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let found = Release::found().await?;
    let others = found.images.with_other_names();
    bear_other_names(scenario, &found.images, &others).await?;
    let outcome = timeout(THERE_AND_BACK, there_and_back(scenario, &found, &others)).await;
    // whatever came of it, the cluster is left as it was found
    found.put_back().await?;
    forget_other_names(scenario, &others).await?;
    outcome.map_err(|_| anyhow!("not there and back after {} s", THERE_AND_BACK.as_secs())).flatten()
}

async fn there_and_back(scenario: &Scenario, found: &Release, others: &Images) -> Result<()> {
    let mut before = before(scenario, found).await?;
    let first = deployed(scenario, 1, &found.images).await?;

    found.upgrade(others, "sidecar.logLevel=debug").await?;
    lasts(scenario, &mut before, others).await.context("after the upgrade")?;
    obeyed(scenario, &before, true).await.context("after the upgrade")?;
    let second = deployed(scenario, 2, others).await.context("after the upgrade")?;
    says(&second, "debug").await?;
    copies(scenario, &second, &before.border.covered).await.context("after the upgrade")?;

    found.roll_back().await?;
    lasts(scenario, &mut before, &found.images).await.context("after the rollback")?;
    obeyed(scenario, &before, false).await.context("after the rollback")?;
    let third = deployed(scenario, 3, &found.images).await.context("after the rollback")?;
    ensure!(says(&third, "debug").await.is_err(), "the value of the upgrade is there after the rollback");
    copies(scenario, &before.border.covered, &second).await.context("after the rollback")?;
    for pod in [first, second, third] {
        ensure!(starts(&pod.object().await?) == 0, "{} was started again", pod.name);
        reaches_the_clinic(&pod).await?;
    }
    Ok(())
}

async fn before(scenario: &Scenario, found: &Release) -> Result<Before> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let border = scenario.border(&[("party", endpoints(scenario, false)?)]).await?;
    border.stands(scenario.world()?).await?;
    let workload = scenario.client_manifest(DEPLOYED, Cover::Covered)?;
    let none = |template| json!({"replicas": 0, "selector": workload.selector(), "template": template});
    let deployment: Deployment = workload.owned_by("Deployment", none)?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await?;
    let live = LiveFlow::open(&border.covered, echo).await?;
    let containers = containers(&border.covered.object().await?)?;
    let declared = Declared::now(scenario).await?;
    Ok(Before { border, live, declared, containers, images: found.images.clone() })
}

/// The echo service and the clinic over TLS, and over HTTP too where it is so declared.
fn endpoints(scenario: &Scenario, http: bool) -> Result<Value> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let always = [
        json!({"host": CLINIC, "ports": [443], "protocol": "TLS"}),
        json!({"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}),
    ];
    let sometimes = http.then(|| json!({"host": CLINIC, "ports": [80], "protocol": "HTTP"}));
    Ok(always.into_iter().chain(sometimes).collect())
}

/// The operator has these images; declarations and the covered pod of before are as they were, and the border stands.
async fn lasts(scenario: &Scenario, before: &mut Before, images: &Images) -> Result<()> {
    let template = operator(&scenario.kube).await?.spec.and_then(|spec| spec.template.spec).unwrap_or_default();
    let images_there: Vec<_> = template.containers.into_iter().filter_map(|container| container.image).collect();
    ensure!(images_there == [images.operator.clone()], "the operator's images are {images_there:?}");
    helm(&["test", RELEASE, "--timeout", "2m"]).await.context("helm test")?;

    before.live.goes_on().await?;
    let covered = &before.border.covered;
    let (pod, declared) = (covered.object().await?, Declared::now(scenario).await?);
    declared.follows(&before.declared)?;
    before.declared = declared;
    ensure!(containers(&pod)? == before.containers, "containers of the covered pod were started again: {}", containers(&pod)?);
    ensure!(sidecars(&pod) == vec![before.images.sidecar.clone(); 3], "the sidecar of a pod that runs is {:?}", sidecars(&pod));
    before.border.stands(scenario.world()?).await?;
    changed(scenario, covered, &images.operator).await
}

/// A declaration that is changed now is obeyed by the covered pod of before.
async fn obeyed(scenario: &Scenario, before: &Before, http: bool) -> Result<()> {
    scenario.recipient("party", endpoints(scenario, http)?).await?;
    until("the pod of before obeys what was declared now", CONDITION, async || {
        let ran = before.border.covered.run(&curl(&format!("http://{CLINIC}/"))).await?;
        Ok(Seen::some_or((ran.succeeded() == http).then_some(()), ran.to_string()))
    })
    .await
}

/// A pod of before may be changed as any covered pod may.
async fn changed(scenario: &Scenario, pod: &Client, note: &str) -> Result<()> {
    let pods = scenario.api::<Pod>();
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": note}}}));
    pods.patch(&pod.name, &PatchParams::default(), &annotation).await.context("an annotation")?;
    let confined = json!({
        "name": "debug", "image": scenario.images.get("clients")?, "securityContext": {"capabilities": {"drop": ["ALL"]}},
    });
    let patch = Patch::Strategic(json!({"spec": {"ephemeralContainers": [confined]}}));
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    pods.patch_ephemeral_containers(&pod.name, &dry, &patch).await.context("a container for debugging").map(drop)
}

/// Has the Deployment of before so many pods; the new one has the sidecar of these images, the others stay, and all are enforced.
async fn deployed(scenario: &Scenario, replicas: usize, images: &Images) -> Result<Client> {
    let (pods, list) = (scenario.api::<Pod>(), ListParams::default().labels(&format!("workload={DEPLOYED}")));
    let old: Vec<String> = pods.list(&list).await?.items.iter().map(|pod| pod.name_any()).collect();
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    scenario.api::<Deployment>().patch_scale(DEPLOYED, &PatchParams::default(), &patch).await?;
    let new = until(&format!("{replicas} pods of the Deployment"), START, async || {
        let found = pods.list(&list).await?.items;
        let names: Vec<String> = found.iter().map(|pod| pod.name_any()).collect();
        let new = found.into_iter().find(|pod| !old.contains(&pod.name_any()) && is_ready(pod));
        let all = names.len() == replicas && old.iter().all(|name| names.contains(name));
        Ok(Seen::some_or(new.filter(|_| all), names))
    })
    .await?;
    let expected = vec![images.sidecar.clone(); 3];
    ensure!(sidecars(&new) == expected, "a new pod has the sidecar {:?}, not {expected:?}", sidecars(&new));
    scenario.enforcing(i64::try_from(OTHERS + replicas)?).await?;
    let new = Client::of(&pods, &new)?;
    reaches_the_clinic(&new).await?;
    Ok(new)
}

/// The sidecar of the pod logs this much.
async fn says(pod: &Client, level: &str) -> Result<()> {
    let spec = pod.object().await?.spec.unwrap_or_default();
    let variables = spec.init_containers.into_iter().flatten().flat_map(|container| container.env.unwrap_or_default());
    let levels: Vec<_> = variables.filter(|variable| variable.name == "SHEKARA_LOG").filter_map(|one| one.value).collect();
    ensure!(levels == [level], "the sidecar of {} logs {levels:?}", pod.name);
    Ok(())
}

/// A copy of a pod of this release is created, one of the other release is not.
async fn copies(scenario: &Scenario, of_this: &Client, of_other: &Client) -> Result<()> {
    let (pods, dry) = (scenario.api::<Pod>(), PostParams { dry_run: true, ..PostParams::default() });
    pods.create(&dry, &copy(&of_this.object().await?, "copied")?).await.context("a copy of a pod of this release")?;
    match pods.create(&dry, &copy(&of_other.object().await?, "copied")?).await {
        Err(kube::Error::Api(status)) if status.message.contains("this is not the container that would be injected") => Ok(()),
        Err(error) => Err(error).context("a copy of a pod of another release is refused for another reason"),
        Ok(_) => bail!("a copy of a pod of another release keeps the sidecar of that"),
    }
}

async fn reaches_the_clinic(pod: &Client) -> Result<()> {
    let status = pod.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "the clinic answers {status} to {}", pod.name);
    Ok(())
}

/// The images of our containers in a pod.
fn sidecars(pod: &Pod) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let ours = containers.filter(|container| container.name.starts_with("shekara-"));
    ours.filter_map(|container| container.image.clone()).collect()
}

/// Which containers of a pod run or have run: they are others after a restart.
fn containers(pod: &Pod) -> Result<Value> {
    let status = pod.status.clone().unwrap_or_default();
    let all = status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    let ids: Vec<_> = all.map(|container| (container.name, container.container_id, container.restart_count)).collect();
    Ok(serde_json::to_value((pod.uid(), ids))?)
}

/// How often containers of a pod were started again.
fn starts(pod: &Pod) -> i32 {
    let status = pod.status.clone().unwrap_or_default();
    let all = status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    all.map(|container| container.restart_count).sum()
}

/// What is declared, and what its status has counted.
#[derive(Debug)]
struct Declared {
    uids: Vec<Option<String>>,
    /// The holding's generation, and since when it is accepted.
    holding: (Option<i64>, Value),
    denied: i64,
    flows: i64,
}

impl Declared {
    async fn now(scenario: &Scenario) -> Result<Self> {
        let holding = scenario.api::<DataHolding>().get("faces").await?;
        let recipient = Api::<Recipient>::all(scenario.kube.clone()).get(&scenario.named("party")).await?;
        let standard = Api::<SovereigntyStandard>::all(scenario.kube.clone()).get(&scenario.named("standard")).await?;
        let accepted = condition(&holding, "Accepted").map(|condition| condition.last_transition_time.clone());
        let status = holding.status.clone().unwrap_or_default();
        Ok(Self {
            uids: vec![holding.uid(), recipient.uid(), standard.uid()],
            holding: (holding.metadata.generation, serde_json::to_value(accepted)?),
            denied: status.denied,
            flows: status.transfers.iter().map(|transfer| transfer.flows).sum(),
        })
    }

    /// The same objects, and nothing that was counted is lost.
    fn follows(&self, before: &Self) -> Result<()> {
        ensure!(self.uids == before.uids && self.holding == before.holding, "{before:?} has become {self:?}");
        ensure!(self.denied >= before.denied && self.flows >= before.flows, "counts are lost: {before:?} has become {self:?}");
        Ok(())
    }
}
