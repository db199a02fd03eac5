//! What pods ask of Kubernetes beside containers goes on working where they are covered: resolvers and host names of their own, pull
//! secrets, seccomp profiles, users of their own, a size that changes while they run; and a pod that ends drains first, so that its
//! application reaches the listed party until it has ended.

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join4;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Event, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::clients::{curl, shell};
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::records::SIDECAR;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

/// Nobody answers there: a covered pod that resolves names was not left to it.
const NO_RESOLVER: &str = "192.0.2.253";

/// How many requests the application of a pod that ends makes, one a second, after the one of its `preStop` hook.
const LAST_REQUESTS: usize = 4;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let clinic = json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", clinic)]).await?;
    border.stands(scenario.world()?).await?;
    try_join4(fields(scenario), users_of_its_own(scenario), drains(scenario), resized(scenario, &border.covered)).await?;
    border.stands(scenario.world()?).await
}

/// Resolvers, host names, pull secrets and profiles are as the pod says; names are resolved all the same.
async fn fields(scenario: &Scenario) -> Result<()> {
    let fields = json!({
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": [NO_RESOLVER], "options": [{"name": "ndots", "value": "1"}]},
        "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["camera.local"]}],
        "imagePullSecrets": [{"name": "a-registry"}],
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsUser": 1234, "fsGroup": 1234},
        "hostname": "recognizer", "subdomain": "faces", "enableServiceLinks": false, "shareProcessNamespace": false,
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}],
    });
    let pod = create(scenario, "fields", &fields).await?;
    let spec = serde_json::to_value(pod.spec)?;
    for field in ["dnsPolicy", "dnsConfig", "hostAliases", "imagePullSecrets", "hostname", "subdomain"] {
        let path = format!("/{field}");
        ensure!(spec.pointer(&path) == fields.pointer(&path), "{field} has become {:?}", spec.pointer(&path));
    }
    let client = Client::ready(&scenario.api(), "fields").await?;
    ensure!(client.run(&["getent", "hosts", "camera.local"]).await?.success()?.contains("192.0.2.1"), "another host name");
    reaches_the_clinic(&client).await
}

/// Users of the pod are none of the node: where the nodes can do that at all.
async fn users_of_its_own(scenario: &Scenario) -> Result<()> {
    let manifest = scenario.client_manifest("free-own-users", Cover::Free)?.pod()?;
    let free: Pod = serde_json::from_value(with(serde_json::to_value(manifest)?, "/spec/hostUsers", json!(false))?)?;
    let pods = scenario.api::<Pod>();
    pods.create(&PostParams::default(), &free).await?;
    let able = until("a pod with users of its own starts, or cannot", START, async || {
        let status = pods.get("free-own-users").await?.status.unwrap_or_default();
        let statuses = status.container_statuses.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let ready = statuses.iter().any(|status| status.ready);
        // the sandbox does not come about, which no container says
        let about = ListParams::default().fields("involvedObject.name=free-own-users,reason=FailedCreatePodSandBox");
        let cannot = !scenario.api::<Event>().list(&about).await?.items.is_empty();
        Ok(Seen::some_or(if ready { Some(true) } else { cannot.then_some(false) }, conditions))
    })
    .await?;
    create(scenario, "own-users", &json!({"hostUsers": false})).await?;
    if able { reaches_the_clinic(&Client::ready(&pods, "own-users").await?).await } else { Ok(()) }
}

