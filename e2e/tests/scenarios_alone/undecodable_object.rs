//! An object that the operator cannot decode stalls nothing: its condition says so, its pods reach nothing, and all others are
//! judged as before. Such an object is one of a later version of the API; here the definition is changed for a moment.

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

/// Where the definition says which modes of enforcement there are.
const MODES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/enforcement/properties/mode/enum";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(scenario.kube.clone());
    let modes = serde_json::to_value(definitions.get("dataholdings.shekara.dev").await?)?
        .pointer(MODES)
        .cloned()
        .context("there are no modes")?;
    let later: Vec<Value> = modes.as_array().into_iter().flatten().cloned().chain([json!("Later")]).collect();
    set_modes(&definitions, json!(later)).await?;
    let outcome = beside_an_undecodable_one(scenario).await;
    set_modes(&definitions, modes).await?;
    outcome
}

async fn set_modes(definitions: &Api<CustomResourceDefinition>, modes: Value) -> Result<()> {
    let replaced: json_patch::Patch = serde_json::from_value(json!([{"op": "replace", "path": MODES, "value": modes}]))?;
    definitions.patch("dataholdings.shekara.dev", &PatchParams::default(), &Patch::Json::<()>(replaced)).await?;
    Ok(())
}

async fn beside_an_undecodable_one(scenario: &Scenario) -> Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("shekara.dev", "v1alpha1", "DataHolding"));
    let api: Api<DynamicObject> = Api::namespaced_with(scenario.kube.clone(), &scenario.namespace, &resource);
    let spec = with(scenario.holding_spec(&[]), "/enforcement", json!({"mode": "Later"}))?;
    let spec = with(spec, "/workloadSelector", json!({"matchLabels": {"app": "later"}}))?;
    let object = DynamicObject::new("later", &resource).data(json!({"spec": spec}));
    // the API server takes a moment to learn of the changed definition
    until("the API server takes the object", CONDITION, async || match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(Seen::Yes(())),
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(Seen::NotYet(status.message)),
        Err(error) => Err(error.into()),
    })
    .await?;
    until("its condition says that it cannot be read", CONDITION, async || {
        let conditions = api.get("later").await?.data.pointer("/status/conditions").cloned().unwrap_or_default();
        let accepted = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == "Accepted");
        let so = accepted.is_some_and(|condition| condition["reason"] == "Unreadable" && condition["status"] == "False");
        Ok(Seen::some_or(so.then_some(()), conditions))
    })
    .await?;
    let clinic = json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", clinic)]).await?;
    border.stands(scenario.world()?).await?;
    api.delete("later", &DeleteParams::default()).await?;
    Ok(())
}
