//! A hostile application tries every way out that a container can try: in a covered pod nothing gets out, in an uncovered one every
//! row of its ways does. The program is `e2e/adversary/adversary.py`.
//!
//! Closes 1 to 10, 16 to 19, 21, 28 to 32, 36, 38 and 39 of the threat model, for what a program inside a pod can do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};
use shekara_e2e::clients::tcp;
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::{AUTHORITY_FOLDER, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{BROKER, CLINIC};
use shekara_e2e::world::sniffer::ARRIVAL;
use shekara_e2e::world::{Query, Sniffer, World};

/// The program, which is the same in the network namespaces of the sidecar's tests.
const PROGRAM: &str = include_str!("../../adversary/adversary.py");

/// Addresses where nobody is, one a way: what is sent there arrives in the world and is seen.
const STRANGERS: [&str; 2] = ["203.0.113.128/25", "2001:db8:adff::/64"];

/// The port of the relay.
const RELAY: u16 = 8080;

/// Rows whose ways need something that an uncovered pod does not have, or are seen by bytes, which the world's sniffer does not keep.
const UNSEEN: [u8; 4] = [7, 28, 29, 30];

/// A way that was tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    row: u8,
    way: String,
    addresses: Vec<IpAddr>,
    question: Option<String>,
    #[serde(rename = "marker")]
    _marker: String,
    answered: bool,
    said: String,
}

/// From when until when a pod tried, by the sniffer's clock.
struct Window {
    begin: f64,
    end: f64,
}

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let world = scenario.world()?;
    give_program(scenario).await?;
    let clinic = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"host": CLINIC, "ports": [80], "protocol": "HTTP"},
    ]);
    let broker = json!([{"host": BROKER, "ports": [1883], "protocol": "TCP"}]);
    let border = scenario.border(&[("clinic", clinic), ("broker", broker)]).await?;
    let relay = relay(scenario, &border.free).await?;
    let node = border.covered.object().await?.status.and_then(|status| status.host_ip).context("the pod has no node")?;
    let cluster = inside(&border.free, &node, &relay).await?;

    // the covered pod goes first: once what the free pod sent has been seen, everything before it has
    let begin = world.sniffer.clock().await?;
    let held = try_all(&border.covered, world, &cluster).await?;
    let between = world.sniffer.clock().await?;
    let able = try_all(&border.free, world, &cluster).await?;
    let free = Window { begin: between, end: f64::INFINITY };
    until("every row gets out of the free pod", ARRIVAL, async || {
        let closed = rows_that_are_closed(&world.sniffer, &border.free, &able, &free).await?;
        Ok(if closed.is_empty() { Seen::Yes(()) } else { Seen::NotYet(format!("{closed:?}")) })
    })
    .await?;

    let covered = Window { begin, end: between };
    let mut out = Vec::new();
    for tried in &held {
        let got_out = got_out(&world.sniffer, &border.covered, tried, &covered).await?;
        println!("{:>2} {:<60} {} {}", tried.row, tried.way, if got_out { "got out" } else { "closed" }, tried.said);
        out.extend(got_out.then_some(tried));
    }
    ensure!(out.is_empty(), "of a covered pod got out: {out:#?}");
    ensure!(held.len() == able.len(), "{} ways were tried in one pod and {} in the other", held.len(), able.len());
    border.stands(world).await
}

/// Puts the program where client pods find it.
async fn give_program(scenario: &Scenario) -> Result<()> {
    let data = json!({"data": {"adversary.py": PROGRAM}});
    scenario.api::<ConfigMap>().patch("authority", &PatchParams::default(), &Patch::Merge(&data)).await?;
    Ok(())
}

/// A pod that no holding covers, and that answers whoever asks.
async fn relay(scenario: &Scenario, free: &Client) -> Result<Client> {
    let container = scenario.client_container("client", &["python3", "-m", "http.server", &RELAY.to_string()])?;
    let relay = scenario.start(&Workload::new("relay", Cover::Free).container(container)).await?;
    let ask = tcp(relay.v4()?, RELAY);
    until("the relay answers", ARRIVAL, async || {
        let ran = free.python(&ask).await?;
        Ok(if ran.succeeded() { Seen::Yes(()) } else { Seen::NotYet(ran.to_string()) })
    })
    .await?;
    Ok(relay)
}

