//! Flows whose bytes are not read.

use std::time::{Duration, Instant};

use shekara_policy::Reason;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{BANNER, BROKER, ECHO, MAPS, SERVER_FIRST};

/// Resolves and connects as applications do, sends a word and prints what comes back.
const EXCHANGE: &str = "
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as s:
    s.sendall(b'face\\n')
    print(s.makefile().readline(), end='')
";

#[tokio::test]
async fn a_name_that_the_pod_has_resolved_is_reached_and_no_other_address() {
    let mut place = Place::open();
    let python = |host: &'static str| ["-c", EXCHANGE, host, "1883"];
    let attempts = [python(BROKER.name), python(BROKER.v4), python(MAPS.name)];
    for arguments in &attempts {
        assert_eq!(place.command(Actor::App, "/usr/bin/python3", arguments).await.out, "face\n");
    }
    place.enforce(&[document()]).await;
    let [by_name, by_address, abroad] = &attempts;
    // the address alone, before the pod has asked for a name that has it
    place.command(Actor::App, "/usr/bin/python3", by_address).await.failed();
    assert!(!place.reached(BROKER.v4).await);
    let said = place.command(Actor::App, "/usr/bin/python3", by_name).await;
    assert_eq!(said.out, "face\n", "{said:?}");
    let record = place.record(|record| record.port == ECHO && record.reason.is_none()).await;
    assert_eq!(record.name.as_deref(), Some(BROKER.name));
    assert_eq!((record.bytes_out, record.bytes_in), (5, 5));
    place.command(Actor::App, "/usr/bin/python3", abroad).await.failed();
    let record = place.record(|record| record.port == ECHO && record.reason == Some(Reason::CrossBorder)).await;
    assert_eq!(record.dialled, None);
    assert!(!place.reached(MAPS.v4).await && !place.reached(MAPS.v6).await);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_at_once() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let resolve = ["-c", "import socket, sys; socket.getaddrinfo(sys.argv[1], 1)", BROKER.name];
    assert!(place.command(Actor::App, "/usr/bin/python3", &resolve).await.ok);
    for address in [BROKER.v4, BROKER.v6] {
        let start = Instant::now();
        let stream = place.dial(address, SERVER_FIRST).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let banner = within("the banner", lines.next_line()).await.unwrap();
        let took = start.elapsed();
        assert_eq!(banner.as_deref(), Some(BANNER));
        assert!(took < Duration::from_secs(1), "the server was not heard for {took:?}");
        println!("{address}: a server that speaks first was heard after {took:?}");
    }
}

/// Half-closed connections stay half open, as protocols need that end one direction first.
#[tokio::test]
async fn the_end_of_one_direction_is_not_the_end_of_the_other() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut stream = place.dial(crate::world::CAMERA.v6, ECHO).await.unwrap();
    let much = vec![b'x'; 3 * 1024 * 1024];
    let (mut from, mut to) = stream.split();
    let send = async {
        to.write_all(&much).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut back = Vec::new();
    let (_, read) = within("everything to come back", async { tokio::join!(send, from.read_to_end(&mut back)) }).await;
    read.unwrap();
    assert_eq!(back.len(), much.len());
}
