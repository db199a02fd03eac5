//! Stock servers that start as root and change their user run covered and serve: Debian's nginx, PostgreSQL, Redis and mosquitto.
//! Whichever user a process takes, the sidecar's own among them, nothing that is not listed gets out.
//!
//! Closes 9 of the threat model.

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed};
use shekara_e2e::clients::{curl_with, publish};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::world::hosts::cast::{ADS, CLINIC};

/// A server: the name of its image, its port, and the user that it changes to.
const SERVERS: [(&str, u16, &str); 4] =
    [("nginx", 80, "www-data"), ("postgresql", 5432, "postgres"), ("redis", 6379, "redis"), ("mosquitto", 1883, "mosquitto")];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.recipient("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}])).await?;
    scenario.holding(&["clinic"]).await?;
    let servers = serve_covered(scenario).await?;
    scenario.enforcing(i64::try_from(SERVERS.len())?).await?;
    let control = start(scenario, "nginx", 80, Cover::Free).await?;
    let covered = servers.first().context("there is no server")?;
    as_any_user(scenario, covered, &control).await
}

/// The servers as covered pods, each of which serves and has changed its user.
pub(super) async fn serve_covered(scenario: &Scenario) -> Result<Vec<Client>> {
    let started = try_join_all(SERVERS.map(|(image, port, _)| start(scenario, image, port, Cover::Covered)));
    let (servers, client) = futures::future::try_join(started, scenario.client("client", Cover::Free)).await?;
    for ((image, _, user), server) in SERVERS.iter().zip(&servers) {
        serves(image, server, &client).await.with_context(|| format!("{image} does not serve"))?;
        changed_user(server, user).await?;
    }
    Ok(servers)
}

async fn start(scenario: &Scenario, image: &str, port: u16, cover: Cover) -> Result<Client> {
    let name = format!("{}{image}", if cover == Cover::Free { "free-" } else { "" });
    scenario.start(&Workload::new(&name, cover).serving(image, scenario.images.get(image)?, port)).await
}

/// A client elsewhere in the cluster is served.
async fn serves(image: &str, server: &Client, client: &Client) -> Result<()> {
    let address = server.v4()?.to_string();
    let (command, expected) = match image {
        "nginx" => (curl_with(&format!("http://{address}/"), &[]), "200"),
        "postgresql" => (["pg_isready", "--host", &address].map(str::to_owned).into(), "accepting connections"),
        "redis" => (["redis-cli", "-h", &address, "ping"].map(str::to_owned).into(), "PONG"),
        _ => (publish(&address, 1883, "served", "here"), ""),
    };
    let said = client.run(&command).await?.success()?;
    ensure!(said.contains(expected), "it says {said:?}");
    Ok(())
}

/// One of its processes runs as the user that the server changes to.
async fn changed_user(server: &Client, user: &str) -> Result<()> {
    let program = "cat /proc/[0-9]*/status | grep --quiet --perl-regexp \"^Uid:\\t$(id --user \"$1\")\\t\"";
    server.run(&["sh", "-c", program, "sh", user]).await?.success().map(drop)
}

/// What the image has to dial with, as root (the user of the proxy), as the user of the proof, and as the server's own.
async fn as_any_user(scenario: &Scenario, covered: &Client, control: &Client) -> Result<()> {
    let world = scenario.world()?;
    let ads = world.hosts.get(ADS)?.any_v4()?;
    let dial = format!(
        "exec 3<>/dev/tcp/{ads}/80 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && [ \"$(timeout 5 head --bytes 1 <&3 | wc --bytes)\" = 1 ]"
    );
    let attempt = |user: &str| {
        let command = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "bash", "-c", &dial];
        Attempt::new(format!("TCP as user {user}"), &command, Arrival::Packet(ads, "tcp"))
    };
    let attempts = ["0", "65532", "33"].map(attempt);
    for outcome in all_closed(&world.sniffer, covered, control, &attempts).await? {
        outcome.failure()?;
    }
    Ok(())
}
