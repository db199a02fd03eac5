//! The stage of the demo: the examples' objects in the cluster, and their pods.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::{Api, Client as Kube, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::DataHolding;

use crate::cluster::{apply, within};
use crate::environment::Images;
use crate::examples;
use crate::holdings::{CONDITION, condition};
use crate::pods::Client;
use crate::pods::workload::APPLICATION;
use crate::wait::{Seen, until};
use crate::world::World;

/// How long a rollout may take.
const ROLLOUT: Duration = Duration::from_secs(150);

/// A workload of the examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its namespace.
    pub(super) namespace: &'static str,
    /// The name of its Deployment, and the value of its pods' label `app`.
    pub(super) application: &'static str,
}

/// Face recognition.
pub(super) const RECOGNIZER: Part = Part { namespace: "cameras", application: "recognizer" };
/// The backend of the vehicles.
pub(super) const GATEWAY: Part = Part { namespace: "telematics", application: "gateway" };
/// A pod that no holding covers.
pub(super) const KIOSK: Part = Part { namespace: "cameras", application: "kiosk" };

/// The holdings of the examples, by namespace, name and number of pods.
pub(super) const HOLDINGS: [(&str, &str, i64); 2] = [("cameras", "street-cameras", 2), ("telematics", "fleet-telematics", 1)];

/// A running pod of each workload.
pub(super) struct Stage {
    parts: Vec<(Part, Client)>,
}

impl Stage {
    /// Applies the examples, declarations before workloads, and waits until every holding is enforced in new pods.
    pub(super) async fn set(kube: &Kube, world: &World, images: &Images) -> Result<Self> {
        let objects = examples::read()?;
        let (workloads, declarations): (Vec<Value>, Vec<Value>) =
            objects.into_iter().partition(|object| examples::kind(object) == "Deployment");
        for object in &declarations {
            apply_any(kube, object).await?;
        }
        give_authority(kube, &world.authority).await?;
        try_join_all(HOLDINGS.map(|(namespace, name, _)| is_true(kube, namespace, name, "Accepted"))).await?;
        for mut object in workloads {
            examples::set_image(&mut object, images.get("clients")?);
            apply_any(kube, &begun_anew(object)?).await?;
        }
        let parts = [RECOGNIZER, GATEWAY, KIOSK];
        let clients = try_join_all(parts.map(|part| rolled_out(kube, part))).await?;
        try_join_all(HOLDINGS.map(|(namespace, name, pods)| is_enforced(kube, namespace, name, pods))).await?;
        Ok(Self { parts: parts.into_iter().zip(clients).collect() })
    }

    /// The pod of a workload.
    pub(super) fn client(&self, wanted: Part) -> Result<&Client> {
        let found = self.parts.iter().find(|(part, _)| *part == wanted);
        found.map(|(_, client)| client).with_context(|| format!("{} is not on the stage", wanted.application))
    }
}

async fn apply_any(kube: &Kube, object: &Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object.clone()).context("an example is no object")?;
    let types = object.types.clone().context("an example has no kind")?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(kube.clone(), &namespace, &resource),
        None => Api::all_with(kube.clone(), &resource),
    };
    let name = object.name_any();
    let applied = api.patch(&name, &PatchParams::apply("shekara-demo").force(), &Patch::Apply(&object)).await;
    applied.map(drop).with_context(|| format!("{} {name} cannot be applied", types.kind))
}

/// Pods of an earlier run may be older than the sidecar that is installed now.
fn begun_anew(object: Value) -> Result<Value> {
    let template = "/spec/template/metadata/annotations";
    crate::holdings::with(object, template, json!({"shekara.dev/demo": Timestamp::now().to_string()}))
}

/// Puts the certificate of the test authority where the examples' pods mount it.
async fn give_authority(kube: &Kube, certificate: &str) -> Result<()> {
    for namespace in ["cameras", "telematics"] {
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}, "data": {"ca.pem": certificate}});
        apply::<ConfigMap>(&within(kube, namespace), &serde_json::from_value(map)?).await?;
    }
    Ok(())
}

/// Waits until the Deployment has new pods alone, and takes one.
async fn rolled_out(kube: &Kube, part: Part) -> Result<Client> {
    let Part { namespace, application } = part;
    let deployments: Api<Deployment> = within(kube, namespace);
    let pods: Api<Pod> = within(kube, namespace);
    let list = ListParams::default().labels(&format!("{APPLICATION}={application}"));
    let name = until(&format!("new pods of {namespace}/{application} are ready"), ROLLOUT, async || {
        let deployment = deployments.get(application).await?;
        let present = pods.list(&list).await?.items;
        let ready = is_rolled_out(&deployment) && present.iter().all(|pod| pod.metadata.deletion_timestamp.is_none());
        let instead = || present.iter().map(crate::diagnose::pod).collect::<Vec<_>>().join("\n  ");
        Ok(present.first().filter(|_| ready).map_or_else(|| Seen::NotYet(instead()), |pod| Seen::Yes(pod.name_any())))
    })
    .await?;
    Client::ready(&pods, &name).await
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation >= deployment.metadata.generation
            && [status.replicas, status.updated_replicas, status.ready_replicas].iter().all(|count| *count == Some(wanted))
    })
}

async fn is_true(kube: &Kube, namespace: &str, name: &str, kind: &str) -> Result<()> {
    let api: Api<DataHolding> = within(kube, namespace);
    until(&format!("{kind}=True of the holding {namespace}/{name}"), CONDITION, async || {
        let holding = api.get(name).await?;
        let found = condition(&holding, kind);
        let so = found.is_some_and(|found| found.status == "True" && found.observed_generation == holding.metadata.generation);
        Ok(Seen::some_or(so.then_some(()), found))
    })
    .await
}

async fn is_enforced(kube: &Kube, namespace: &str, name: &str, pods: i64) -> Result<()> {
    let api: Api<DataHolding> = within(kube, namespace);
    until(&format!("the holding {namespace}/{name} is enforced in {pods} pods"), CONDITION, async || {
        let holding = api.get(name).await?;
        let coverage = holding.status.as_ref().and_then(|status| status.coverage.as_ref());
        let all = coverage.is_some_and(|coverage| (coverage.in_scope, coverage.covered) == (pods, pods));
        Ok(Seen::some_or(all.then_some(()), &holding.status))
    })
    .await?;
    is_true(kube, namespace, name, "Enforcing").await
}
