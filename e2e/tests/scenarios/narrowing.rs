//! A data owner lets a declaration grow and never shrink: with the rights of Kubernetes' `edit` he takes no category away, selects no
//! fewer workloads and deletes nothing. The answer names the field and who can help; a registrar may. What is deleted, or goes with
//! its namespace, stays as closed; a holding of the same name that is made later is another one.
//!
//! Closes the parts of 37 of the threat model that are edits of the declaration.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shekara_crds::DataHolding;
use shekara_e2e::closed::closed;
use shekara_e2e::cluster::within;
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::people::acting_as;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    let spec = scenario.holding_spec(&[]);
    let spec = with(spec, "/data", json!([{"category": "biometric.face"}, {"category": "vehicle.location"}]))?;
    let requirement = json!([{"key": "tier", "operator": "In", "values": ["a", "b"]}]);
    let spec =
        with(spec, "/workloadSelector", json!({"matchLabels": {"app": "x", "part": "y"}, "matchExpressions": requirement}))?;
    scenario.holding_with("faces", spec).await?;
    let owner = within::<DataHolding>(&acting_as(scenario, "owner", &["edit"]).await?, &scenario.namespace);
    let registrar = within::<DataHolding>(&acting_as(scenario, "registrar", &["shekara-registrar"]).await?, &scenario.namespace);
    shrinks(&owner).await?;
    grows(&owner).await?;
    match owner.delete("faces", &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) => ensure!(status.message.contains("ask the registrar"), "{}", status.message),
        other => bail!("it is not refused: {other:?}"),
    }
    a_namespace_goes_with_its_holdings(scenario).await?;
    let narrowed = merge(&registrar, json!({"data": [{"category": "biometric.face"}]})).await.context("by the registrar")?;
    scenario.condition("faces", "Accepted", "True").await?;
    registrar.delete("faces", &DeleteParams::default()).await.context("by the registrar")?;
    let first = uid(&narrowed)?;
    let second = scenario.holding(&[]).await?;
    let closed = closed(scenario, &first).await?;
    ensure!(closed.registered.name == "faces" && closed.registered.title == "Another", "another holding: {closed:?}");
    ensure!(uid(&second)? != first && !closed.at_the_latest, "{closed:?}");
    Ok(())
}

fn uid(holding: &DataHolding) -> Result<String> {
    holding.metadata.uid.clone().context("the holding has no UID")
}

/// Whoever may delete a namespace may delete what is in it.
async fn a_namespace_goes_with_its_holdings(scenario: &Scenario) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scenario.kube.clone());
    let name = format!("{}-2", scenario.namespace);
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let holding: DataHolding = scenario.object("DataHolding", "faces", scenario.holding_spec(&[]))?;
    let holdings = within::<DataHolding>(&scenario.kube, &name);
    let made = holdings.create(&PostParams::default(), &holding).await?;
    until("the operator has seen it", CONDITION, async || {
        let status = holdings.get("faces").await?.status;
        Ok(Seen::some_or(status.is_some().then_some(()), status))
    })
    .await?;
    namespaces.delete(&name, &DeleteParams::default()).await?;
    until("the namespace is gone with its holding", CONDITION, async || {
        let namespace = namespaces.get_opt(&name).await?;
        Ok(Seen::some_or(namespace.is_none().then_some(()), namespace.and_then(|namespace| namespace.status)))
    })
    .await?;
    let closed = closed(scenario, &uid(&made)?).await?;
    ensure!(closed.registered.namespace == name, "another holding: {closed:?}");
    Ok(())
}

async fn merge(api: &Api<DataHolding>, spec: Value) -> kube::Result<DataHolding> {
    api.patch("faces", &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await
}

/// What would leave a standard: by field.
async fn shrinks(owner: &Api<DataHolding>) -> Result<()> {
    let cases = [
        (json!({"data": [{"category": "biometric.face"}]}), "spec.data"),
        (json!({"data": [{"category": "biometric.face"}, {"category": "vehicle.identity"}]}), "spec.data"),
        (json!({"workloadSelector": {"matchLabels": {"app": "z"}}}), "spec.workloadSelector"),
        (json!({"workloadSelector": {"matchLabels": {"more": "z"}}}), "spec.workloadSelector"),
        (
            json!({"workloadSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a"]}]}}),
            "spec.workloadSelector",
        ),
        (
            json!({"workloadSelector": {"matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "zone", "operator": "In", "values": ["1"]}]}}),
            "spec.workloadSelector",
        ),
    ];
    for (spec, field) in cases {
        // bindings of roles take a moment to be known
        until(&format!("{spec} is refused for its own reason"), CONDITION, async || match merge(owner, spec.clone()).await {
            Err(kube::Error::Api(status)) if status.message.contains("shekara-narrowing") => {
                ensure!(status.message.contains(field) && status.message.contains("registrar"), "{}", status.message);
                Ok(Seen::Yes(()))
            }
            Err(kube::Error::Api(status)) if status.code == 403 => Ok(Seen::NotYet(status.message)),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("{spec} is not refused"),
        })
        .await?;
    }
    Ok(())
}

/// What binds more, or opens what standards allow in any case.
async fn grows(owner: &Api<DataHolding>) -> Result<()> {
    for spec in [
        json!({"title": "Another"}),
        json!({"data": [{"category": "vehicle.location"}, {"category": "biometric.face"}, {"category": "biometric.iris"}]}),
        json!({"workloadSelector": {"matchLabels": {"part": null}}}),
        json!({"workloadSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b", "c"]}]}}),
    ] {
        merge(owner, spec.clone()).await.with_context(|| spec.to_string())?;
    }
    Ok(())
}
