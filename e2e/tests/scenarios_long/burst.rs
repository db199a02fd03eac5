//! Five hundred covered pods are created in a burst before two replicas of the operator. Meanwhile the replica that leads is killed and
//! its pod deleted, and then the API server is killed. Every pod comes to be, none of them is ever seen without the sidecar, those that
//! find a node become ready behind the border, the counts in the status of the holding never fall and are exact in the end, its coverage
//! is the pods that there are, another replica leads, and none has panicked.
//!
//! Most of the pods ask for a node that there is not: they are admitted and counted like any other, and cost no node anything.
//!
//! Closes 14 of the threat model for operators and API servers that fail under load.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Error, Result, ensure};
use futures::future::try_join;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use shekara_crds::DataHolding;
use shekara_e2e::cluster::{has_replicas, operator};
use shekara_e2e::counted::Counts;
use shekara_e2e::pods::fleet::on_every_node;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::pods::workload::{APPLICATION, Cover};
use shekara_e2e::pods::{Client, is_injected, is_ready};
use shekara_e2e::replicas::{another_leads, leader, nobody_panicked, operators};
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::witness::at_every_change;
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_e2e::{api_server, measure, release};
use tokio::time::{Instant, timeout};

/// How many replicas of the operator there are.
const REPLICAS: i32 = 2;

/// How many pods are created.
const PODS: usize = 500;

/// One in so many finds a node, since two nodes of two processors have no room for more; the others stay pending.
const ONE_STARTS_IN: usize = 12;

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

/// After so many pods the replica that leads is killed.
const LEADER_AFTER: usize = 50;

/// After so many pods the API server is killed: soon enough that hundreds are still to come.
const API_SERVER_AFTER: usize = 150;

/// How often the border is tried before the burst, and again after it. Each time a flow is allowed, and one denied.
const TIMES: i64 = 3;

/// How long a pod may be refused: an API server that has just started answers for seconds that it may not, and one that does not know
/// yet that a replica is gone refuses covered pods.
const CREATED: Duration = Duration::from_secs(180);

/// How long the pods that find a node may take to become ready.
const READY: Duration = Duration::from_secs(300);

/// How long the status may take to say what there is.
const SAID: Duration = Duration::from_secs(120);

/// How long the pods may take to go.
const GONE: Duration = Duration::from_secs(180);

/// How long everything between the two changes of the release may take, so that the second comes in any case.
const MEANWHILE: Duration = Duration::from_secs(720);

/// What the API server said of the pods and of the holding all the time.
#[derive(Default)]
struct Witness {
    /// Every covered pod that was seen, with the sidecar, and whether it is ready.
    pods: RefCell<BTreeMap<String, bool>>,
    /// The highest counts.
    counts: Cell<Counts>,
}

/// The replica that leads before the burst, and who kills it.
struct Leading {
    operator: Client,
    watcher: Watcher,
}

/// How the burst goes.
#[derive(Default)]
struct Burst {
    /// How many pods were created.
    created: Cell<usize>,
    /// How many requests failed, and were made again.
    again: Cell<usize>,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let before = tried(scenario, &border, Counts::default()).await.context("before")?;
    let found = operator(&scenario.kube).await?.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    release::while_set(&format!("operator.replicas={REPLICAS}"), async || {
        let outcome = timeout(MEANWHILE, witnessed(scenario, &border, before)).await;
        outcome.with_context(|| format!("not at its end after {} s", MEANWHILE.as_secs()))?
    })
    .await?;
    has_replicas(&scenario.kube, found).await
}

/// Tries the border, and waits until its flows are counted. Gives the counts of then.
async fn tried(scenario: &Scenario, border: &Border, before: Counts) -> Result<Counts> {
    for _ in 0..TIMES {
        border.stands(scenario.world()?).await?;
    }
    let counts = Counts { allowed: before.allowed + TIMES, denied: before.denied + TIMES };
    scenario.counted("clinic", counts).await?;
    Ok(counts)
}

