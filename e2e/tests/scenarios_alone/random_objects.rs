//! Whatever the API server takes gets a condition and never an endless loop: a thousand random objects.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::definitions::definitions;
use shekara_e2e::measure;
use shekara_e2e::operator_metrics::operator_counts;
use shekara_e2e::random_object::Specs;
use shekara_e2e::scenario::{SCENARIO_LABEL, Scenario};
use shekara_e2e::wait::{Seen, still, until};
use tokio::time::sleep;

/// How many objects of each kind are tried at a time.
const EACH: usize = 334;

/// How many of each kind the API server must take: fewer would say too little.
const WANTED: usize = 40;

/// How often more of a kind are tried for that. The more fields a kind has with rules of their own, the rarer is an object that keeps all.
const TIMES: usize = 4;

/// How many requests are under way at once.
const AT_ONCE: usize = 16;

/// How long the last condition may take to come.
const CONDITIONS: Duration = Duration::from_secs(120);

/// How long nothing is written once all is said. An endless loop writes an object once a second, the least interval that the
/// operator keeps.
const STILL: Duration = Duration::from_secs(10);

/// How long after every object has its condition that must come about. A standard that is made late changes what is said of every
/// holding, and each holding waits out its interval of a second and then its turn: a few hundred writes, which take seconds, and
/// on a busy machine several times as long.
const SETTLING: Duration = Duration::from_secs(60);

const WRITES: &str = "shekara_operator_status_writes_total";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let failed = async || operator_counts(&scenario.kube, WRITES, &[("outcome", "failed")]).await;
    let failed_before = failed().await?;
    for definition in definitions() {
        let kind = definition.spec.names.kind.clone();
        let api = api(scenario, &kind);
        let mut specs = Specs::of(&definition, 7)?;
        let (mut taken, mut tried) = (0, 0);
        while taken < WANTED && tried < TIMES * EACH {
            let numbers = tried..tried + EACH;
            let objects: Vec<DynamicObject> =
                numbers.map(|number| object(scenario, &kind, number, specs.next_spec()?)).collect::<Result<_>>()?;
            let each = stream::iter(objects).map(|object| create(&api, object)).buffer_unordered(AT_ONCE);
            taken += each.try_collect::<Vec<bool>>().await?.into_iter().filter(|taken| *taken).count();
            tried += EACH;
        }
        measure::print(&format!("random objects of kind {kind} that the API server took"), format_args!("{taken} of {tried}"));
        ensure!(taken >= WANTED, "{taken} of {tried} random objects of kind {kind} say too little");
    }
    for definition in definitions() {
        all_have_conditions(scenario, &definition.spec.names.kind).await?;
    }
    settles(scenario).await?;
    let more = failed().await? - failed_before;
    ensure!(more < 0.5, "{more} statuses could not be written");
    Ok(())
}

/// The operator comes to an end with writing.
async fn settles(scenario: &Scenario) -> Result<()> {
    let written = async || operator_counts(&scenario.kube, WRITES, &[]).await;
    let before = written().await?;
    let settled = still("no status is written though nothing changes", STILL, SETTLING, written).await;
    let settled = match settled {
        Ok(settled) => settled,
        Err(error) => bail!("{error:#}; {}", written_still(scenario).await?),
    };
    let (seconds, more) = (settled.as_secs_f64(), written().await? - before);
    measure::print(
        "the last status was written after every object had its condition",
        format_args!("{seconds:.1} s, {more} in all"),
    );
    Ok(())
}

/// Which objects are written while nothing changes, whoever made them, as their statuses are then.
async fn written_still(scenario: &Scenario) -> Result<String> {
    let before = versions(scenario).await?;
    sleep(STILL / 2).await;
    let after = versions(scenario).await?;
    let written: Vec<String> = after
        .iter()
        .filter(|(name, (version, _))| before.get(*name).is_none_or(|(earlier, _)| earlier != version))
        .map(|(name, (_, status))| format!("\n  {name}: {status}"))
        .collect();
    Ok(format!("{} objects changed within {} s:{}", written.len(), STILL.as_secs() / 2, written.concat()))
}

/// The version and status of every object of every kind, in all namespaces.
async fn versions(scenario: &Scenario) -> Result<BTreeMap<String, (String, Value)>> {
    let mut versions = BTreeMap::new();
    for definition in definitions() {
        let kind = definition.spec.names.kind;
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("shekara.dev", "v1alpha1", &kind));
        let all: Api<DynamicObject> = Api::all_with(scenario.kube.clone(), &resource);
        for object in all.list(&ListParams::default()).await?.items {
            let name = format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any());
            let status = object.data.get("status").cloned().unwrap_or_default();
            versions.insert(name, (object.resource_version().unwrap_or_default(), status));
        }
    }
    Ok(versions)
}

fn api(scenario: &Scenario, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("shekara.dev", "v1alpha1", kind));
    match kind {
        "DataHolding" => Api::namespaced_with(scenario.kube.clone(), &scenario.namespace, &resource),
        _ => Api::all_with(scenario.kube.clone(), &resource),
    }
}

fn object(scenario: &Scenario, kind: &str, number: usize, mut spec: Value) -> Result<DynamicObject> {
    if kind == "SovereigntyStandard" {
        // a standard binds without being asked, and this one is to bind here alone
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": scenario.namespace}});
        let scope = spec.get_mut("appliesTo").and_then(Value::as_object_mut).context("a standard without a scope")?;
        scope.insert("namespaceSelector".into(), here);
    }
    let name = scenario.named(&format!("random-{number}"));
    let object = json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "labels": {SCENARIO_LABEL: scenario.namespace}}, "spec": spec,
    });
    Ok(serde_json::from_value(object)?)
}

/// Whether the API server takes it; its own rules in CEL refuse many.
async fn create(api: &Api<DynamicObject>, object: DynamicObject) -> Result<bool> {
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 422 || status.code == 403 => Ok(false),
        Err(error) => Err(error).with_context(|| object.name_any()),
    }
}

async fn all_have_conditions(scenario: &Scenario, kind: &str) -> Result<()> {
    let (api, own) = (api(scenario, kind), ListParams::default().labels(&format!("{SCENARIO_LABEL}={}", scenario.namespace)));
    until(&format!("every {kind} has a condition of its generation"), CONDITIONS, async || {
        let objects = api.list(&own).await?.items;
        let without = objects.iter().find(|object| {
            let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
            let accepted = conditions.into_iter().flatten().find(|condition| condition.get("type") == Some(&json!("Accepted")));
            let generation = accepted.and_then(|condition| condition.get("observedGeneration")?.as_i64());
            generation.is_none() || generation != object.metadata.generation
        });
        Ok(Seen::some_or(without.is_none().then_some(()), without.map(|object| (object.name_any(), object.data.clone()))))
    })
    .await
}
