//! A workload that can be restarted, and what keeps its pods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{Selector, SelectorExt as _};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::RESTARTED_ANNOTATION;

use crate::drafts::workloads::Kind;
use crate::watch::Owner;

/// Under this name the operator owns the annotation.
const FIELD_MANAGER: &str = "shekara-operator";

/// A Deployment, StatefulSet or DaemonSet.
#[derive(Debug)]
pub(super) struct Restartable {
    kind: Kind,
    pub(super) owner: Owner,
    /// When the operator last restarted it.
    pub(super) restarted: Option<Timestamp>,
    /// Whether somebody has stopped its rollouts.
    pub(super) paused: bool,
    /// What its pods are made of.
    pub(super) template: Value,
}

impl Restartable {
    /// Reads it from the API server; none where it is gone or its pods are not replaced by another template.
    pub(super) async fn read(client: &Client, namespace: &str, owner: Owner) -> Result<Option<Self>, kube::Error> {
        let kind = [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet].into_iter().find(|kind| {
            let resource = kind.resource();
            (resource.api_version, resource.kind) == (owner.api_version.clone(), owner.kind.clone())
        });
        let Some(kind) = kind else { return Ok(None) };
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource());
        let Some(object) = api.get_opt(&owner.name).await? else { return Ok(None) };
        if object.uid().as_deref() != Some(owner.uid.as_str()) {
            return Ok(None);
        }
        let annotation = object.data.pointer("/spec/template/metadata/annotations").and_then(|all| all.get(RESTARTED_ANNOTATION));
        let restarted = annotation.and_then(|at| at.as_str()?.parse().ok());
        let paused = object.data.pointer("/spec/paused").and_then(serde_json::Value::as_bool).unwrap_or_default();
        let template = object.data.pointer("/spec/template").cloned().unwrap_or_default();
        Ok(Some(Self { kind, owner, restarted, paused, template }))
    }

    /// Has its pods replaced; false where it is gone.
    pub(super) async fn restart(&self, client: &Client, namespace: &str, now: Timestamp) -> Result<bool, kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &self.kind.resource());
        let patch = json!({
            // another one of the name is not restarted
            "metadata": {"uid": self.owner.uid},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED_ANNOTATION: now}}}},
        });
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        match api.patch(&self.owner.name, &parameters, &Patch::Merge(patch)).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(false),
            Err(problem) => Err(problem),
        }
    }
}

/// The PodDisruptionBudgets of a namespace that allow no disruption now.
#[derive(Debug)]
pub(super) struct Budgets(Vec<Selector>);

impl Budgets {
    pub(super) async fn list(client: &Client, namespace: &str) -> Result<Self, kube::Error> {
        let api: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), namespace);
        let spent = api.list(&ListParams::default()).await?.items.into_iter().filter(|budget| {
            // one that nobody has looked at allows nothing yet
            budget.status.as_ref().is_none_or(|status| status.disruptions_allowed <= 0)
        });
        // one without a selector is for no pod
        Ok(Self(spent.filter_map(|budget| budget.spec?.selector).map(read).collect()))
    }

    /// Whether one of them keeps pods with these labels.
    pub(super) fn keep(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().any(|selector| selector.matches(labels))
    }
}

/// One that cannot be read keeps every pod.
fn read(selector: LabelSelector) -> Selector {
    selector.try_into().unwrap_or_default()
}
