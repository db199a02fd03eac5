//! Attempts to get out, made in a covered pod and in one that no holding covers.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};

use crate::exec::Ran;
use crate::pods::Client;
use crate::wait::{Seen, until};
use crate::world::sniffer::ARRIVAL;
use crate::world::{Host, Packet, Query, Sniffer};

/// What stands for the pod's name in a command and in the name of a DNS question, so that the questions of pods differ.
pub const POD: &str = "{pod}";

/// A way to get something out, and how its arrival is seen.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it is, in words.
    pub what: String,
    /// The command.
    pub command: Vec<String>,
    /// Where something arrives when it works.
    pub arrival: Arrival,
}

/// Where something arrives.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A packet of a protocol at an address, from the pod itself.
    Packet(IpAddr, &'static str),
    /// TCP at any of the addresses of a host, from the pod itself.
    Host(Vec<IpAddr>),
    /// A DNS question for a name, from whoever asks for the pod.
    Question(String),
}

impl Attempt {
    /// An attempt by a command.
    #[must_use]
    pub fn new(what: impl Into<String>, command: &[impl AsRef<str>], arrival: Arrival) -> Self {
        Self { what: what.into(), command: command.iter().map(|argument| argument.as_ref().to_owned()).collect(), arrival }
    }

    /// An attempt by a program of Python.
    #[must_use]
    pub fn python(what: impl Into<String>, program: &str, arrival: Arrival) -> Self {
        Self::new(what, &["python3", "-c", program], arrival)
    }

    /// An attempt to reach a host over TCP.
    #[must_use]
    pub fn host(what: impl Into<String>, command: &[impl AsRef<str>], host: &Host) -> Self {
        Self::new(what, command, Arrival::Host(host.addresses.iter().map(|placed| placed.address).collect()))
    }

    /// Makes the attempt.
    ///
    /// # Errors
    /// When the command cannot be run to its end.
    pub async fn make(&self, client: &Client) -> Result<Ran> {
        let command: Vec<String> = self.command.iter().map(|argument| argument.replace(POD, &client.name)).collect();
        client.run(&command).await.with_context(|| format!("attempt by {}", self.what))
    }

    fn queries(&self, client: &Client, since: f64) -> Vec<Query> {
        let packets = |destination: &IpAddr, protocol: &str| -> Vec<Query> {
            let family = client.addresses.iter().filter(|address| address.is_ipv4() == destination.is_ipv4());
            let query = |source: &IpAddr| Query {
                source: Some(*source),
                destination: Some(*destination),
                protocol: Some(protocol.to_owned()),
                since: Some(since),
                name: None,
            };
            family.map(query).collect()
        };
        match &self.arrival {
            Arrival::Question(name) => {
                vec![Query { name: Some(name.replace(POD, &client.name)), since: Some(since), ..Query::default() }]
            }
            Arrival::Packet(destination, protocol) => packets(destination, protocol),
            Arrival::Host(addresses) => addresses.iter().flat_map(|address| packets(address, "tcp")).collect(),
        }
    }
}

/// Asserts that each attempt gets nothing out of the covered pod, while the same attempt gets out of the free one. Gives what
/// the covered pod's commands said.
///
/// The covered pod goes first: once the free pod's packet is seen, everything that arrived before it has been seen as well.
///
/// # Errors
/// When something of the covered pod arrived, or nothing of the free pod.
pub async fn all_closed(sniffer: &Sniffer, covered: &Client, free: &Client, attempts: &[Attempt]) -> Result<Vec<Ran>> {
    let mut outcomes = Vec::new();
    for attempt in attempts {
        outcomes.push(closed(sniffer, covered, free, attempt).await?);
    }
    Ok(outcomes)
}

async fn closed(sniffer: &Sniffer, covered: &Client, free: &Client, attempt: &Attempt) -> Result<Ran> {
    let since = sniffer.clock().await?;
    let outcome = attempt.make(covered).await?;
    let control = attempt.make(free).await?;
    let seen = arrives(sniffer, free, attempt, since).await;
    seen.with_context(|| format!("the attempt proves nothing, since it does not work: {control}"))?;
    let leaked = arrived(sniffer, covered, attempt, since).await?;
    ensure!(leaked.is_empty(), "{} got out of a covered pod: {leaked:?}; {outcome}", attempt.what);
    Ok(outcome)
}

/// Waits until something of an attempt has arrived since a time of the sniffer's clock.
///
/// # Errors
/// When nothing has.
pub async fn arrives(sniffer: &Sniffer, client: &Client, attempt: &Attempt, since: f64) -> Result<()> {
    until(&format!("{} by {} arrives", attempt.what, client.name), ARRIVAL, async || {
        let packets = arrived(sniffer, client, attempt, since).await?;
        Ok(if packets.is_empty() { Seen::NotYet(format!("nothing at {:?}", attempt.arrival)) } else { Seen::Yes(()) })
    })
    .await
}

/// What of an attempt has arrived since a time of the sniffer's clock.
///
/// # Errors
/// When the sniffer does not answer.
pub async fn arrived(sniffer: &Sniffer, client: &Client, attempt: &Attempt, since: f64) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    for query in attempt.queries(client, since) {
        packets.extend(sniffer.packets(&query).await?);
    }
    Ok(packets)
}

/// The packets from a pod that arrived at an address since a time of the sniffer's clock.
///
/// # Errors
/// When the sniffer does not answer.
pub async fn packets_from(sniffer: &Sniffer, client: &Client, destination: IpAddr, since: f64) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    for source in &client.addresses {
        let query = Query { source: Some(*source), destination: Some(destination), since: Some(since), ..Query::default() };
        packets.extend(sniffer.packets(&query).await?);
    }
    Ok(packets)
}

/// The packets from a pod that arrived at any address of a host since a time of the sniffer's clock.
///
/// # Errors
/// When the sniffer does not answer.
pub async fn packets_at(sniffer: &Sniffer, client: &Client, host: &Host, since: f64) -> Result<Vec<Packet>> {
    let mut packets = Vec::new();
    for placed in &host.addresses {
        packets.extend(packets_from(sniffer, client, placed.address, since).await?);
    }
    Ok(packets)
}
