//! What was admitted stays so: in a running covered pod nobody takes the marks off or changes the sidecar's image, adds a container
//! for debugging that keeps its capabilities or aims at the sidecar, runs a program in the sidecar, or asks by hand for a token that
//! speaks for a sidecar. A container for debugging that is confined is let in, and is judged like the application.
//!
//! Closes 13, 27 (a change later), 28, 36 (a token asked for by hand) and 37 (the marks of a running pod) of the threat model.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use shekara_crds::{COVERED_LABEL, HOLDINGS_ANNOTATION};
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::curl_at;
use shekara_e2e::cluster::program;
use shekara_e2e::pods::{Client, START};
use shekara_e2e::records::SIDECAR;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    changed(scenario, &border.covered).await?;
    entered(scenario, &border.covered).await?;
    token(scenario).await?;
    debugged(scenario, &border).await
}

async fn changed(scenario: &Scenario, covered: &Client) -> Result<()> {
    let pods = scenario.api::<Pod>();
    let by = PatchParams::default();
    for patch in [
        json!({"metadata": {"labels": {COVERED_LABEL: null}}}),
        json!({"metadata": {"labels": {COVERED_LABEL: "false"}}}),
        json!({"metadata": {"annotations": {HOLDINGS_ANNOTATION: ""}}}),
    ] {
        refused(pods.patch(&covered.name, &by, &Patch::Strategic(&patch)).await).with_context(|| patch.to_string())?;
        // a status is written with the pod's labels and annotations
        refused(pods.patch_status(&covered.name, &by, &Patch::Strategic(&patch)).await)
            .with_context(|| format!("by its status: {patch}"))?;
    }
    let image = json!({"spec": {"initContainers": [{"name": SIDECAR, "image": "anything"}]}});
    refused(pods.patch(&covered.name, &by, &Patch::Strategic(&image)).await).context("another image")
}

/// Nobody runs a program in the container that may leave the pod.
async fn entered(scenario: &Scenario, covered: &Client) -> Result<()> {
    let command = ["exec", "-n", &scenario.namespace, &covered.name, "-c", SIDECAR, "--", "/shekara-sidecar", "ready"];
    let Err(error) = program("kubectl", &command).await else { bail!("the sidecar can be entered") };
    ensure!(format!("{error:#}").contains("shekara-exec"), "it is refused for another reason: {error:#}");
    Ok(())
}

async fn token(scenario: &Scenario) -> Result<()> {
    let ask = |audience: &str| serde_json::from_value::<TokenRequest>(json!({"spec": {"audiences": [audience]}}));
    let accounts = scenario.api::<ServiceAccount>();
    refused(accounts.create_token_request("default", &PostParams::default(), &ask("shekara")?).await)
        .context("a token by hand")?;
    accounts
        .create_token_request("default", &PostParams::default(), &ask("another")?)
        .await
        .context("a token of another audience")?;
    Ok(())
}

async fn debugged(scenario: &Scenario, border: &Border) -> Result<()> {
    let confined = json!({"capabilities": {"drop": ["ALL"]}});
    refused(add(scenario, &border.covered, json!({"name": "loose"})).await?)
        .context("a container that keeps its capabilities")?;
    let at_sidecar = json!({"name": "aimed", "targetContainerName": SIDECAR, "securityContext": confined});
    refused(add(scenario, &border.covered, at_sidecar).await?).context("a container aimed at the sidecar")?;

    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    for pod in [&border.covered, &border.free] {
        add(scenario, pod, json!({"name": "debug", "securityContext": confined})).await?.context("a confined container")?;
        runs(scenario, pod).await?;
    }
    let (covered, free) = (border.covered.container("debug"), border.free.container("debug"));
    let unlisted = curl_at(&format!("https://{ADS}/"), ADS, 443, ads);
    let attempts = [Attempt::new("an unlisted party", &unlisted, Arrival::Packet(ads, "tcp"))];
    for outcome in all_closed(&world.sniffer, &covered, &free, &attempts).await? {
        outcome.failure()?;
    }
    Ok(())
}

/// Adds an ephemeral container with the clients to a pod that runs.
pub(super) async fn add(scenario: &Scenario, pod: &Client, container: Value) -> Result<Result<Pod, kube::Error>> {
    let mut container = container;
    let fields = container.as_object_mut().context("not a container")?;
    fields.insert("image".into(), json!(scenario.images.get("clients")?));
    fields.insert("command".into(), json!(["sleep", "infinity"]));
    let patch = json!({"spec": {"ephemeralContainers": [container]}});
    let api = scenario.api::<Pod>();
    Ok(api.patch_ephemeral_containers(&pod.name, &PatchParams::default(), &Patch::Strategic(&patch)).await)
}

async fn runs(scenario: &Scenario, pod: &Client) -> Result<()> {
    let api = scenario.api::<Pod>();
    until("the container for debugging runs", START, async || {
        let status = api.get(&pod.name).await?.status.unwrap_or_default();
        let mut added = status.ephemeral_container_statuses.iter().flatten();
        let runs = added.any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()));
        Ok(Seen::some_or(runs.then_some(()), status.ephemeral_container_statuses))
    })
    .await
}

/// The API server said no for a reason of ours.
fn refused<T>(answer: Result<T, kube::Error>) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) => {
            ensure!(status.code == 403 && status.message.contains("shekara"), "another answer: {}", status.message);
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => bail!("it is not refused"),
    }
}
