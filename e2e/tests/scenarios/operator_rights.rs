//! What the operator may do beyond reading, it may do to nothing else: as the API server answers its own account, it marks a claim and
//! changes nothing else in it, restarts a workload and changes nothing else in it, writes no ConfigMap but its own, deletes no pod that
//! is sound, and reads no Secret but its own two.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shekara_crds::{HOLDINGS_ANNOTATION, RESTARTED_ANNOTATION};
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, within};
use shekara_e2e::people::acting_as_operator;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::Scenario;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let operator = acting_as_operator().await?;
    claims(scenario, &operator).await.context("claims")?;
    workloads(scenario, &operator).await.context("workloads")?;
    files(scenario, &operator).await.context("ConfigMaps")?;
    pods(scenario, &operator).await.context("pods")?;
    secrets(scenario, &operator).await.context("Secrets")
}

async fn claims(scenario: &Scenario, operator: &Client) -> Result<()> {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "claim", "annotations": {"kept": "as it is"}, "finalizers": ["example.org/kept"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Mi"}}}
    }))?;
    scenario.api::<PersistentVolumeClaim>().create(&PostParams::default(), &claim).await?;
    let changes = Changes::<PersistentVolumeClaim>::of(operator, scenario, "claim", "shekara-claims");
    changes.is_made(&json!({"metadata": {"annotations": {HOLDINGS_ANNOTATION: "faces"}}})).await?;
    changes.are_refused(&metadata()).await?;
    scenario.let_go::<PersistentVolumeClaim>("claim").await
}

async fn workloads(scenario: &Scenario, operator: &Client) -> Result<()> {
    let workload = scenario.client_manifest("workload", Cover::Free)?;
    let mut made: Deployment = workload
        .owned_by("Deployment", |template| json!({"replicas": 1, "selector": workload.selector(), "template": template}))?;
    made.metadata.annotations = Some([("kept".to_owned(), "as it is".to_owned())].into());
    made.metadata.finalizers = Some(vec!["example.org/kept".to_owned()]);
    scenario.api::<Deployment>().create(&PostParams::default(), &made).await?;
    let changes = Changes::<Deployment>::of(operator, scenario, "workload", "shekara-restarts");
    let template = |change: Value| json!({"spec": {"template": change}});
    changes.is_made(&template(json!({"metadata": {"annotations": {RESTARTED_ANNOTATION: "2026-01-01T00:00:00Z"}}}))).await?;
    changes.are_refused(&metadata()).await?;
    changes
        .are_refused(&[
            json!({"spec": {"replicas": 0}}),
            json!({"spec": {"paused": true}}),
            json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}}),
            template(json!({"metadata": {"annotations": {"another": ""}}})),
            template(json!({"metadata": {"labels": {"another": "x"}}})),
            template(json!({"spec": {"hostNetwork": true}})),
            template(json!({"spec": {"serviceAccountName": "another"}})),
            template(json!({"spec": {"containers": [{"name": "client", "image": "another"}]}})),
        ])
        .await?;
    scenario.let_go::<Deployment>("workload").await
}

/// Changes of an object that has an annotation and a finalizer, neither of them the operator's.
fn metadata() -> [Value; 6] {
    [
        json!({"metadata": {"annotations": {"kept": "another"}}}),
        json!({"metadata": {"annotations": {"kept": null}}}),
        json!({"metadata": {"annotations": {"another": ""}}}),
        json!({"metadata": {"labels": {"another": "x"}}}),
        json!({"metadata": {"finalizers": null}}),
        json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}}),
    ]
}

async fn files(scenario: &Scenario, operator: &Client) -> Result<()> {
    let here = within::<ConfigMap>(operator, &scenario.namespace);
    let home = within::<ConfigMap>(operator, OPERATOR_NAMESPACE);
    let file = |name: &str| serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": name}}));
    here.create(&dry(), &file("shekara-policy-x")?).await.context("a document of a holding")?;
    for (api, name) in [(&here, "another"), (&here, "shekara-closed"), (&here, "shekara-counts-x"), (&home, "another")] {
        refusal(name, "shekara-files", api.create(&dry(), &file(name)?).await)?;
    }
    // of another's making, and there already
    refusal("kube-root-ca.crt", "shekara-files", here.delete("kube-root-ca.crt", &DeleteParams::default().dry_run()).await)
}

async fn pods(scenario: &Scenario, operator: &Client) -> Result<()> {
    let free = scenario.client("free", Cover::Free).await?;
    let pods = within::<Pod>(operator, &scenario.namespace);
    // by the policy where the operator has the right at all
    refusal("a sound pod", "", pods.delete(&free.name, &DeleteParams::default().dry_run()).await)?;
    let manifest = scenario.client_manifest("made", Cover::Free)?.pod()?;
    refusal("a new pod", "cannot create", pods.create(&dry(), &manifest).await)
}

async fn secrets(scenario: &Scenario, operator: &Client) -> Result<()> {
    let home = within::<Secret>(operator, OPERATOR_NAMESPACE);
    home.get("shekara-tls").await.context("its own")?;
    refusal("another of its namespace", "cannot get", home.get("another").await)?;
    refusal("all of its namespace", "cannot list", home.list(&ListParams::default()).await)?;
    for namespace in [scenario.namespace.as_str(), "kube-system"] {
        let elsewhere = within::<Secret>(operator, namespace);
        refusal(namespace, "cannot get", elsewhere.get("shekara-tls").await)?;
        refusal(namespace, "cannot list", elsewhere.list(&ListParams::default()).await)?;
    }
    Ok(())
}

fn dry() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// What the operator tries with one object, as a dry run, and the policy that keeps it from that.
struct Changes<K> {
    api: Api<K>,
    name: &'static str,
    policy: &'static str,
}

impl<K> Changes<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    fn of(operator: &Client, scenario: &Scenario, name: &'static str, policy: &'static str) -> Self {
        Self { api: within(operator, &scenario.namespace), name, policy }
    }

    async fn patch(&self, change: &Value) -> kube::Result<K> {
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        self.api.patch(self.name, &dry, &Patch::Merge(change)).await
    }

    async fn is_made(&self, change: &Value) -> Result<()> {
        self.patch(change).await.map(drop).with_context(|| format!("{change} is refused, so the refusals say nothing"))
    }

    async fn are_refused(&self, changes: &[Value]) -> Result<()> {
        for change in changes {
            refusal(&change.to_string(), self.policy, self.patch(change).await)?;
        }
        Ok(())
    }
}

/// Asserts that the API server forbids it, for a reason that says this.
fn refusal<T>(what: &str, said: &str, outcome: kube::Result<T>) -> Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 403 => {
            ensure!(status.message.contains(said), "{what} is refused for another reason: {}", status.message);
            Ok(())
        }
        Err(error) => Err(error).with_context(|| what.to_owned()),
        Ok(_) => bail!("{what}: the operator may"),
    }
}
