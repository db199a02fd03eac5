//! Namespaces whose PodSecurity forbids the capabilities that a packet filter and its one way out need: there the node sets it, and in
//! `restricted` ones the sidecar is known by a user of its own. The border is the same, and stock servers run behind it.
//!
//! Closes 9, 10 and 12 of the threat model for such namespaces.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};

use crate::running_pod::add;
use crate::stock_images;

/// The user of applications in a restricted namespace.
const USER: u32 = 1000;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;

    scenario.enforce_pod_security("baseline").await?;
    let border = Border {
        covered: scenario.client_in_time("covered", Cover::Covered).await?,
        free: scenario.client("free", Cover::Free).await?,
    };
    no_container_sets_it(&border.covered).await?;
    border.stands(scenario.world()?).await.context("baseline")?;
    stock_images::serve_covered(scenario).await.context("stock servers")?;

    scenario.enforce_pod_security("restricted").await?;
    let start = async |name: &str, cover| scenario.start(&scenario.client_manifest(name, cover)?.restricted(Some(USER))).await;
    let border =
        Border { covered: start("restricted", Cover::Covered).await?, free: start("free-restricted", Cover::Free).await? };
    no_container_sets_it(&border.covered).await?;
    border.stands(scenario.world()?).await.context("restricted")?;
    as_the_sidecar(scenario, &border).await?;
    scenario.enforcing(6).await.map(drop)
}

async fn no_container_sets_it(covered: &Client) -> Result<()> {
    let spec = covered.object().await?.spec.context("the pod has no spec")?;
    let names: Vec<String> = spec.init_containers.unwrap_or_default().into_iter().map(|container| container.name).collect();
    ensure!(names == ["shekara-proxy", "shekara-verify"], "the first containers are {names:?}");
    Ok(())
}

/// An application that tries to become the user of the sidecar does not.
async fn as_the_sidecar(scenario: &Scenario, border: &Border) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let bare = scenario.client_manifest("unsaid", Cover::Covered)?.restricted(None).pod()?;
    match scenario.api::<Pod>().create(&PostParams::default(), &bare).await {
        Err(kube::Error::Api(status)) if status.message.contains("runAsUser") => {}
        Err(error) => return Err(error).context("a pod whose image says which user it is: refused for another reason"),
        Ok(_) => bail!("a pod was admitted whose image may say that it is the sidecar's user"),
    }
    let spec = border.covered.object().await?.spec.context("the pod has no spec")?;
    let proxy = spec.init_containers.unwrap_or_default().into_iter().next().context("the pod has no proxy")?;
    let user = proxy.security_context.and_then(|context| context.run_as_user).context("the proxy has no user")?;
    let strict =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true, "runAsUser": user});
    match add(scenario, &border.covered, json!({"name": "debug", "securityContext": strict})).await? {
        Err(kube::Error::Api(status)) if status.message.contains("is told from others by its user") => {}
        Err(error) => return Err(error).context("a container that is added as the sidecar's user: refused for another reason"),
        Ok(_) => bail!("a container was added as the sidecar's user"),
    }
    let dial = format!(
        "import os, socket, sys\ntry:\n    os.setresuid({user}, {user}, {user})\nexcept PermissionError:\n    pass\n\
         s = socket.create_connection(('{ads}', 80), 5)\ns.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\nsys.exit(0 if s.recv(1) else 1)\n"
    );
    let attempts = [Attempt::new("TCP as the sidecar's user", &["python3", "-c", &dial], Arrival::Packet(ads, "tcp"))];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        outcome.failure()?;
    }
    Ok(())
}
