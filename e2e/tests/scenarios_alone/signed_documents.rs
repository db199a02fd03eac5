//! The file of a holding, from which its pods restart while the operator is away: what a data owner does to it is put right and
//! changes nothing; with the operator gone, a sidecar that was killed goes on by it, and by one that was tampered with lets nothing
//! out. When the operator is back, all is as before.
//!
//! Closes 26 of the threat model.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use shekara_e2e::clients::curl;
use shekara_e2e::cluster::without_operator;
use shekara_e2e::files::{FILE, MOUNTED};
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::records;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};
use shekara_policy::Reason;

/// How long the kubelet may take to bring a changed ConfigMap to a pod.
const KUBELET: Duration = Duration::from_secs(150);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let watcher = Watcher::beside(scenario, &border.covered).await?;
    put_right(scenario, &border).await.context("while the operator is there")?;
    without_operator(&scenario.kube, async || by_the_file(scenario, &border, &watcher).await).await?;
    back(scenario, &border).await.context("with the operator back")
}

/// Changed, replayed and deleted.
async fn put_right(scenario: &Scenario, border: &Border) -> Result<()> {
    let old = genuine(scenario).await?;
    scenario.write_file(&old.replace("\"serial\":", "\"serial\":9")).await?;
    ensure!(genuine_within(scenario).await? == old, "what was put right is not what was there");
    flows(border).await?;

    // a newer document, and then the older one again
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443, 8443], "protocol": "TLS"}])).await?;
    let new = until("the file has the newer document", CONDITION, async || {
        let text = scenario.file().await?.unwrap_or_default();
        Ok(Seen::some_or((text != old && text.contains("8443")).then(|| text.clone()), text.len()))
    })
    .await?;
    scenario.write_file(&old).await?;
    until("the replayed file is put right", CONDITION, async || {
        let text = scenario.file().await?.unwrap_or_default();
        Ok(Seen::some_or((text == new).then_some(()), text.len()))
    })
    .await?;
    scenario.api::<ConfigMap>().delete(FILE, &DeleteParams::default()).await?;
    ensure!(genuine_within(scenario).await? == new, "what was put back is not what was there");
    flows(border).await?;
    scenario.enforcing(1).await.map(drop)
}

async fn by_the_file(scenario: &Scenario, border: &Border, watcher: &Watcher) -> Result<()> {
    let genuine = genuine(scenario).await?;
    arrives(scenario, border, watcher, &genuine).await?;
    watcher.kill_sidecar(&border.covered).await?;
    border.stands(scenario.world()?).await.context("after the sidecar was killed")?;
    let record = border.covered.record("an unlisted party", |record| record.name.as_deref() == Some(ADS)).await?;
    ensure!(record.serials == [scenario.bundle().await?.0.document.serial], "{record:?}");

    let tampered = genuine.replace(CLINIC, ADS);
    ensure!(tampered != genuine, "the document does not name the clinic");
    scenario.write_file(&tampered).await?;
    arrives(scenario, border, watcher, &tampered).await?;
    flows(border).await.context("what was in force before the file was tampered with")?;
    watcher.kill_and_forget(&border.covered).await?;
    // the sidecar looks at its files when the operator has not answered, and refuses every flow until then without a reason of theirs
    let pods = scenario.api::<Pod>();
    until("a flow is refused for what was done to the file", CONDITION, async || {
        let refused = border.covered.run(&curl(&format!("https://{CLINIC}/"))).await?;
        ensure!(refused.success().is_err(), "something leaves by a document that was tampered with");
        let denied = border.covered.run(&curl(&format!("https://{ADS}/"))).await?;
        ensure!(denied.success().is_err(), "what somebody wrote into a document is obeyed");
        let seen = records::read(&pods, &border.covered.name).await?;
        let so = seen.iter().any(|record| record.reason == Some(Reason::DocumentForged));
        Ok(Seen::some_or(so.then_some(()), seen.last().map(records::line)))
    })
    .await
}

/// The file is repaired, the sidecar obeys it, and the operator has confirmed it. The status alone does not say so: it stands from before
/// until the sidecar has found the operator again.
async fn back(scenario: &Scenario, border: &Border) -> Result<()> {
    genuine_within(scenario).await?;
    let clinic = curl(&format!("https://{CLINIC}/"));
    until("the sidecar obeys the operator again", CONDITION, async || Ok(border.covered.run(&clinic).await?.seen())).await?;
    scenario.enforcing(1).await?;
    flows(border).await
}

async fn flows(border: &Border) -> Result<()> {
    let status = border.covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "the clinic answers {status}");
    Ok(())
}

/// What the file says, which the operator must have signed.
async fn genuine(scenario: &Scenario) -> Result<String> {
    let (bundle, keys) = scenario.bundle().await?;
    ensure!(keys.document_key(&bundle.document.key).is_some(), "signed with a key that is not in the key set");
    scenario.file().await?.context("the holding has no file")
}

/// The same as soon as it is so.
async fn genuine_within(scenario: &Scenario) -> Result<String> {
    until("the file is genuine", CONDITION, async || match genuine(scenario).await {
        Ok(text) => {
            // whoever tampers with a number leaves the form as it is
            let (bundle, keys) = scenario.bundle().await?;
            let expected = shekara_policy::signed::Expected {
                namespace_uid: &bundle.document.namespace_uid,
                holding_uid: &bundle.document.holding_uid,
                serial: 0,
                now: "2020-01-01T00:00:00Z".parse()?,
            };
            let verified = bundle.document.verify(&keys, expected);
            Ok(Seen::some_or(verified.is_ok().then_some(text), verified.err()))
        }
        Err(problem) => Ok(Seen::NotYet(problem.to_string())),
    })
    .await
}

/// Waits until the sidecar sees this in its file. A change of the pod makes the kubelet look.
async fn arrives(scenario: &Scenario, border: &Border, watcher: &Watcher, text: &str) -> Result<()> {
    let pods = scenario.api::<Pod>();
    until("the sidecar sees the file", KUBELET, async || {
        let look = json!({"metadata": {"annotations": {"example.kz/look": format!("{:?}", std::time::SystemTime::now())}}});
        pods.patch(&border.covered.name, &PatchParams::default(), &Patch::Merge(look)).await?;
        let seen = watcher.file_of_sidecar(&border.covered, MOUNTED).await;
        Ok(Seen::some_or(seen.as_ref().is_ok_and(|seen| seen == text).then_some(()), seen.map(|seen| seen.len())))
    })
    .await
}
