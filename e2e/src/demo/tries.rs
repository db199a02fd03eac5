//! What the clients of the demo try, and what is expected of it.

mod outcome;

use std::net::IpAddr;

use anyhow::Result;
use shekara_policy::Reason;
use shekara_policy::flow::Protocol;

use super::stage::{GATEWAY, KIOSK, Part, RECOGNIZER};
use crate::attempt::{Arrival, Attempt, POD};
use crate::clients::{curl_at, curl_with, ping, psql, publish, udp};
use crate::world::World;
use crate::world::hosts::cast::{ADS, BROKER, CLINIC, DATABASE, ECHO, MAPS, VENDOR};
pub(super) use outcome::Outcome;

/// Something that a client tries.
pub(super) struct Try {
    client: Part,
    attempt: Attempt,
    /// The country of the destination.
    country: String,
    /// Protocol and name in the record that it leaves behind; none where the sidecar writes none.
    record: Option<(Protocol, Option<String>)>,
    expected: Expected,
}

/// What is expected of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is allowed, and the destination sees it.
    Allow,
    /// It is allowed, and goes to one of these addresses, where the name leads, instead of the one that the client chose.
    AllowElsewhere(Vec<IpAddr>),
    /// It is denied, and the destination sees nothing.
    Deny(Reason),
    /// Its datagram is counted by the sidecar, and the destination sees nothing.
    DenyDatagram,
    /// The packet filter drops it, and the destination sees nothing.
    Drop,
    /// No holding covers the client, so nobody judges it, and the destination sees it.
    Unjudged,
}

/// Every try, in the order of the table.
pub(super) fn all(world: &World) -> Result<Vec<Try>> {
    let tries = [recognizer(world)?, recognizer_otherwise(world)?, gateway(world)?];
    let kiosk = https(world, KIOSK, ADS)?;
    Ok(tries.into_iter().flatten().chain([kiosk]).collect())
}

/// Face recognition, by name and by address.
fn recognizer(world: &World) -> Result<Vec<Try>> {
    let clinic = world.hosts.get(CLINIC)?.addresses.iter().map(|placed| placed.address).collect();
    let (ads, maps) = (address(world, ADS)?, address(world, MAPS)?);
    let nameless = curl_with(&format!("https://{ads}/"), &["--insecure"]);
    let elsewhere = curl_at(&format!("https://{CLINIC}/"), CLINIC, 443, maps);
    let here = RECOGNIZER;
    Ok(vec![
        https(world, here, CLINIC)?.record(Protocol::Tls, CLINIC).expect(Expected::Allow),
        https(world, here, ADS)?.record(Protocol::Dns, ADS).expect(Expected::Deny(Reason::UnlistedQuestion)),
        without_dns(world, here, ADS)?.record(Protocol::Tls, ADS).expect(Expected::Deny(Reason::UnlistedParty)),
        without_dns(world, here, MAPS)?.record(Protocol::Tls, MAPS).expect(Expected::Deny(Reason::UnlistedParty)),
        Try::tcp(world, here, MAPS, format!("{maps} called {CLINIC}"), &elsewhere)?
            .record(Protocol::Tls, CLINIC)
            .expect(Expected::AllowElsewhere(clinic)),
        Try::tcp(world, here, ADS, format!("https://{ads}"), &nameless)?
            .nameless_record(Protocol::Tls)
            .expect(Expected::Deny(Reason::NoName)),
    ])
}

/// Face recognition, round the proxy.
fn recognizer_otherwise(world: &World) -> Result<Vec<Try>> {
    let echo = address(world, ECHO)?;
    let question = format!("{POD}.{ADS}");
    let dig = ["dig", "+tries=1", "+time=5", "+short", &question];
    let by =
        |arrival, host, what: &str, command: &[&str]| Try::new(world, RECOGNIZER, host, Attempt::new(what, command, arrival));
    let packet = |protocol| Arrival::Packet(echo, protocol);
    Ok(vec![
        by(Arrival::Question(question.clone()), ADS, &format!("DNS question for …{ADS}"), &dig)?
            .record(Protocol::Dns, &question)
            .expect(Expected::Deny(Reason::UnlistedQuestion)),
        by(packet("udp"), ECHO, &format!("UDP to {ECHO}"), &["python3", "-c", &udp(echo, 7)])?.expect(Expected::DenyDatagram),
        by(packet("icmp"), ECHO, &format!("ICMP to {ECHO}"), &["python3", "-c", &ping(echo)])?.expect(Expected::Drop),
    ])
}

/// The backend of the vehicles.
fn gateway(world: &World) -> Result<Vec<Try>> {
    let mqtt = |host, port| {
        let scheme = if port == 8883 { "mqtts" } else { "mqtt" };
        Try::tcp(world, GATEWAY, host, format!("{scheme}://{host}"), &publish(host, port, "demo", "position"))
    };
    Ok(vec![
        mqtt(BROKER, 8883)?.record(Protocol::Tls, BROKER).expect(Expected::Allow),
        mqtt(VENDOR, 8883)?.record(Protocol::Tls, VENDOR).expect(Expected::Deny(Reason::CrossBorder)),
        mqtt(VENDOR, 1883)?.record(Protocol::Tcp, VENDOR).expect(Expected::Deny(Reason::CrossBorder)),
        Try::tcp(world, GATEWAY, DATABASE, format!("postgresql://{DATABASE}"), &psql(DATABASE))?
            .record(Protocol::Tcp, DATABASE)
            .expect(Expected::Allow),
        // none of its recipients listens on this port, so no byte is read
        without_dns(world, GATEWAY, CLINIC)?.nameless_record(Protocol::Tcp).expect(Expected::Deny(Reason::UnlistedParty)),
    ])
}

fn https(world: &World, client: Part, host: &str) -> Result<Try> {
    let url = format!("https://{host}");
    Try::tcp(world, client, host, url.clone(), &curl_with(&url, &["--ipv4"]))
}

fn without_dns(world: &World, client: Part, host: &str) -> Result<Try> {
    let url = format!("https://{host}");
    Try::tcp(world, client, host, format!("{url} without DNS"), &curl_at(&url, host, 443, address(world, host)?))
}

fn address(world: &World, host: &str) -> Result<IpAddr> {
    world.hosts.get(host)?.any_v4()
}

impl Try {
    fn tcp(world: &World, client: Part, host: &str, what: String, command: &[String]) -> Result<Self> {
        Self::new(world, client, host, Attempt::host(what, command, world.hosts.get(host)?))
    }

    fn new(world: &World, client: Part, host: &str, attempt: Attempt) -> Result<Self> {
        let there = address(world, host)?;
        let placed = world.hosts.places().into_iter().find(|placed| placed.address == there);
        let country = placed.map(|placed| placed.country.clone()).unwrap_or_default();
        Ok(Self { client, attempt, country, record: None, expected: Expected::Unjudged })
    }

    fn record(self, protocol: Protocol, name: &str) -> Self {
        Self { record: Some((protocol, Some(name.to_owned()))), ..self }
    }

    fn nameless_record(self, protocol: Protocol) -> Self {
        Self { record: Some((protocol, None)), ..self }
    }

    fn expect(self, expected: Expected) -> Self {
        Self { expected, ..self }
    }
}
