//! A recipient whose permit is withdrawn, and one that is deleted: live flows are closed and new ones are denied within a second
//! of the API server's answer.
//!
//! Closes 20 of the threat model.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;
use shekara_crds::Recipient;
use shekara_e2e::attempt::packets_at;
use shekara_e2e::exec::talk::Talk;
use shekara_e2e::holdings::{recipient_spec, with};
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{AUTHORITY, Border, Scenario};
use shekara_e2e::wait::{now, until};
use shekara_e2e::world::hosts::cast::{CLINIC, ECHO};
use shekara_policy::Reason;
use shekara_policy::record::End;
use tokio::time::timeout;

/// What is promised.
const PROMISED: f64 = 1.0;

/// How long anything may take before the scenario gives up on it.
const LIMIT: Duration = Duration::from_secs(30);

/// So many denials on end show that it stays closed.
const DENIALS: usize = 30;

/// The port on which the echo service listens.
const ECHO_PORT: u16 = 7;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"},
    ]);
    let border = scenario.border(&[("party", endpoints.clone())]).await?;
    border.covered.has_our_clock().await?;

    let without = with(recipient_spec(endpoints.clone()), "/permits", json!([]))?;
    let withdrawn = async { scenario.recipient_with("party", without).await.map(drop) };
    closes(scenario, &border, "permit withdrawn", Reason::NoPermit, withdrawn).await?;

    scenario.recipient("party", endpoints).await?;
    let deleted = async {
        let api: Api<Recipient> = Api::all(scenario.kube.clone());
        api.delete(&scenario.named("party"), &DeleteParams::default()).await?;
        Ok(())
    };
    closes(scenario, &border, "recipient deleted", Reason::UnlistedParty, deleted).await
}

/// Has an idle and a busy flow, and new ones all the time, while `revoke` is done.
async fn closes(
    scenario: &Scenario,
    border: &Border,
    what: &str,
    reason: Reason,
    revoke: impl Future<Output = Result<()>>,
) -> Result<()> {
    let world = scenario.world()?;
    let covered = &border.covered;
    opens(covered).await?;
    let mut idle = covered.talk(&idle_flow()).await?;
    let mut busy = covered.talk(&busy_flow(world.hosts.get(ECHO)?.any_v4()?)).await?;
    let mut fresh = covered.talk(&new_flows()).await?;
    for flow in [&mut idle, &mut busy] {
        flow.until("open", LIMIT).await?;
    }
    fresh.until("allowed", LIMIT).await?;

    let answered = async {
        revoke.await?;
        now()
    };
    let last = async { timeout(LIMIT, last_allowed(&mut fresh)).await.context("new flows are allowed all the time")? };
    let (answered, last) = try_join(answered, last).await?;
    for (kind, flow) in [("an idle TLS flow", &mut idle), ("a busy opaque flow", &mut busy)] {
        let closed: f64 = time(&flow.until("closed", LIMIT).await?.text)? - answered;
        measure::print(&format!("{what}: {kind} closed after the API server's answer"), format_args!("{:.0} ms", closed * 1e3));
        ensure!(closed <= PROMISED, "{what}: {kind} lived on for {closed:.2} s");
    }
    let last = last - answered;
    measure::print(
        &format!("{what}: the last new flow began after the API server's answer"),
        format_args!("{:.0} ms", last * 1e3),
    );
    ensure!(last <= PROMISED, "{what}: new flows were allowed for {last:.2} s");

    let since = world.sniffer.clock().await?;
    denied_on_end(&mut fresh).await?;
    for host in [CLINIC, ECHO] {
        let after = packets_at(&world.sniffer, covered, world.hosts.get(host)?, since).await?;
        ensure!(after.is_empty(), "{what}: {host} still sees the pod: {after:?}");
    }
    covered
        .record("the flow that was closed", |record| record.end == End::PolicyChanged && record.reason == Some(reason))
        .await?;
    covered.record("a new flow", |record| record.end == End::Refused && is_denial(record, reason)).await?;
    Ok(())
}

