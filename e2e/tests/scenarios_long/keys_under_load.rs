//! The key that signs documents and the authority of the policy API are replaced while clients in several pods make requests at a
//! steady rate: no request fails, no flow is refused, and connections that are kept are not broken.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::json;
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::holdings::CONDITION;
use shekara_e2e::live::ECHO_PORT;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::records;
use shekara_e2e::scenario::{AUTHORITY, Scenario};
use shekara_e2e::wait::now;
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};
use shekara_policy::record::Decision;

const PODS: usize = 5;

/// The pause of a client between two requests, in seconds. There are three clients in a pod.
const PAUSE: f64 = 0.1;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"},
    ]);
    scenario.standard().await?;
    scenario.recipient("party", endpoints).await?;
    scenario.holding(&["party"]).await?;
    let pods = scenario.fleet(PODS).await?;
    let program = requests(echo);
    let mut talks = try_join_all(pods.iter().map(|pod| pod.talk(&program))).await?;
    let (begin, mut made) = (now()?, 0_u64);
    scenario
        .rotate_keys(i64::try_from(PODS)?, async || {
            made = try_join_all(talks.iter_mut().map(go_on)).await?.iter().sum();
            Ok(())
        })
        .await?;
    let seconds = now()? - begin;
    measure::print("requests while keys were replaced, none of which failed", format_args!("{made} within {seconds:.0} s"));
    for pod in &pods {
        nothing_refused(pod).await?;
    }
    Ok(())
}

/// No request of a pod has failed so far, and each of its clients makes more. Gives how many there were.
async fn go_on(talk: &mut Talk) -> Result<u64> {
    let begin = now()?;
    loop {
        let line = talk.next(CONDITION).await?.text;
        let words: Vec<&str> = line.split(' ').collect();
        let ["made", number, since] = words.as_slice() else { bail!("a request failed: {line}") };
        // every client has made some since then
        if since.parse::<f64>()? > begin {
            return Ok(number.parse()?);
        }
    }
}

async fn nothing_refused(pod: &Client) -> Result<()> {
    let denied: Vec<String> =
        pod.records().await?.iter().filter(|record| record.verdict == Decision::Deny).map(records::line).collect();
    ensure!(denied.is_empty(), "{} was refused: {}", pod.name, denied.join("\n"));
    Ok(())
}

/// Three clients, each with a request after the other: HTTPS over a new connection, HTTPS over one that is kept, and a byte over
/// an opaque connection of its own that comes back. Says every second how many requests there were, and since when each client
/// has made some.
fn requests(echo: IpAddr) -> String {
    format!(
        "import http.client, os, socket, ssl, threading, time\n\
         context = ssl.create_default_context(cafile='{AUTHORITY}')\n\
         def say(*words): os.write(1, (' '.join(map(str, words)) + '\\n').encode())\n\
         def ask(connection):\n\
         \x20   connection.request('GET', '/')\n\
         \x20   answer = connection.getresponse()\n\
         \x20   answer.read()\n\
         \x20   assert answer.status == 200, answer.status\n\
         def connect(): return http.client.HTTPSConnection('{CLINIC}', timeout=20, context=context)\n\
         kept = connect()\n\
         kept.connect()\n\
         kept.auto_open = 0\n\
         def anew():\n\
         \x20   connection = connect()\n\
         \x20   ask(connection)\n\
         \x20   connection.close()\n\
         def opaque():\n\
         \x20   with socket.create_connection(('{echo}', {ECHO_PORT}), 20) as s:\n\
         \x20       s.settimeout(20)\n\
         \x20       s.sendall(b'.')\n\
         \x20       assert s.recv(1) == b'.'\n\
         clients = [anew, lambda: ask(kept), opaque]\n\
         made, last = [0] * 3, [0] * 3\n\
         def run(number, client):\n\
         \x20   while True:\n\
         \x20       begin = time.time()\n\
         \x20       try: client()\n\
         \x20       except Exception as error: say('failed', number, begin, time.time(), repr(error))\n\
         \x20       made[number] += 1\n\
         \x20       last[number] = begin\n\
         \x20       time.sleep({PAUSE})\n\
         for number, client in enumerate(clients):\n\
         \x20   threading.Thread(target=run, args=(number, client)).start()\n\
         while True:\n\
         \x20   time.sleep(1)\n\
         \x20   say('made', sum(made), min(last))\n"
    )
}
