//! A recipient to whom two hundred flows live, of twenty pods, loses its permit, and later its endpoints: all of them are closed
//! within a second of the API server's answer, and none of those to another recipient.
//!
//! Closes 20 of the threat model, for many flows at once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::{try_join, try_join_all};
use serde_json::{Value, json};
use shekara_e2e::attempt::{packets_at, packets_from};
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::holdings::{recipient_spec, with};
use shekara_e2e::live::ECHO_PORT;
use shekara_e2e::measure::{self, Spread};
use shekara_e2e::pods::Client;
use shekara_e2e::scenario::{AUTHORITY, Scenario};
use shekara_e2e::wait::{Seen, now, until};
use shekara_e2e::world::World;
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};
use shekara_policy::Reason;
use shekara_policy::record::End;

const PODS: usize = 20;

/// How many flows of a pod are closed, half of them TLS to the clinic, half of them opaque to the echo service.
const CLOSED: usize = 10;

/// How many flows of a pod go to the other recipient, which keeps its permit.
const KEPT: usize = 2;

/// What is promised.
const PROMISED: f64 = 1.0;

/// How long anything may take before the scenario gives up on it.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?;
    let (closed, kept) = (echo.any_v4()?, echo.any_v6()?);
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"network": format!("{closed}/32"), "ports": [ECHO_PORT], "protocol": "TCP"},
    ]);
    scenario.standard().await?;
    scenario.recipient("party", endpoints.clone()).await?;
    scenario.recipient("other", json!([{"network": format!("{kept}/128"), "ports": [ECHO_PORT], "protocol": "TCP"}])).await?;
    scenario.holding(&["party", "other"]).await?;
    let pods = scenario.fleet(PODS).await?;
    try_join_all(pods.iter().map(Client::has_our_clock)).await?;
    let program = flows(closed, kept);
    let mut talks = try_join_all(pods.iter().map(|pod| pod.talk(&program))).await?;
    try_join_all(talks.iter_mut().map(|talk| opened(talk, CLOSED + KEPT))).await?;

    let whole = recipient_spec(endpoints);
    let unpermitted = with(whole.clone(), "/permits", json!([]))?;
    closes(scenario, &pods, &mut talks, "permit withdrawn", Reason::NoPermit, unpermitted).await?;
    scenario.recipient_with("party", whole.clone()).await?;
    try_join_all(talks.iter_mut().map(|talk| opened(talk, CLOSED))).await?;
    let elsewhere = with(whole, "/endpoints", json!([{"host": "elsewhere.example.kz", "ports": [443], "protocol": "TLS"}]))?;
    closes(scenario, &pods, &mut talks, "endpoints taken away", Reason::UnlistedParty, elsewhere).await
}

/// The recipient becomes another one: its flows are closed, the others go on, and nothing more arrives.
async fn closes(scenario: &Scenario, pods: &[Client], talks: &mut [Talk], what: &str, reason: Reason, spec: Value) -> Result<()> {
    let answered = async {
        scenario.recipient_with("party", spec).await?;
        now()
    };
    let closings = try_join_all(talks.iter_mut().map(closings));
    let (answered, closings) = try_join(answered, closings).await.with_context(|| what.to_owned())?;
    let spread = Spread::of(closings.iter().flatten().map(|time| time - answered).collect())?;
    measure::print(&format!("{what}: flows of {PODS} pods closed after the API server's answer"), spread);
    ensure!(spread.max <= PROMISED, "{what}: a flow lived on for {:.2} s", spread.max);

    let world = scenario.world()?;
    let since = world.sniffer.clock().await?;
    try_join_all(talks.iter_mut().map(others_go_on)).await.with_context(|| what.to_owned())?;
    for pod in pods {
        silent(world, pod, since).await.with_context(|| what.to_owned())?;
        told(pod, reason).await.with_context(|| what.to_owned())?;
    }
    Ok(())
}

/// Waits until so many flows of a pod have carried their first bytes.
async fn opened(talk: &mut Talk, flows: usize) -> Result<()> {
    let mut open = 0;
    while open < flows {
        let line = talk.next(LIMIT).await?.text;
        ensure!(!line.starts_with("closed") && !line.starts_with("lost"), "a flow was closed: {line}");
        open += usize::from(line.starts_with("open"));
    }
    Ok(())
}

/// When each of the flows of a pod was closed that had to be.
async fn closings(talk: &mut Talk) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    while times.len() < CLOSED {
        let line = talk.next(LIMIT).await.with_context(|| format!("{} of {CLOSED} flows were closed", times.len()))?.text;
        match line.split(' ').next() {
            Some("closed") => times.push(time(&line)?),
            Some("back") => {}
            _ => bail!("unexpected: {line}"),
        }
    }
    Ok(times)
}