/// The application ends first: what it sends after it was told to end arrives, and the sidecar ends after it, of its own accord.
async fn drains(scenario: &Scenario) -> Result<()> {
    let request = shell(&curl(&format!("https://{CLINIC}/")));
    let requests = format!("for i in $(seq {LAST_REQUESTS}); do echo; {request}; sleep 1; done");
    let last = format!("last() {{ (cat /tmp/before; {requests}) > /dev/termination-log 2>&1; exit 0; }}");
    let program = format!("{last}; trap last TERM; while :; do sleep 0.2; done");
    let workload = scenario.client_manifest("drains", Cover::Covered)?;
    let mut pod = serde_json::to_value(workload.pod()?)?;
    pod = with(pod, "/metadata/finalizers", json!(["example.org/seen"]))?;
    pod = with(pod, "/spec/terminationGracePeriodSeconds", json!(60))?;
    pod = with(pod, "/spec/containers/0/command", json!(["bash", "-c", program]))?;
    let before = format!("{request} > /tmp/before; sleep 1");
    pod = with(pod, "/spec/containers/0/lifecycle", json!({"preStop": {"exec": {"command": ["bash", "-c", before]}}}))?;
    let pods = scenario.api::<Pod>();
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    Client::ready(&pods, "drains").await?;
    pods.delete("drains", &DeleteParams::default()).await?;
    let ended = until("the pod has ended", START, async || {
        let pod = pods.get("drains").await?;
        let both = ended(&pod, "client").zip(ended(&pod, SIDECAR));
        Ok(Seen::some_or(both, shekara_e2e::diagnose::pod(&pod)))
    })
    .await;
    scenario.let_go::<Pod>("drains").await?;
    let (application, sidecar) = ended?;
    let answers = application.message.unwrap_or_default();
    ensure!(answers.split_whitespace().eq(["200"; LAST_REQUESTS + 1]), "after it was told to end the clinic answered: {answers}");
    ensure!(application.exit_code == 0 && sidecar.exit_code == 0, "{} and {}", application.exit_code, sidecar.exit_code);
    ensure!(sidecar.finished_at >= application.finished_at, "the sidecar ended first");
    Ok(())
}

fn ended(pod: &Pod, container: &str) -> Option<ContainerStateTerminated> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).flatten();
    all.filter(|status| status.name == container).find_map(|status| status.state.as_ref()?.terminated.clone())
}

/// The application's size changes in place; the sidecar is not restarted for it.
async fn resized(scenario: &Scenario, covered: &Client) -> Result<()> {
    let pods = scenario.api::<Pod>();
    let size = json!({"spec": {"containers": [{"name": "client", "resources": {"requests": {"cpu": "30m"}}}]}});
    let resized = pods.patch_resize(&covered.name, &PatchParams::default(), &Patch::Strategic(size)).await;
    resized.context("the application of a covered pod cannot be resized")?;
    until("the new size is granted", CONDITION, async || {
        let pod = pods.get(&covered.name).await?;
        let granted = pod
            .status
            .iter()
            .flat_map(|status| status.container_statuses.iter().flatten())
            .find_map(|status| serde_json::to_value(status.resources.as_ref()?).ok()?.pointer("/requests/cpu").cloned());
        Ok(Seen::some_or(granted.clone().filter(|cpu| cpu == "30m").map(drop), granted))
    })
    .await?;
    let pod = covered.object().await?;
    let restarts = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    if let Some(restarted) = restarts.into_iter().find(|status| status.name == SIDECAR && status.restart_count > 0) {
        bail!("the sidecar was restarted {} times", restarted.restart_count);
    }
    Ok(())
}

/// Creates a covered pod with clients whose spec has these fields too.
async fn create(scenario: &Scenario, name: &str, fields: &Value) -> Result<Pod> {
    let mut pod = serde_json::to_value(scenario.client_manifest(name, Cover::Covered)?.pod()?)?;
    for (field, value) in fields.as_object().context("no fields")? {
        pod = with(pod, &format!("/spec/{field}"), value.clone())?;
    }
    let made = scenario.api::<Pod>().create(&PostParams::default(), &serde_json::from_value(pod)?).await;
    made.with_context(|| format!("the pod {name} is refused"))
}

async fn reaches_the_clinic(client: &Client) -> Result<()> {
    let status = client.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "{}: the clinic answers {status}", client.name);
    Ok(())
}
