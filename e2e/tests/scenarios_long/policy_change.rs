//! A hundred policy changes reach fifty pods: all of them, and ninety-nine in a hundred within a second of the API server's answer.
//! The rest is printed and bounded by nothing but patience: on two processors that fifty sidecars and fifty clients share, who
//! comes last has waited for a processor.
//!
//! What is measured is enforcement itself, in every pod: a recipient has the echo service at one address or at the other, in turn,
//! and each pod has one live flow to it. A change closes that flow; the moment of its reset, by the clock that pods and test share,
//! is when the change was enforced there. The pod then opens the next flow to the other address, which the same document allows:
//! what leaves afterwards is seen to leave, and the pod is ready for the next change without asking anything again and again.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::{try_join, try_join_all};
use serde_json::{Value, json};
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::live::ECHO_PORT;
use shekara_e2e::measure::{self, Spread};
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::now;
use shekara_e2e::world::hosts::cast::ECHO;

const PODS: usize = 50;
const CHANGES: usize = 100;

/// What is promised.
const PROMISED: f64 = 1.0;

/// How long anything may take before the scenario gives up on it.
const LIMIT: Duration = Duration::from_secs(60);

/// When a pod enforced a change, and when its next flow had its first byte back.
struct Enforced {
    closed: f64,
    open: f64,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?;
    let addresses = [echo.any_v4()?, echo.any_v6()?];
    let endpoints = addresses.map(|address| {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        json!([{"network": format!("{address}/{bits}"), "ports": [ECHO_PORT], "protocol": "TCP"}])
    });
    let [first, second] = &endpoints;
    scenario.standard().await?;
    scenario.recipient("party", first.clone()).await?;
    scenario.holding(&["party"]).await?;
    let pods = scenario.fleet(PODS).await?;
    try_join_all(pods.iter().map(Client::has_our_clock)).await?;
    let program = flows(addresses);
    let mut talks = try_join_all(pods.iter().map(|pod| pod.talk(&program))).await?;
    try_join_all(talks.iter_mut().map(|talk| word(talk, "open", 0))).await?;

    let (begin, mut closed, mut open) = (now()?, Vec::new(), Vec::new());
    let turns = [second, first].into_iter().cycle();
    for (change, endpoints) in (0..CHANGES).zip(turns) {
        let (answered, enforced) =
            change_to(scenario, endpoints, &mut talks, change).await.with_context(|| format!("change {change}"))?;
        closed.extend(enforced.iter().map(|enforced| enforced.closed - answered));
        open.extend(enforced.iter().map(|enforced| enforced.open - answered));
    }
    measure::print(&format!("{CHANGES} policy changes in {PODS} pods"), format_args!("{:.1} s", now()? - begin));
    let (closed, open) = (Spread::of(closed)?, Spread::of(open)?);
    measure::print("a change was enforced after the API server's answer, over changes and pods", closed);
    measure::print("the next flow had an answer after the API server's answer, over changes and pods", open);
    ensure!(closed.p99 <= PROMISED, "one in a hundred was enforced after more than a second: {closed}");
    Ok(())
}

/// When the API server answered, and what came of the change in each pod.
async fn change_to(scenario: &Scenario, endpoints: &Value, talks: &mut [Talk], change: usize) -> Result<(f64, Vec<Enforced>)> {
    let answered = async {
        scenario.recipient("party", endpoints.clone()).await?;
        now()
    };
    try_join(answered, try_join_all(talks.iter_mut().map(|talk| enforced(talk, change)))).await
}

async fn enforced(talk: &mut Talk, change: usize) -> Result<Enforced> {
    Ok(Enforced { closed: word(talk, "closed", change).await?, open: word(talk, "open", change + 1).await? })
}

/// The time in the next line, which must say this of this flow.
async fn word(talk: &mut Talk, word: &str, flow: usize) -> Result<f64> {
    let line = talk.next(LIMIT).await.with_context(|| format!("waiting for {word:?} of flow {flow}"))?.text;
    let time = line.strip_prefix(&format!("{word} {flow} ")).and_then(|rest| rest.split(' ').next());
    time.with_context(|| format!("{word:?} of flow {flow} was expected: {line}"))?.parse().with_context(|| line.clone())
}

/// One flow at a time, to the two addresses in turn. The next is opened when the last was closed, and is not denied.
fn flows(addresses: [IpAddr; 2]) -> String {
    let [first, second] = addresses;
    format!(
        "import os, socket, time\n\
         def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())\n\
         flow = 0\n\
         while True:\n\
         \x20   try:\n\
         \x20       s = socket.create_connection((('{first}', '{second}')[flow % 2], {ECHO_PORT}), 10)\n\
         \x20       s.sendall(b'.')\n\
         \x20       if not s.recv(1): raise EOFError('end')\n\
         \x20   except (OSError, EOFError) as error:\n\
         \x20       say('denied', flow, time.time(), repr(error))\n\
         \x20       break\n\
         \x20   say('open', flow, time.time())\n\
         \x20   s.settimeout(None)\n\
         \x20   how = 'end'\n\
         \x20   try: s.recv(1)\n\
         \x20   except OSError as error: how = repr(error)\n\
         \x20   say('closed', flow, time.time(), how)\n\
         \x20   s.close()\n\
         \x20   flow += 1\n"
    )
}
