//! What it costs that pods are covered: how much longer the API server takes to admit a pod when it asks the operator, how long the
//! operator's answer takes as the API server counts it, and how much later a pod is ready.
//!
//! Each is measured in turns with the same manifest in a namespace that is not protected, where admission asks nobody and no container
//! is added, so that what the machine does at some time does not meet one alone; and pods are admitted in dry runs, of which nothing is
//! kept, so that the two thousandth meets what the first met.
//!
//! The ceilings are wide, since the API server, the operator and this program share two processors in tests. They hold against a webhook
//! that waits for something, such as a request of its own that is slow, a lock or a time-out, and against a sidecar that gets its policy
//! at the second try only; not against one that is a little slower: what is printed tells of that.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::runtime::wait::delete::delete_and_finalize;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use shekara_e2e::cluster::within;
use shekara_e2e::histogram::Histogram;
use shekara_e2e::measure::{self, Spread};
use shekara_e2e::operator_metrics::api_server_counts;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{START, is_injected, is_ready};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::CLINIC;
use tokio::time::{Instant, timeout};

/// How many pods are admitted in each namespace.
const ADMISSIONS: u32 = 2000;

/// So many before them are not counted: connections are made, and caches filled.
const FIRST: u32 = 40;

/// How many requests are under way at once.
const AT_ONCE: usize = 4;

/// How many pods are started in each namespace.
const STARTS: u32 = 20;

/// By how much the admission of a covered pod may take longer, in seconds: in the median, and for all but one in a hundred.
const LATER: (f64, f64) = (0.1, 0.25);

/// By how much later a covered pod may be ready, in seconds, in the median: its three containers start one after the other, the last
/// when the border is proven.
const STARTED_LATER: f64 = 10.0;

/// The webhook as the API server names it.
const WEBHOOK: &str = "protected.shekara.dev";

/// How long the API server waited for it.
const ASKED: &str = "apiserver_admission_webhook_admission_duration_seconds_bucket";

/// How long a pod may take to be gone.
const GONE: Duration = Duration::from_secs(60);

/// The pods of the two namespaces.
struct Places {
    covered: Api<Pod>,
    free: Api<Pod>,
}

/// The times of what was done in turns, in seconds.
#[derive(Default)]
struct Times {
    covered: Vec<f64>,
    free: Vec<f64>,
    /// By how much longer each took where the pod was covered.
    longer: Vec<f64>,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    scenario
        .in_open_namespace(async |open| {
            let places = Places { covered: scenario.api(), free: within(&scenario.kube, open) };
            admissions(scenario, &places).await.context("admissions")?;
            starts(scenario, &places).await.context("starts")
        })
        .await
}

async fn admissions(scenario: &Scenario, places: &Places) -> Result<()> {
    let pod = scenario.client_manifest("admitted", Cover::Covered)?.pod()?;
    places.admit(&pod, FIRST).await?;
    let before = asked(&scenario.kube).await?;
    let times = places.admit(&pod, ADMISSIONS).await?;
    let asked = asked(&scenario.kube).await?.since(&before);
    let longer = times.print("a dry run of a pod's creation")?;
    let quantile = |part| asked.quantile(part).context("the API server has not asked the operator");
    measure::print(
        "the operator asked by the API server, between the bounds of its buckets",
        format_args!("p50 {:.1} ms, p99 {:.1} ms of {}", quantile(0.5)? * 1e3, quantile(0.99)? * 1e3, asked.samples()),
    );
    ensure!(asked.samples() >= f64::from(ADMISSIONS), "the operator was asked {} times for {ADMISSIONS} pods", asked.samples());
    let (median, most) = LATER;
    ensure!(longer.p50 <= median && longer.p99 <= most, "admission takes longer by {longer}, more than {median} s and {most} s");
    Ok(())
}

async fn starts(scenario: &Scenario, places: &Places) -> Result<()> {
    let mut times = Times::default();
    for number in 0..STARTS {
        let pod = scenario.client_manifest(&format!("started-{number}"), Cover::Covered)?.pod()?;
        times.add((started(&places.covered, &pod).await?, started(&places.free, &pod).await?));
    }
    let longer = times.print("a pod's start, until it is ready")?;
    ensure!(longer.p50 <= STARTED_LATER, "a covered pod is ready later by {longer}, more than {STARTED_LATER} s in the median");
    Ok(())
}

impl Places {
    /// Has so many pods admitted in each namespace, in turns.
    async fn admit(&self, pod: &Pod, number: u32) -> Result<Times> {
        let both =
            async || Ok::<_, anyhow::Error>((admitted(&self.covered, pod, true).await?, admitted(&self.free, pod, false).await?));
        let pairs: Vec<(f64, f64)> = stream::iter(0..number).map(|_| both()).buffer_unordered(AT_ONCE).try_collect().await?;
        let mut times = Times::default();
        pairs.into_iter().for_each(|pair| times.add(pair));
        Ok(times)
    }
}

impl Times {
    fn add(&mut self, (covered, free): (f64, f64)) {
        self.covered.push(covered);
        self.free.push(free);
        self.longer.push(covered - free);
    }

    /// Prints them, and gives by how much longer it took where the pod was covered.
    fn print(self, what: &str) -> Result<Spread> {
        let (covered, free, longer) = (Spread::of(self.covered)?, Spread::of(self.free)?, Spread::of(self.longer)?);
        measure::print(&format!("{what}, covered"), covered);
        measure::print(&format!("{what}, in an open namespace"), free);
        measure::print(&format!("{what}, longer by"), longer);
        let ratio = |covered: f64, free: f64| covered / free;
        let (median, most) = (ratio(covered.p50, free.p50), ratio(covered.p99, free.p99));
        measure::print(&format!("{what}, times as long"), format_args!("p50 {median:.2}, p99 {most:.2}"));
        Ok(longer)
    }
}

/// Has a pod admitted and nothing kept of it; it must be covered, or not, as is said. Gives how many seconds the answer took.
async fn admitted(pods: &Api<Pod>, pod: &Pod, covered: bool) -> Result<f64> {
    let (dry, begin) = (PostParams { dry_run: true, ..PostParams::default() }, Instant::now());
    let answer = pods.create(&dry, pod).await?;
    let took = begin.elapsed().as_secs_f64();
    ensure!(is_injected(&answer) == covered, "the pod has the labels {:?}", answer.labels());
    Ok(took)
}

/// Starts a pod, and deletes it when it is ready. Gives how many seconds it took until then, as the API server tells of it.
async fn started(pods: &Api<Pod>, pod: &Pod) -> Result<f64> {
    let (name, begin) = (pod.name_any(), Instant::now());
    pods.create(&PostParams::default(), pod).await?;
    let ready = await_condition(pods.clone(), &name, |pod: Option<&Pod>| pod.is_some_and(is_ready));
    timeout(START, ready).await.with_context(|| format!("{name} is not ready after {} s", START.as_secs()))??;
    let took = begin.elapsed().as_secs_f64();
    let deletion = DeleteParams::default();
    let gone = delete_and_finalize(pods.clone(), &name, &deletion);
    timeout(GONE, gone).await.with_context(|| format!("{name} is not gone after {} s", GONE.as_secs()))??;
    Ok(took)
}

/// How long the API server has waited for the webhook, each time that a pod was created.
async fn asked(client: &Client) -> Result<Histogram> {
    let samples = api_server_counts(client, ASKED).await?;
    Ok(Histogram::of(&samples, &[("name", WEBHOOK), ("operation", "CREATE")]))
}
