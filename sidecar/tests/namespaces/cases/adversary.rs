//! A hostile application that tries every way out: proven able where nothing holds it, and then held.

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::actor::Actor;
use crate::client;
use crate::document::document;
use crate::namespace::ip;
use crate::place::{POD, Place};
use crate::policy_api::{self, PolicyApi};
use crate::sniffer::Packet;
use crate::world::{BROKER, CLINIC, ECHO, HTTP, HTTPS, METADATA, OTHER_RESOLVER, POLICY_API, PRIVATE, RESOLVER, SHOP, STRANGER};

/// The program, which is the same on a real cluster.
const PROGRAM: &str = include_str!("../../../../e2e/adversary/adversary.py");

/// The node, at the other end of the pod's cable.
const NODE: &str = "10.244.1.1";

/// The port of the pod to which somebody outside sends datagrams.
const KNOCKED: u16 = 6007;

/// Times that the ways are tried again.
const ATTEMPTS: usize = 3;

/// What leads nowhere here, whoever tries: a hole would have to be made first.
const HOLES: [&str; 8] = [
    // without the capabilities that go with it, a namespace of one's own opens nothing
    "the mark in a user namespace of its own",
    "a network namespace of its own",
    "the network namespace of another process",
    "the sidecar's process",
    "AF_VSOCK",
    // over IPv4 Linux looks for the sender's address among its own before it routes
    "a connection in the name of a host outside",
    "UDP in the name of a host outside",
    // what is answered to a listener of IPv4 goes through loopback
    "the same with data in the first packet",
];

/// The rows whose ways lead through the sidecar, which is not there before the filter is.
const OF_THE_SIDECAR: [u8; 1] = [29];

/// A way that was tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    row: u8,
    way: String,
    addresses: Vec<IpAddr>,
    question: Option<String>,
    marker: String,
    answered: bool,
    said: String,
}

impl Tried {
    fn got_out(&self, packets: &[Packet], questions: &[String]) -> bool {
        let marker = bytes(&self.marker);
        let carries = |packet: &Packet| packet.payload.windows(marker.len()).any(|window| window == marker);
        let arrived = packets.iter().any(|packet| self.addresses.contains(&packet.to) || carries(packet));
        self.answered || arrived || self.question.as_ref().is_some_and(|question| questions.contains(question))
    }

