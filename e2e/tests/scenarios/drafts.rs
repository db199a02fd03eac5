//! Annotating a workload with what it holds is the safest first gesture: it makes a draft, cuts nothing off that runs, and shows its
//! pods as uncovered. New pods are covered. Where no standard lets drafts observe they may send nothing; where each does, they reach
//! whom they did before, and it is recorded. The draft itself opens nothing, and the operator may create no other holding.
//!
//! Closes the parts of 11 and 14 of the threat model that are about pods which say what they hold.

mod pods;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use shekara_crds::data_holding::Mode;
use shekara_crds::{COVERED_LABEL, DATA_ANNOTATION, DataHolding};
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::curl_at;
use shekara_e2e::cluster::program;
use shekara_e2e::holdings::{CONDITION, condition, with};
use shekara_e2e::live::LiveFlow;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, ECHO};
use shekara_policy::Reason;

/// What the workloads hold.
const LOCATION: &str = "vehicle.location";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    let free = scenario.client("free", Cover::Free).await?;
    let rolled = an_annotation_cuts_nothing_off(scenario).await?;
    nothing_leaves(scenario, &rolled, &free).await?;
    pods::are_covered_by_what_they_say(scenario).await?;
    pods::the_operator_creates_nothing_else(scenario).await?;
    a_standard_grants_observing(scenario).await
}

/// Annotates a Deployment whose pod has a live connection to a party that nobody lists, and replaces the pod then.
async fn an_annotation_cuts_nothing_off(scenario: &Scenario) -> Result<Client> {
    let before = deployed(scenario, "web").await?;
    let mut live = LiveFlow::open(&before, scenario.world()?.hosts.get(ECHO)?.any_v4()?).await?;
    annotate(scenario, "web").await?;
    let draft = shown(scenario, "draft-web", "Bare").await?;
    ensure!(draft.spec.enforcement.mode == Mode::Enforce, "it observes, and no standard grants that");
    ensure!(draft.spec.transfers.is_empty(), "it lists a transfer");
    let declared = condition(&draft, "DeclarationComplete").context("nothing is said of the declaration")?;
    ensure!(declared.status == "False" && declared.message.contains("a draft"), "it reads as a declaration: {declared:?}");
    live.goes_on().await?;
    let pod = before.object().await?;
    ensure!(!pod.labels().contains_key(COVERED_LABEL), "the pod that runs was touched");
    told(scenario).await?;
    live.goes_on().await?;

    scenario.api::<Pod>().delete(&before.name, &DeleteParams::default()).await?;
    let rolled = another(scenario, "web", &before.name).await?;
    shown(scenario, "draft-web", "Enforcing").await?;
    Ok(rolled)
}

async fn nothing_leaves(scenario: &Scenario, covered: &Client, free: &Client) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let unlisted = curl_at(&format!("https://{ADS}/"), ADS, 443, ads);
    let attempts = [Attempt::new("an unlisted party", &unlisted, Arrival::Packet(ads, "tcp"))];
    for outcome in all_closed(&world.sniffer, covered, free, &attempts).await? {
        outcome.failure()?;
    }
    Ok(())
}

/// Where a standard lets drafts observe, they begin so, and end by it.
async fn a_standard_grants_observing(scenario: &Scenario) -> Result<()> {
    let spec = with(scenario.standard_spec(), "/observe", json!({"maxDays": 3, "drafts": true}))?;
    scenario.standard_with(spec).await?;
    let before = deployed(scenario, "map").await?;
    annotate(scenario, "map").await?;
    let draft = shown(scenario, "draft-map", "Bare").await?;
    ensure!(draft.spec.enforcement.mode == Mode::Observe, "it does not observe: {:?}", draft.spec.enforcement);
    ensure!(!before.object().await?.labels().contains_key(COVERED_LABEL), "the pod that runs was touched");

    scenario.api::<Pod>().delete(&before.name, &DeleteParams::default()).await?;
    let rolled = another(scenario, "map", &before.name).await?;
    shown(scenario, "draft-map", "Observing").await?;
    let ads = scenario.world()?.hosts.get(ADS)?.any_v4()?;
    rolled.run(&curl_at(&format!("https://{ADS}/"), ADS, 443, ads)).await?.success()?;
    let seen = rolled.record("what a draft observes", |record| record.name.as_deref() == Some(ADS)).await?;
    ensure!(seen.observed && seen.reason == Some(Reason::UnlistedParty) && seen.bytes_out > 0, "{seen:?}");
    Ok(())
}