/// The holding was changed before: waits until flows pass.
async fn opens(covered: &Client) -> Result<()> {
    until("the clinic can be reached", LIMIT, async || {
        Ok(covered.run(&shekara_e2e::clients::curl(&format!("https://{CLINIC}/"))).await?.seen())
    })
    .await
}

/// When the last of the new flows began that was allowed: after it so many were denied on end.
async fn last_allowed(fresh: &mut Talk) -> Result<f64> {
    let (mut last, mut denials) = (0.0, 0);
    while denials < DENIALS {
        let line = fresh.next(LIMIT).await?.text;
        if line.starts_with("allowed") {
            (last, denials) = (time(&line)?, 0);
        } else {
            denials += 1;
        }
    }
    Ok(last)
}

async fn denied_on_end(fresh: &mut Talk) -> Result<()> {
    for _ in 0..DENIALS {
        let line = fresh.next(LIMIT).await?.text;
        ensure!(line.starts_with("denied"), "a new flow was allowed again: {line}");
    }
    Ok(())
}

/// The time in a line such as `closed 1764000000.25 ConnectionResetError`.
fn time(line: &str) -> Result<f64> {
    let word = line.split_whitespace().nth(1).with_context(|| format!("no time in {line:?}"))?;
    word.parse().with_context(|| format!("no time in {line:?}"))
}

/// Opens a connection to the clinic, has one answer, and waits until it is closed.
fn idle_flow() -> String {
    format!(
        "import socket, ssl, time\n\
         context = ssl.create_default_context(cafile='{AUTHORITY}')\n\
         s = context.wrap_socket(socket.create_connection(('{CLINIC}', 443), 10), server_hostname='{CLINIC}')\n\
         s.sendall(b'GET / HTTP/1.1\\r\\nHost: {CLINIC}\\r\\n\\r\\n')\n\
         assert s.recv(1)\n\
         print('open')\n\
         s.settimeout(30)\n\
         try:\n\
         \x20   while s.recv(65536): pass\n\
         \x20   how = 'end'\n\
         except TimeoutError:\n\
         \x20   raise\n\
         except OSError as error:\n\
         \x20   how = type(error).__name__\n\
         print('closed', time.time(), how)\n"
    )
}

/// Sends a byte and waits for it to come back, again and again, until that fails.
fn busy_flow(echo: std::net::IpAddr) -> String {
    format!(
        "import socket, time\n\
         s = socket.create_connection(('{echo}', {ECHO_PORT}), 10)\n\
         s.settimeout(30)\n\
         how, first = 'end', True\n\
         try:\n\
         \x20   s.sendall(b'.')\n\
         \x20   while s.recv(1):\n\
         \x20       if first: print('open')\n\
         \x20       first = False\n\
         \x20       time.sleep(0.01)\n\
         \x20       s.sendall(b'.')\n\
         except TimeoutError:\n\
         \x20   raise\n\
         except OSError as error:\n\
         \x20   how = type(error).__name__\n\
         print('closed', time.time(), how)\n"
    )
}

/// Opens a connection to the clinic's address again and again, and says when it began and whether a handshake came of it.
fn new_flows() -> String {
    format!(
        "import socket, ssl, time\n\
         context = ssl.create_default_context(cafile='{AUTHORITY}')\n\
         address = socket.getaddrinfo('{CLINIC}', 443, type=socket.SOCK_STREAM)[0][4]\n\
         while True:\n\
         \x20   begin = time.time()\n\
         \x20   try:\n\
         \x20       context.wrap_socket(socket.create_connection(address[:2], 10), server_hostname='{CLINIC}').close()\n\
         \x20       print('allowed', begin)\n\
         \x20   except OSError as error:\n\
         \x20       print('denied', begin, type(error).__name__)\n\
         \x20   time.sleep(0.02)\n"
    )
}