/// Every flow to the other recipient carries something from now on, and none was closed.
async fn others_go_on(talk: &mut Talk) -> Result<()> {
    let (begin, mut alive) = (now()?, BTreeSet::new());
    while alive.len() < KEPT {
        let line = talk.next(LIMIT).await?.text;
        ensure!(line.starts_with("back"), "unexpected: {line}");
        if time(&line)? > begin {
            alive.insert(line.split(' ').nth(1).map(str::to_owned));
        }
    }
    Ok(())
}

/// Nothing of the pod arrives where its flows went.
async fn silent(world: &World, pod: &Client, since: f64) -> Result<()> {
    let clinic = packets_at(&world.sniffer, pod, world.hosts.get(CLINIC)?, since).await?;
    ensure!(clinic.is_empty(), "{CLINIC} still sees {}: {clinic:?}", pod.name);
    let echo = world.hosts.get(ECHO)?;
    let closed = packets_from(&world.sniffer, pod, echo.any_v4()?, since).await?;
    ensure!(closed.is_empty(), "{ECHO} still sees {}: {closed:?}", pod.name);
    Ok(())
}

/// The records say of each flow that was closed why, and of no other.
async fn told(pod: &Client, reason: Reason) -> Result<()> {
    until(&format!("{CLOSED} flows of {} ended with {reason}", pod.name), LIMIT, async || {
        let records = pod.records().await?;
        let ended = records.iter().filter(|record| record.end == End::PolicyChanged && record.reason == Some(reason)).count();
        ensure!(ended <= CLOSED, "{} flows of {} ended with {reason}", ended, pod.name);
        Ok(Seen::some_or((ended == CLOSED).then_some(()), ended))
    })
    .await
}

/// The time in a line such as `closed 7 1764000000.25 ConnectionResetError`.
fn time(line: &str) -> Result<f64> {
    let word = line.split(' ').nth(2).with_context(|| format!("no time in {line:?}"))?;
    word.parse().with_context(|| format!("no time in {line:?}"))
}

/// All flows of a pod. Each exchanges something every half second, says so where it is to be kept, and is opened again and again
/// after it was closed.
fn flows(closed: IpAddr, kept: IpAddr) -> String {
    format!(
        "import os, select, socket, ssl, threading, time\n\
         context = ssl.create_default_context(cafile='{AUTHORITY}')\n\
         clinic = socket.getaddrinfo('{CLINIC}', 443, type=socket.SOCK_STREAM)[0][4][:2]\n\
         def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())\n\
         def tls(): return context.wrap_socket(socket.create_connection(clinic, 10), server_hostname='{CLINIC}')\n\
         def opaque(): return socket.create_connection(('{closed}', {ECHO_PORT}), 10)\n\
         def other(): return socket.create_connection(('{kept}', {ECHO_PORT}), 10)\n\
         def exchange(s, ask):\n\
         \x20   s.sendall(ask)\n\
         \x20   if not s.recv(65536): raise EOFError('end')\n\
         def flow(number, connect, ask):\n\
         \x20   kept = connect is other\n\
         \x20   while True:\n\
         \x20       try:\n\
         \x20           s = connect()\n\
         \x20           s.settimeout(30)\n\
         \x20           exchange(s, ask)\n\
         \x20       except (OSError, EOFError) as error:\n\
         \x20           if kept: say('lost', number, time.time(), repr(error))\n\
         \x20           time.sleep(1)\n\
         \x20           continue\n\
         \x20       say('open', number)\n\
         \x20       try:\n\
         \x20           while True:\n\
         \x20               # what comes in the pause is its end, which is not to be noticed late\n\
         \x20               if select.select([s], [], [], 0.5)[0]:\n\
         \x20                   if not s.recv(65536): raise EOFError('end')\n\
         \x20               exchange(s, ask)\n\
         \x20               if kept: say('back', number, time.time())\n\
         \x20       except (OSError, EOFError) as error:\n\
         \x20           say('lost' if kept else 'closed', number, time.time(), repr(error))\n\
         \x20       s.close()\n\
         get = b'GET / HTTP/1.1\\r\\nHost: {CLINIC}\\r\\n\\r\\n'\n\
         kinds = [(tls, get)] * {tls} + [(opaque, b'.')] * {opaque} + [(other, b'.')] * {KEPT}\n\
         for number, (connect, ask) in enumerate(kinds):\n\
         \x20   threading.Thread(target=flow, args=(number, connect, ask)).start()\n",
        tls = CLOSED / 2,
        opaque = CLOSED - CLOSED / 2,
    )
}