async fn witnessed(scenario: &Scenario, border: &Border, before: Counts) -> Result<()> {
    let witness = Witness { counts: Cell::new(before), ..Witness::default() };
    tokio::select! {
        bare = witness.no_pod_is_bare(scenario) => Err(bare),
        lost = witness.no_count_falls(scenario) => Err(lost),
        outcome = burst(scenario, border, before, &witness) => outcome,
    }?;
    gone(scenario).await
}

async fn burst(scenario: &Scenario, border: &Border, before: Counts, witness: &Witness) -> Result<()> {
    has_replicas(&scenario.kube, REPLICAS).await?;
    let operator = Client::ready(&operators(&scenario.kube), &leader(&scenario.kube).await?).await?;
    let leading = Leading { watcher: Watcher::beside(scenario, &operator).await?, operator };
    let (burst, begin) = (Burst::default(), Instant::now());
    try_join(burst.create(scenario), burst.disturb(scenario, &leading)).await?;
    let (seconds, again) = (begin.elapsed().as_secs_f64(), burst.again.get());
    measure::print(&format!("until {PODS} pods were created"), format_args!("{seconds:.1} s, {again} requests made again"));

    another_leads(&scenario.kube, &leading.operator.name).await?;
    measure::print("until another replica led", format_args!("{:.1} s", begin.elapsed().as_secs_f64()));
    all_are_injected(scenario).await?;
    witness.all_are_ready(begin).await?;
    coverage_is_said(scenario).await?;
    scenario.counted("clinic", before).await.context("after the burst")?;
    tried(scenario, border, before).await.context("after the burst")?;
    has_replicas(&scenario.kube, REPLICAS).await.context("after the burst")?;
    nobody_panicked(&scenario.kube).await
}

impl Witness {
    async fn no_pod_is_bare(&self, scenario: &Scenario) -> Error {
        at_every_change(scenario.api::<Pod>(), &covered(), |pod| {
            ensure!(is_injected(pod), "{} was created without the sidecar", pod.name_any());
            self.pods.borrow_mut().insert(pod.name_any(), is_ready(pod));
            Ok(())
        })
        .await
    }

    async fn no_count_falls(&self, scenario: &Scenario) -> Error {
        let clinic = scenario.named("clinic");
        at_every_change(scenario.api::<DataHolding>(), "", |holding| {
            let now = Counts::of(&holding.status.clone().unwrap_or_default(), &clinic);
            let before = self.counts.replace(now);
            ensure!(now.at_least(before), "the status says {now:?} after {before:?}");
            Ok(())
        })
        .await
    }

    /// Waits until every pod was seen, and those that find a node are ready.
    async fn all_are_ready(&self, begin: Instant) -> Result<()> {
        until("every pod was seen, and those that find a node are ready", READY, async || {
            let pods = self.pods.borrow();
            let (seen, ready) = (pods.len(), pods.values().filter(|ready| **ready).count());
            Ok(Seen::some_or((seen == in_scope() && ready == enforcing()).then_some(()), (seen, ready)))
        })
        .await?;
        let seconds = begin.elapsed().as_secs_f64();
        measure::print(&format!("until {} of them were ready", enforcing() - 1), format_args!("{seconds:.1} s"));
        Ok(())
    }
}

