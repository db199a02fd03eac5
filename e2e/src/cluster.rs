//! The cluster that KUBECONFIG names.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde_json::json;
use tokio::process::Command;

use crate::wait::{Seen, until};

/// The namespace of the operator.
pub const OPERATOR_NAMESPACE: &str = "shekara-system";

/// The name under which the chart is installed.
pub const RELEASE: &str = "shekara";

/// The label, and the taint, of nodes that the API server runs on.
pub const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// How long a rollout of the operator may take.
const ROLLOUT: Duration = Duration::from_secs(120);

/// Connects by KUBECONFIG.
///
/// # Errors
/// When there is no usable kubeconfig.
pub async fn connect() -> Result<Client> {
    let kubeconfig = Kubeconfig::read().context("KUBECONFIG cannot be read")?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // logs and execs of idle processes stay open for minutes
    config.read_timeout = None;
    Ok(Client::try_from(config)?)
}

/// Runs a program that stands on the PATH, such as kubectl or helm, and gives its standard output.
///
/// # Errors
/// When it cannot be run, or ends with another code than 0: then with what it said.
pub async fn program(name: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(name).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("{name} cannot be run"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("`{name} {}`: {}: {said}{}", arguments.join(" "), output.status, errors.trim());
    }
    Ok(said)
}

/// Runs helm on the operator's namespace and gives what it prints.
///
/// # Errors
/// As [`program`].
pub async fn helm(arguments: &[&str]) -> Result<String> {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--namespace", OPERATOR_NAMESPACE]).collect();
    program("helm", &arguments).await
}

/// The Deployment of the operator.
///
/// # Errors
/// When there is not exactly one in the operator's namespace.
pub async fn operator(client: &Client) -> Result<Deployment> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let mut found = api.list(&ListParams::default()).await?.items;
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (first, more) => bail!(
            "one Deployment is expected in {OPERATOR_NAMESPACE}, there are {}: is Shekara installed (e2e/cluster install)?",
            more + usize::from(first.is_some())
        ),
    }
}

/// The pods of the operator.
///
/// # Errors
/// When they cannot be listed.
pub async fn operator_pods(client: &Client) -> Result<Vec<Pod>> {
    let deployment = operator(client).await?;
    let labels = deployment.spec.and_then(|spec| spec.selector.match_labels).unwrap_or_default();
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let api: Api<Pod> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    Ok(api.list(&ListParams::default().labels(&selector)).await?.items)
}

/// Sets the number of the operator's replicas, and waits until as many pods are there and ready.
///
/// # Errors
/// When that does not come about.
pub async fn scale_operator(client: &Client, replicas: i32) -> Result<()> {
    let deployment = operator(client).await?;
    let name = deployment.name_any();
    let api: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    api.patch_scale(&name, &PatchParams::default(), &patch).await.context("the operator cannot be scaled")?;
    has_replicas(client, replicas).await
}

/// Waits until there are so many pods of the operator, none more, and they are ready.
///
/// # Errors
/// When that does not come about.
pub async fn has_replicas(client: &Client, replicas: i32) -> Result<()> {
    until(&format!("{replicas} replicas of the operator"), ROLLOUT, async || {
        let pods = operator_pods(client).await?;
        let ready = operator(client).await?.status.and_then(|status| status.ready_replicas).unwrap_or(0);
        let all = i32::try_from(pods.len())? == replicas && ready == replicas;
        Ok(Seen::some_or(all.then_some(()), (pods.len(), ready)))
    })
    .await
}

/// Does something while there is no operator, and then has as many replicas as before, whatever came of it: the next scenario
/// needs them.
///
/// # Errors
/// When the operator cannot be scaled, or what was done failed.
pub async fn without_operator<T>(client: &Client, body: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
    let replicas = operator(client).await?.spec.and_then(|spec| spec.replicas).unwrap_or(1);
    scale_operator(client, 0).await?;
    let outcome = body().await;
    scale_operator(client, replicas).await?;
    outcome.context("without the operator")
}

/// Takes an object as the spec says it, and leaves no one else's fields behind: server-side apply.
///
/// # Errors
/// When the API server refuses it.
pub async fn apply<K>(api: &Api<K>, object: &K) -> Result<K>
where
    K: Resource + Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let name = object.name_any();
    let applied = api.patch(&name, &PatchParams::apply("shekara-e2e").force(), &Patch::Apply(object)).await;
    applied.with_context(|| format!("{} {name} cannot be applied", K::kind(&K::DynamicType::default())))
}

/// The API of a kind in a namespace.
#[must_use]
pub fn within<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), namespace)
}
