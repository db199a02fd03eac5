//! Volumes: a covered pod mounts those alone whose driver a standard lists in a country that it allows; the claim that it mounts is marked,
//! no pod that no holding covers gets it any more, also when the covered pod is gone, and nobody but a registrar takes the mark away.
//!
//! Closes 30 and 34 of the threat model.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::HOLDINGS_ANNOTATION;
use shekara_e2e::cluster::within;
use shekara_e2e::holdings::{CONDITION, with, with_entry};
use shekara_e2e::people::acting_as;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

const CLAIM: &str = "faces";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    }))?;
    let claims = scenario.api::<PersistentVolumeClaim>();
    claims.create(&PostParams::default(), &claim).await?;
    listed(scenario, "DE").await?;
    scenario.holding(&[]).await?;
    until("a driver abroad is refused", CONDITION, async || match create(scenario, "holder", Cover::Covered).await? {
        Err(said) if said.contains("persistentVolumeClaim.claimName: its driver is") => Ok(Seen::Yes(())),
        Err(said) => Ok(Seen::NotYet(said)),
        Ok(()) => bail!("a covered pod mounts a volume of a driver abroad"),
    })
    .await?;
    listed(scenario, "KZ").await?;
    until("a driver at home is taken", CONDITION, async || match create(scenario, "holder", Cover::Covered).await? {
        Ok(()) => Ok(Seen::Yes(())),
        Err(said) => Ok(Seen::NotYet(said)),
    })
    .await?;
    let holder = Client::ready(&scenario.api(), "holder").await?;
    holder.run(&["sh", "-c", "echo template > /data/face"].map(str::to_owned)).await?.success()?;
    until("the claim is marked", CONDITION, async || {
        let marks = claims.get(CLAIM).await?.annotations().get(HOLDINGS_ANNOTATION).cloned();
        Ok(Seen::some_or(marks.filter(|holdings| holdings == "faces").map(drop), "not yet"))
    })
    .await?;
    refused(scenario).await.context("while it is mounted")?;
    scenario.api::<Pod>().delete("holder", &DeleteParams::default()).await?;
    until("the covered pod is gone", START, async || {
        let pod = scenario.api::<Pod>().get_opt("holder").await?;
        Ok(Seen::some_or(pod.is_none().then_some(()), "not yet"))
    })
    .await?;
    refused(scenario).await.context("when the covered pod is gone")?;
    marks_stay(scenario).await
}

/// Sets a standard that lists the cluster's default driver in a country.
async fn listed(scenario: &Scenario, country: &str) -> Result<()> {
    let classes: Api<StorageClass> = Api::all(scenario.kube.clone());
    let drivers: Vec<Value> = classes
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .map(|class| json!({"name": class.provisioner, "country": country}))
        .collect();
    let storage = json!({"mode": "Listed", "drivers": drivers});
    scenario.standard_with(with(scenario.standard_spec(), "/storage", storage)?).await.map(drop)
}

/// Creates a client that mounts the claim; what the API server answers where it is refused.
async fn create(scenario: &Scenario, name: &str, cover: Cover) -> Result<Result<(), String>> {
    let pod = serde_json::to_value(scenario.client_manifest(name, cover)?.pod()?)?;
    let pod = with_entry(pod, "/spec/volumes", json!({"name": "data", "persistentVolumeClaim": {"claimName": CLAIM}}))?;
    let pod = with_entry(pod, "/spec/containers/0/volumeMounts", json!({"name": "data", "mountPath": "/data"}))?;
    match scenario.api::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod)?).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// A pod that no holding covers does not get the claim.
async fn refused(scenario: &Scenario) -> Result<()> {
    match create(scenario, "reader", Cover::Free).await? {
        Err(said) => ensure!(said.contains("DataHoldings faces cover have mounted this claim"), "another answer: {said}"),
        Ok(()) => bail!("a pod that no holding covers mounts the claim"),
    }
    Ok(())
}

/// The owner keeps the mark; a registrar takes it away.
async fn marks_stay(scenario: &Scenario) -> Result<()> {
    let owner = within::<PersistentVolumeClaim>(&acting_as(scenario, "owner", &["edit"]).await?, &scenario.namespace);
    let registrar = acting_as(scenario, "registrar", &["edit", "shekara-registrar"]).await?;
    let registrar = within::<PersistentVolumeClaim>(&registrar, &scenario.namespace);
    let marks = |marks: Value| Patch::Merge(json!({"metadata": {"annotations": {HOLDINGS_ANNOTATION: marks}}}));
    for others in [Value::Null, json!(""), json!("another")] {
        match owner.patch(CLAIM, &PatchParams::default(), &marks(others)).await {
            Err(kube::Error::Api(status)) => {
                ensure!(status.message.contains("shekara-claims"), "another answer: {}", status.message)
            }
            Err(error) => return Err(error.into()),
            Ok(_) => bail!("an owner takes the mark away"),
        }
    }
    registrar.patch(CLAIM, &PatchParams::default(), &marks(Value::Null)).await.context("by the registrar")?;
    create(scenario, "reader", Cover::Free).await?.map_err(|said| anyhow!("a claim without the mark: {said}"))
}