impl Burst {
    async fn create(&self, scenario: &Scenario) -> Result<()> {
        let pods: Vec<Pod> = (0..PODS).map(|number| pod(scenario, number)).collect::<Result<_>>()?;
        let creations = stream::iter(pods).map(|pod| self.create_one(scenario, pod));
        creations.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Creates a pod, as a controller does: again and again where that fails because something is away.
    async fn create_one(&self, scenario: &Scenario, pod: Pod) -> Result<()> {
        let api = scenario.api::<Pod>();
        until(&format!("the pod {} can be created", pod.name_any()), CREATED, async || {
            let refusal = match api.create(&PostParams::default(), &pod).await {
                Ok(_) => return Ok(Seen::Yes(())),
                // the one before was done, and its answer lost
                Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => return Ok(Seen::Yes(())),
                Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => return Err(kube::Error::Api(status).into()),
                Err(error) => error.to_string(),
            };
            self.again.set(self.again.get() + 1);
            Ok(Seen::NotYet(refusal))
        })
        .await?;
        self.created.set(self.created.get() + 1);
        Ok(())
    }

    async fn disturb(&self, scenario: &Scenario, leading: &Leading) -> Result<()> {
        self.has_created(LEADER_AFTER).await?;
        nobody_panicked(&scenario.kube).await.context("before it was killed")?;
        leading.kill(scenario).await?;
        self.has_created(API_SERVER_AFTER).await?;
        let away = api_server::restart(&scenario.kube).await?.as_secs_f64();
        measure::print("the API server was away for", format_args!("{away:.1} s"));
        Ok(())
    }

    /// Waits until so many pods were created, while more are to come.
    async fn has_created(&self, pods: usize) -> Result<()> {
        let created = until(&format!("{pods} pods were created"), CREATED, async || {
            let created = self.created.get();
            Ok(Seen::some_or((created >= pods).then_some(created), created))
        })
        .await?;
        ensure!(created < PODS, "the burst was over before it could be disturbed");
        Ok(())
    }
}

impl Leading {
    /// Kills the process, which gets no moment to give the Lease back, and deletes its pod before the kubelet starts it again.
    async fn kill(&self, scenario: &Scenario) -> Result<()> {
        self.watcher.kill(&self.operator, "operator").await?;
        operators(&scenario.kube).delete(&self.operator.name, &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }
}

fn pod(scenario: &Scenario, number: usize) -> Result<Pod> {
    let mut pod = scenario.client_manifest(&format!("burst-{number:03}"), Cover::Covered)?.pod()?;
    if number.is_multiple_of(ONE_STARTS_IN) {
        return on_every_node(pod);
    }
    let spec = pod.spec.as_mut().context("the manifest has no spec")?;
    spec.node_selector = Some([("example.kz/no-such-node".to_owned(), "true".to_owned())].into());
    Ok(pod)
}

/// How many covered pods there are: those of the burst, and that of the border.
fn in_scope() -> usize {
    PODS + 1
}

/// How many of them find a node.
fn enforcing() -> usize {
    PODS.div_ceil(ONE_STARTS_IN) + 1
}

/// The label of covered pods.
fn covered() -> String {
    format!("{APPLICATION}={}", Cover::Covered.label())
}

async fn all_are_injected(scenario: &Scenario) -> Result<()> {
    let pods = scenario.api::<Pod>().list(&ListParams::default().labels(&covered())).await?.items;
    let bare: Vec<String> = pods.iter().filter(|pod| !is_injected(pod)).map(ResourceExt::name_any).collect();
    ensure!(bare.is_empty(), "without the sidecar: {bare:?}");
    ensure!(pods.len() == in_scope(), "there are {} covered pods, and {} were created", pods.len(), in_scope());
    Ok(())
}

/// Waits until the status says how many pods are in scope, and how many of them are proven protected.
async fn coverage_is_said(scenario: &Scenario) -> Result<()> {
    let api = scenario.api::<DataHolding>();
    let expected = (i64::try_from(in_scope())?, i64::try_from(enforcing())?);
    until(&format!("{} of {} pods are covered by the status", expected.1, expected.0), SAID, async || {
        let coverage = api.get("faces").await?.status.unwrap_or_default().coverage.unwrap_or_default();
        let all = coverage.states.values().sum::<i64>() == coverage.in_scope;
        Ok(Seen::some_or((all && (coverage.in_scope, coverage.covered) == expected).then_some(()), coverage))
    })
    .await
}

/// Deletes every covered pod, so that the scenarios that follow have the nodes for themselves.
async fn gone(scenario: &Scenario) -> Result<()> {
    let (api, list) = (scenario.api::<Pod>(), ListParams::default().labels(&covered()));
    api.delete_collection(&DeleteParams::default(), &list).await?;
    until("the pods are gone", GONE, async || {
        let left = api.list_metadata(&list.clone().limit(1)).await?.items;
        Ok(Seen::some_or(left.is_empty().then_some(()), left.first().map(ResourceExt::name_any)))
    })
    .await
}
