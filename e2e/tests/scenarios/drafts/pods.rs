//! Pods that say by their own annotation what they hold, and what the operator may create.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use shekara_crds::{COVERED_LABEL, DRAFT_LABEL, DataHolding, HOLDINGS_ANNOTATION};
use shekara_e2e::cluster::within;
use shekara_e2e::holdings::{FACE, with};
use shekara_e2e::people::acting_as_operator;
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::Scenario;

use super::{LOCATION, marked};

/// A pod that nobody claims is covered by the draft that it makes, wherever it is; one that says what means nothing, or that it holds
/// more than its holding, is refused.
pub(super) async fn are_covered_by_what_they_say(scenario: &Scenario) -> Result<()> {
    let pods = scenario.api::<Pod>();
    let holdings = scenario.api::<DataHolding>();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let tried = pods.create(&dry, &marked(scenario, "bare", LOCATION)?).await.context("a dry run")?;
    ensure!(tried.labels().contains_key(COVERED_LABEL), "a dry run is answered otherwise: {:?}", tried.metadata);
    ensure!(holdings.get_opt("draft-bare").await?.is_none(), "a dry run makes a draft");

    pods.create(&PostParams::default(), &marked(scenario, "bare", LOCATION)?).await.context("a pod that says what it holds")?;
    let made = holdings.get("draft-bare").await?;
    ensure!(made.labels().get(DRAFT_LABEL).is_some_and(|value| value == "true"), "it is no draft: {:?}", made.metadata);
    let covered = Client::ready(&pods, "bare").await?.object().await?;
    ensure!(covered.annotations().get(HOLDINGS_ANNOTATION).is_some_and(|names| names == "draft-bare"), "{:?}", covered.metadata);

    refused(scenario, marked(scenario, "unknown", "vehicle.speed")?, &["shekara.dev/data", "vehicle.speed"]).await?;
    let mut more = marked(scenario, "more", &format!("{LOCATION},{FACE}"))?;
    more.metadata.labels = covered.metadata.labels.map(|mut labels| {
        labels.remove(COVERED_LABEL);
        labels
    });
    refused(scenario, more, &[FACE, "draft-bare"]).await?;
    elsewhere(scenario).await
}

/// In a namespace whose pods are not matched otherwise.
async fn elsewhere(scenario: &Scenario) -> Result<()> {
    scenario
        .in_open_namespace(async |namespace| {
            let pods = within::<Pod>(&scenario.kube, namespace);
            pods.create(&PostParams::default(), &marked(scenario, "anywhere", LOCATION)?)
                .await
                .context("in an open namespace")?;
            within::<DataHolding>(&scenario.kube, namespace).get("draft-anywhere").await?;
            let pod = Client::ready(&pods, "anywhere").await?.object().await?;
            ensure!(pod.labels().contains_key(COVERED_LABEL), "the pod started bare: {:?}", pod.metadata);
            Ok(())
        })
        .await
}

async fn refused(scenario: &Scenario, pod: Pod, named: &[&str]) -> Result<()> {
    match scenario.api::<Pod>().create(&PostParams::default(), &pod).await {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            ensure!(named.iter().all(|name| status.message.contains(name)), "another refusal: {}", status.message);
            Ok(())
        }
        other => bail!("the pod {} is not refused: {other:?}", pod.name_any()),
    }
}

/// With the operator's rights nobody declares, opens or changes anything.
pub(super) async fn the_operator_creates_nothing_else(scenario: &Scenario) -> Result<()> {
    let operator = within::<DataHolding>(&acting_as_operator().await?, &scenario.namespace);
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let draft = |name: &str, spec: Value| -> Result<DataHolding> {
        let mut holding: DataHolding = scenario.object("DataHolding", name, spec)?;
        holding.labels_mut().insert(DRAFT_LABEL.into(), "true".into());
        Ok(holding)
    };
    let sound = scenario.holding_spec(&[]);
    operator.create(&dry, &draft("draft-sound", sound.clone())?).await.context("a draft")?;
    let transfer = json!([{"recipient": "clinic", "data": [FACE]}]);
    let service = json!([{"namespace": "n", "service": "s", "data": []}]);
    let mut unmarked = draft("draft-unmarked", sound.clone())?;
    unmarked.labels_mut().clear();
    for holding in [
        draft("declared", sound.clone())?,
        unmarked,
        draft("draft-open", with(sound.clone(), "/transfers", transfer)?)?,
        draft("draft-open", with(sound.clone(), "/inCluster", service)?)?,
        draft("draft-open", with(sound.clone(), "/clusterAPI", json!({"allow": false}))?)?,
    ] {
        match operator.create(&dry, &holding).await {
            Err(kube::Error::Api(status)) => {
                ensure!(status.message.contains("no DataHolding but drafts"), "another refusal: {}", status.message);
            }
            other => bail!("the operator may create {}: {other:?}", holding.name_any()),
        }
    }
    match operator.delete("draft-web", &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => bail!("the operator may delete a holding: {other:?}"),
    }
}
