//! The key that signs documents and the authority of the policy API are replaced under a running pod: no flow is refused, the
//! successors are announced before they are used, the predecessors end, and a sidecar that starts again afterwards finds its way
//! by the key set beside its document.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::live::ECHO_PORT;
use shekara_e2e::pods::watcher::Watcher;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::ECHO;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([{"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}]);
    let border = scenario.border(&[("party", endpoints)]).await?;
    let watcher = Watcher::beside(scenario, &border.covered).await?;
    let mut load = border.covered.talk(&load(echo)).await?;
    scenario.rotate_keys(1, async || goes_on(&mut load).await).await?;
    watcher.kill_sidecar(&border.covered).await?;
    scenario.enforcing(1).await.context("after the sidecar was killed")?;
    Ok(())
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