/// A Deployment of one pod with clients, which no holding covers; the pod.
async fn deployed(scenario: &Scenario, name: &str) -> Result<Client> {
    let workload = scenario.client_manifest(name, Cover::Free)?;
    let deployment: Deployment =
        workload.owned_by("Deployment", |template| json!({"selector": workload.selector(), "template": template}))?;
    scenario.api::<Deployment>().create(&PostParams::default(), &deployment).await.context("the Deployment is refused")?;
    scenario.client_of(name).await
}

/// As people type it.
async fn annotate(scenario: &Scenario, deployment: &str) -> Result<()> {
    let data = format!("{DATA_ANNOTATION}={LOCATION}");
    program("kubectl", &["annotate", "--namespace", &scenario.namespace, "deployment", deployment, &data]).await.map(drop)
}

/// Waits until a draft is there and shows its one pod in this state.
async fn shown(scenario: &Scenario, name: &str, state: &str) -> Result<DataHolding> {
    let api = scenario.api::<DataHolding>();
    until(&format!("{name} shows one pod as {state}"), CONDITION, async || {
        let Some(draft) = api.get_opt(name).await? else { return Ok(Seen::NotYet("there is none".into())) };
        let coverage = draft.status.as_ref().and_then(|status| status.coverage.as_ref());
        let one = coverage.is_some_and(|coverage| coverage.in_scope == 1 && coverage.states.get(state) == Some(&1));
        Ok(Seen::some_or(one.then(|| draft.clone()), draft.status))
    })
    .await
}

/// The Deployment is told what to do next.
async fn told(scenario: &Scenario) -> Result<()> {
    let api = scenario.api::<Event>();
    until("the event DraftCreated on the Deployment", CONDITION, async || {
        let events = api.list(&ListParams::default()).await?.items;
        let of_web = |event: &&Event| {
            let regarding = event.regarding.as_ref();
            regarding.is_some_and(|object| object.kind.as_deref() == Some("Deployment") && object.name.as_deref() == Some("web"))
        };
        let notes: Vec<Option<String>> = events
            .iter()
            .filter(of_web)
            .filter(|event| event.reason.as_deref() == Some("DraftCreated"))
            .map(|event| event.note.clone())
            .collect();
        let said = notes.iter().flatten().any(|note| note.contains("kubectl shekara propose draft-web"));
        Ok(Seen::some_or(said.then_some(()), notes))
    })
    .await
}

/// The pod that takes the place of one that was deleted.
async fn another(scenario: &Scenario, workload: &str, before: &str) -> Result<Client> {
    let api = scenario.api::<Pod>();
    let list = ListParams::default().labels(&format!("workload={workload}"));
    let name = until("another pod of the Deployment", START, async || {
        let names: Vec<String> = api.list(&list).await?.items.iter().map(kube::ResourceExt::name_any).collect();
        Ok(Seen::some_or(names.iter().find(|name| *name != before).cloned(), names))
    })
    .await?;
    let client = Client::ready(&api, &name).await?;
    let covered = client.object().await?.labels().get(COVERED_LABEL).is_some_and(|value| value == "true");
    ensure!(covered, "the new pod has no sidecar");
    Ok(client)
}

/// A manifest of a pod that says what it holds.
fn marked(scenario: &Scenario, name: &str, data: &str) -> Result<Pod> {
    let mut pod = scenario.client_manifest(name, Cover::Free)?.pod()?;
    pod.metadata.annotations = Some([(DATA_ANNOTATION.to_owned(), data.to_owned())].into());
    Ok(pod)
}
