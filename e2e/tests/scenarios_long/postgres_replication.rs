//! A covered StatefulSet of PostgreSQL, Debian's: two members stream from the first, each found by its name, and a row that is
//! written there is read at both. An uncovered database of the same namespace is out of reach from all three.
//!
//! Closes 21 of the threat model for peers that replicate.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use shekara_e2e::measure;
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, now, until};
use shekara_e2e::world::hosts::cast::CLINIC;
use shekara_policy::Reason;

const MEMBERS: usize = 3;
const PORT: u16 = 5432;

/// How long the copies may take to stream once the members are ready, and a row to be read.
const COPY: Duration = Duration::from_secs(60);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let begin = now()?;
    let members = scenario.members(&database(scenario)?, PORT, MEMBERS).await?;
    let (first, copies) = members.split_first().context("there is no member")?;
    says(first, "select count(*) from pg_stat_replication where state = 'streaming'", &copies.len().to_string()).await?;
    measure::print("two PostgreSQL replicas streamed after they were created", format_args!("{:.1} s", now()? - begin));
    scenario.enforcing(i64::try_from(MEMBERS)? + 1).await?;

    query(first, "create table faces (id int); insert into faces values (4711)").await?;
    let written = now()?;
    for copy in copies {
        says(copy, "select id, pg_is_in_recovery() from faces", "4711|t").await?;
    }
    measure::print("a row was read at both replicas", format_args!("{:.0} ms after it was written", (now()? - written) * 1e3));
    // a client of the same holding reads it there as well, by the member's name
    for copy in copies {
        let server = format!("host={} user=postgres dbname=postgres connect_timeout=10", scenario.member_host("pg", &copy.name));
        let command = ["psql", &server, "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select id from faces"];
        let read = border.covered.run(&command).await?.success()?;
        ensure!(read.trim() == "4711", "{} says {read:?}", copy.name);
    }
    uncovered(scenario, &members, &border.free).await?;
    border.stands(scenario.world()?).await
}

/// The members, as the image is but for who may connect: the first with a database of its own, the others with a copy of it.
fn database(scenario: &Scenario) -> Result<Workload> {
    let (first, user) = (scenario.member_host("pg", "pg-0"), "setpriv --reuid=postgres --regid=postgres --init-groups");
    let program = format!(
        "set -eu\n\
         data=/var/lib/postgresql/15/main\n\
         printf '%s\\n' 'host replication postgres all trust' 'host all postgres all trust' >>/etc/postgresql/15/main/pg_hba.conf\n\
         if [ \"$HOSTNAME\" != pg-0 ]; then\n\
         \x20 rm -rf $data\n\
         \x20 until {user} pg_basebackup --host {first} --username postgres --pgdata $data --wal-method stream --write-recovery-conf; do\n\
         \x20   rm -rf $data\n\
         \x20   sleep 1\n\
         \x20 done\n\
         fi\n\
         exec pg_ctlcluster 15 main start --foreground\n"
    );
    Ok(Workload::new("pg", Cover::Covered).container(json!({
        "name": "postgresql", "image": scenario.images.get("postgresql")?, "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", program], "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    })))
}

/// A database that no holding covers is reached by an uncovered pod, and by no member; it says itself who has connected.
async fn uncovered(scenario: &Scenario, members: &[Client], free: &Client) -> Result<()> {
    let program =
        "echo 'log_connections = on' >/etc/postgresql/15/main/conf.d/log.conf && exec pg_ctlcluster 15 main start --foreground";
    let bare = Workload::new("bare", Cover::Free).container(json!({
        "name": "postgresql", "image": scenario.images.get("postgresql")?, "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", program], "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }));
    let bare = scenario.start(&bare).await?;
    let address = bare.v4()?;
    let ask = ["pg_isready", "--host", &address.to_string(), "--timeout", "5"].map(str::to_owned);
    for member in members {
        let denied = |record: &_| is_denial(record, Reason::InClusterUnlisted) && record.destination == Some(address);
        // until the operator knows of it, it is nobody
        until(&format!("{} is refused the uncovered database", member.name), COPY, async || {
            let refused = member.run(&ask).await?.failure()?;
            Ok(if member.records().await?.iter().any(denied) { Seen::Yes(()) } else { Seen::NotYet(refused.to_string()) })
        })
        .await?;
    }
    free.run(&ask).await?.success().context("the uncovered database takes nobody's connection")?;
    let seen = async |client: &Client| {
        let log = bare.log("postgresql").await?;
        let who: Vec<String> = client.addresses.iter().map(|address| format!("host={address} ")).collect();
        Ok::<_, anyhow::Error>(log.lines().any(|line| who.iter().any(|who| line.contains(who))))
    };
    until("the uncovered database says who has connected", COPY, async || {
        Ok(Seen::some_or(seen(free).await?.then_some(()), "nothing of the uncovered pod"))
    })
    .await?;
    for member in members {
        ensure!(!seen(member).await?, "the uncovered database has a connection of {}", member.name);
    }
    Ok(())
}

/// Waits until a query in a member's own shell has this answer.
async fn says(member: &Client, question: &str, answer: &str) -> Result<()> {
    until(&format!("{} answers {answer} to: {question}", member.name), COPY, async || {
        let said = member.run(&local(question)).await?;
        Ok(if said.succeeded() && said.stdout.trim() == answer { Seen::Yes(()) } else { Seen::NotYet(said.to_string()) })
    })
    .await
}

async fn query(member: &Client, question: &str) -> Result<String> {
    member.run(&local(question)).await?.success()
}

fn local(question: &str) -> Vec<String> {
    let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"];
    let psql = ["psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", question];
    user.iter().chain(&psql).map(|word| (*word).to_owned()).collect()
}