/// Places in the cluster and on the node, and the cluster's resolver.
async fn inside(free: &Client, node: &str, relay: &Client) -> Result<Value> {
    let program = "import json, os, re, socket\n\
        api = socket.getaddrinfo('shekara-policy.shekara-system.svc.cluster.local', 8443, socket.AF_INET)[0][4][0]\n\
        resolver = re.search(r'^nameserver (\\S+)', open('/etc/resolv.conf').read(), re.M)[1]\n\
        print(json.dumps([os.environ['KUBERNETES_SERVICE_HOST'], int(os.environ['KUBERNETES_SERVICE_PORT']), api, resolver]))\n";
    let (host, port, policy_api, resolver): (String, u16, String, String) =
        serde_json::from_str(&free.python(program).await?.success()?)?;
    Ok(json!({
        "resolver": resolver,
        "inside": {
            "an uncovered pod": [relay.v4()?, RELAY, "http"],
            "the API server": [host, port, "tls"],
            "the policy API": [policy_api, 8443, "tls"],
            "the kubelet": [node, 10250, "tls"],
        },
    }))
}

async fn try_all(client: &Client, world: &World, cluster: &Value) -> Result<Vec<Tried>> {
    let own = |is_wanted: fn(&IpAddr) -> bool| client.addresses.iter().copied().find(is_wanted);
    let (clinic, broker) = (world.hosts.get(CLINIC)?, world.hosts.get(BROKER)?);
    let mut targets = json!({
        "listed": {"name": CLINIC, "v4": clinic.any_v4()?, "v6": clinic.any_v6()?},
        "unlisted": "example.com",
        "strangers_v4": STRANGERS[0], "strangers_v6": STRANGERS[1],
        "foreign_resolver": world.hosts.resolver()?,
        "own": {"v4": own(IpAddr::is_ipv4), "v6": own(IpAddr::is_ipv6)},
        "opaque": [broker.any_v4()?, 1883],
        "sockets": ["/run/containerd/containerd.sock", "/var/run/docker.sock", "/run/crio/crio.sock", "/run/dbus/system_bus_socket"],
    });
    let fields = targets.as_object_mut().context("the targets are no object")?;
    // the names of the two pods' questions differ, so that one is not taken for the other's
    fields.insert("unlisted".into(), format!("{}.example.com", client.name).into());
    fields.extend(cluster.as_object().context("what is inside is no object")?.clone());
    let program = format!("{AUTHORITY_FOLDER}/adversary.py");
    let said = client.run(&["python3".to_owned(), program, targets.to_string()]).await?.success()?;
    said.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not a way: {line}"))).collect()
}

/// The rows of which no way got out, with what was said.
async fn rows_that_are_closed(
    sniffer: &Sniffer,
    client: &Client,
    able: &[Tried],
    window: &Window,
) -> Result<BTreeMap<u8, Vec<String>>> {
    let mut open = BTreeSet::new();
    for tried in able {
        if !open.contains(&tried.row) && got_out(sniffer, client, tried, window).await? {
            open.insert(tried.row);
        }
    }
    let mut closed: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for tried in able.iter().filter(|tried| !open.contains(&tried.row) && !UNSEEN.contains(&tried.row)) {
        closed.entry(tried.row).or_default().push(format!("{}: {}", tried.way, tried.said));
    }
    Ok(closed)
}

/// Whether an answer came back, or something arrived: at an address of the way's own, whoever it says it is from; at a host of the
/// world, from the pod; or the question, by whoever asked it for the pod.
async fn got_out(sniffer: &Sniffer, client: &Client, tried: &Tried, window: &Window) -> Result<bool> {
    if tried.answered {
        return Ok(true);
    }
    let since = Query { since: Some(window.begin), ..Query::default() };
    let mut queries: Vec<Query> = tried.question.iter().map(|name| Query { name: Some(name.clone()), ..since.clone() }).collect();
    for address in &tried.addresses {
        let at = Query { destination: Some(*address), ..since.clone() };
        if is_strangers(*address)? {
            queries.push(at);
        } else {
            queries.extend(client.addresses.iter().map(|own| Query { source: Some(*own), ..at.clone() }));
        }
    }
    for query in queries {
        if sniffer.packets(&query).await?.iter().any(|packet| packet.time < window.end) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_strangers(address: IpAddr) -> Result<bool> {
    for network in STRANGERS {
        if network.parse::<IpNet>()?.contains(&address) {
            return Ok(true);
        }
    }
    Ok(false)
}