    /// Whether this kernel does not know how.
    fn cannot_be_tried(&self) -> bool {
        self.said.contains("not supported")
    }
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[tokio::test]
async fn nothing_that_an_adversary_tries_gets_out() {
    nothing_gets_out(Place::open(), &[Actor::App, Actor::RootApp]).await;
}

#[tokio::test]
async fn nothing_that_an_adversary_tries_gets_out_where_the_sidecar_is_known_by_its_user() {
    nothing_gets_out(Place::by_user(), &[Actor::RestrictedApp]).await;
}

async fn nothing_gets_out(mut place: Place, actors: &[Actor]) {
    let _world = around(&place);
    place.api = Some(PolicyApi::start(&place.world, &[document()]));
    let able = able(&place).await;
    let rows: BTreeSet<u8> = able.iter().map(|(tried, _)| tried.row).collect();
    println!("{} ways of {} rows lead out without the filter", able.iter().filter(|(_, out)| *out).count(), rows.len());

    place.init().await;
    place.run();
    place.ready().await;
    for actor in actors {
        let tried = try_all(&place, *actor).await;
        assert_eq!(tried.len(), able.len());
        let out: Vec<&Tried> = tried.iter().filter(|(_, out)| *out).map(|(tried, _)| tried).collect();
        assert!(out.is_empty(), "{actor:?} got out: {out:#?}");
    }
    assert!(place.sidecar().is_running());
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
}

fn is_excused(tried: &Tried) -> bool {
    HOLES.contains(&tried.way.as_str()) || OF_THE_SIDECAR.contains(&tried.row) || tried.cannot_be_tried()
}

/// Tries every way where nothing holds it. A way that was too slow for its own patience on a busy machine is tried again, since one
/// time is enough to be able.
async fn able(place: &Place) -> Vec<(Tried, bool)> {
    let mut able = try_all(place, Actor::Anybody).await;
    for _ in 0..ATTEMPTS {
        if able.iter().all(|(tried, out)| *out || is_excused(tried)) {
            return able;
        }
        for ((_, out), (_, now)) in able.iter_mut().zip(try_all(place, Actor::Anybody).await) {
            *out |= now;
        }
    }
    let unable: Vec<&Tried> = able.iter().filter(|(tried, out)| !out && !is_excused(tried)).map(|(tried, _)| tried).collect();
    assert!(unable.is_empty(), "the adversary is not able to do what it must be kept from: {unable:#?}");
    able
}

/// Tries every way, and says of each whether something got out.
async fn try_all(place: &Place, actor: Actor) -> Vec<(Tried, bool)> {
    place.sniffer.forget(&place.pod).await;
    let asked = place.questions.borrow().len();
    let mut command = actor.contained(&place.pod, "/usr/bin/python3");
    let said = client::run(command.args(["-c", PROGRAM, &targets().to_string()])).await;
    assert!(said.ok && said.error.is_empty(), "{said:?}");
    let packets = place.sniffer.packets(&place.pod).await;
    let questions = place.questions.borrow()[asked..].to_vec();
    let tried = said.out.lines().map(|line| serde_json::from_str::<Tried>(line).unwrap());
    let tried: Vec<(Tried, bool)> =
        tried.map(|tried| (tried.got_out(&packets, &questions), tried)).map(|(out, tried)| (tried, out)).collect();
    for (tried, out) in &tried {
        println!("{actor:?} {:>2} {:<60} {} {}", tried.row, tried.way, if *out { "got out" } else { "closed" }, tried.said);
    }
    tried
}

fn targets() -> Value {
    json!({
        "listed": {"name": CLINIC.name, "v4": CLINIC.v4, "v6": CLINIC.v6},
        "unlisted": "example.com",
        "strangers_v4": "203.0.113.0/24", "strangers_v6": "2001:db8:adff::/64",
        "resolver": RESOLVER, "foreign_resolver": OTHER_RESOLVER,
        "own": {"v4": POD[0], "v6": POD[1]},
        "opaque": [BROKER.v4, ECHO],
        "inside": {
            "an uncovered pod": [STRANGER, ECHO, "http"],
            "the metadata service": [METADATA, HTTP, "http"],
            "the node": [NODE, 8080, "http"],
            "a private network": [PRIVATE, HTTP, "http"],
            "the API server": [STRANGER, HTTPS, "tls"],
            "the policy API": [POLICY_API, policy_api::PORT, "tls"],
            "the kubelet": [NODE, 10250, "tls"],
        },
        "knocked": KNOCKED,
    })
}

/// What the adversary needs around it, for as long as it is kept: strangers who refuse at once, listeners on the node and of
/// another resolver, and somebody who sends datagrams.
struct Around {
    _listeners: Vec<TcpListener>,
    _knocker: std::sync::mpsc::Sender<()>,
}

fn around(place: &Place) -> Around {
    for strangers in ["203.0.113.0/24", "2001:db8:adff::/64"] {
        ip(&["-n", &place.world.name, "route", "add", "local", strangers, "dev", "lo"]);
    }
    let places = [(NODE, 8080), (NODE, 10250), (OTHER_RESOLVER, 53)];
    let listeners = place.world.inside(|| places.map(|place| TcpListener::bind(place).unwrap()));
    let socket = place.world.inside(|| UdpSocket::bind((SHOP.v4, KNOCKED)).unwrap());
    let (knocker, ended) = std::sync::mpsc::channel::<()>();
    // it ends with its other end; until then its waits are those between two datagrams
    thread::spawn(move || {
        while ended.recv_timeout(Duration::from_millis(50)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = socket.send_to(b"knock", (POD[0], KNOCKED));
        }
    });
    Around { _listeners: listeners.into(), _knocker: knocker }
}
