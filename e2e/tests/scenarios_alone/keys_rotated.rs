//! The key that signs documents and the authority of the policy API are replaced under running pods: no flow is refused, the
//! successors are announced before they are used, the predecessors end, and a sidecar that starts again afterwards finds its way
//! by the key set beside its document.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, within};
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::ECHO;
use shekara_policy::signed::KeySet;

const ECHO_PORT: u16 = 7;
const SECRETS: [&str; 2] = ["shekara-keys", "shekara-tls"];

/// Longer than the overlap with which the chart is installed for tests, and two looks of the operator at its Secrets.
const OVERLAP: Duration = Duration::from_secs(120);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([{"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}]);
    let border = scenario.border(&[("party", endpoints)]).await?;
    let watcher = Watcher::beside(scenario, &border.covered).await?;
    let mut load = border.covered.talk(&load(echo)).await?;
    goes_on(&mut load).await?;

    let (first, before) = scenario.bundle().await?;
    ensure!(before.document_keys.len() == 1 && before.authorities.len() == 1, "{before:?}");
    for secret in SECRETS {
        let wish = json!({"metadata": {"annotations": {"shekara.dev/rotate": "now"}}});
        let secrets = within::<Secret>(&scenario.kube, OPERATOR_NAMESPACE);
        secrets.patch(secret, &PatchParams::default(), &Patch::Merge(wish)).await?;
    }
    let both =
        key_set(scenario, "both generations", CONDITION, |keys| keys.document_keys.len() == 2 && keys.authorities.len() == 2)
            .await?;
    ensure!(both.version > before.version, "{} after {}", both.version, before.version);
    let kept = before.document_keys.iter().all(|key| both.document_keys.contains(key))
        && before.authorities.iter().all(|authority| both.authorities.contains(authority));
    ensure!(kept, "what is replaced counts no more: {both:?}");
    goes_on(&mut load).await?;
    scenario.enforcing(1).await.context("while both count")?;

    let after =
        key_set(scenario, "the successors alone", OVERLAP, |keys| keys.document_keys.len() == 1 && keys.authorities.len() == 1)
            .await?;
    ensure!(after.document_keys != before.document_keys && after.authorities != before.authorities, "nothing was replaced");
    let (last, _) = scenario.bundle().await?;
    ensure!(after.document_key(&last.document.key).is_some(), "the document is not signed with the new key");
    ensure!(last.keys.root == first.keys.root, "the root is another one");
    scenario.enforcing(1).await.context("after the overlap")?;
    goes_on(&mut load).await?;

    watcher.kill_sidecar(&border.covered).await?;
    scenario.enforcing(1).await.context("after the sidecar was killed")?;
    Ok(())
}

async fn key_set(scenario: &Scenario, what: &str, limit: Duration, is_it: impl Fn(&KeySet) -> bool) -> Result<KeySet> {
    until(&format!("the key set has {what}"), limit, async || {
        let (_, keys) = scenario.bundle().await?;
        Ok(Seen::some_or(is_it(&keys).then(|| keys.clone()), (keys.version, keys.document_keys.len(), keys.authorities.len())))
    })
    .await
}

/// Every connection so far was answered, and the next ones are.
async fn goes_on(load: &mut Talk) -> Result<()> {
    for line in load.pending()? {
        ensure!(line.starts_with("back"), "a flow was refused: {line}");
    }
    for _ in 0..20 {
        let line = load.next(CONDITION).await?.text;
        ensure!(line.starts_with("back"), "a flow was refused: {line}");
    }
    Ok(())
}

/// One connection after the other, each with a byte that comes back.
fn load(echo: IpAddr) -> String {
    format!(
        "import socket, time\n\
         while True:\n\
         \x20   try:\n\
         \x20       with socket.create_connection(('{echo}', {ECHO_PORT}), 10) as s:\n\
         \x20           s.settimeout(10)\n\
         \x20           s.sendall(b'.')\n\
         \x20           print('back' if s.recv(1) else 'closed', time.time())\n\
         \x20   except OSError as error:\n\
         \x20       print('refused', error)\n\
         \x20   time.sleep(0.02)\n"
    )
}
