//! Connections that come in: judged by who the client is, and carried to the application in the client's name.

use std::time::{Duration, Instant};

use shekara_policy::record::{Direction, End as FlowEnd, FlowRecord};
use shekara_policy::{Peer, PolicyDocument, Reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::actor::Actor;
use crate::document::document;
use crate::namespace::ip;
use crate::peers::{bare, covered};
use crate::place::{GATEWAY, POD, Place};
use crate::wait::within;
use crate::world::{CLINIC, MAPS, MEMBER, SHOP, STRANGER};

/// The application's port.
const PORT: u16 = 8080;

/// Lists clients at home, and asks that everybody be listed.
pub(super) fn listing() -> PolicyDocument {
    let constraints = serde_json::json!([{"standard": "kz", "countries": ["KZ"], "minTls": null}]);
    let inbound = serde_json::json!({
        "standards": [{"standard": "kz", "from": [{"name": "balancer", "networks": ["10.40.0.7/32"], "ports": [PORT]}]}],
        "clients": [
            {"network": "0.0.0.0/0", "data": ["biometric.face"], "constraints": constraints},
            {"network": "::/0", "data": ["biometric.face"], "constraints": constraints}
        ]
    });
    PolicyDocument { inbound: Some(serde_json::from_value(inbound).unwrap()), ..document() }
}

fn somebody(end: shekara_policy::peer::End) -> Peer {
    Peer { services: [].into(), ends: [end].into(), sources: [].into() }
}

/// The server of a client's family.
fn of<'s>(servers: &'s [TcpListener; 2], client: &str) -> &'s TcpListener {
    &servers[usize::from(client.contains(':'))]
}

/// A client that was let in: its connection, and the application's.
async fn passes(place: &Place, servers: &[TcpListener; 2], client: &str) -> (TcpStream, TcpStream) {
    let (mut outside, (mut application, seen)) = place.let_in(client, of(servers, client), PORT).await;
    assert_eq!(seen, outside.local_addr().unwrap(), "the application sees the client's address and port");
    application.write_all(b"face").await.unwrap();
    within("an answer", outside.read_exact(&mut [0; 4])).await.unwrap();
    (outside, application)
}

/// A client that is denied for this reason: it reads nothing, and the application never hears of it.
async fn denied(place: &Place, servers: &[TcpListener; 2], client: &str, reason: Reason) -> FlowRecord {
    if let Ok(mut outside) = place.visit(client, PORT).await {
        let read = within("the end", outside.read(&mut [0; 4])).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{client} read {read:?}");
    }
    let address = client.parse().unwrap();
    let record = place
        .record(|record| record.client == Some(address) && (record.reason, record.end) == (Some(reason), FlowEnd::Refused))
        .await;
    assert!(timeout(Duration::from_millis(50), of(servers, client).accept()).await.is_err(), "{client} reached the application");
    assert_eq!((record.direction, record.bytes_out, record.port), (Direction::Inbound, 0, PORT));
    record
}

#[tokio::test]
async fn who_is_listed_or_covered_passes_and_everybody_else_is_denied() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    let everybody = [CLINIC.v4, CLINIC.v6, MAPS.v4, MAPS.v6, MEMBER, STRANGER];
    for client in everybody {
        passes(&place, &servers, client).await;
    }
    place.enforce(&[listing()]).await;
    place.api().know(|known| {
        known.at(MEMBER, 0, somebody(covered(true)));
        known.at(STRANGER, 0, somebody(bare()));
    });
    for client in [CLINIC.v4, CLINIC.v6, MEMBER, crate::world::PRIVATE] {
        passes(&place, &servers, client).await;
        let address = client.parse().unwrap();
        let record = place.record(|record| record.client == Some(address) && record.reason.is_none()).await;
        assert_eq!((record.direction, record.bytes_out, record.rules.len()), (Direction::Inbound, 4, 1), "{record:?}");
    }
    for client in [MAPS.v4, MAPS.v6] {
        let record = denied(&place, &servers, client, Reason::InboundCrossBorder).await;
        assert_eq!((record.country, record.standard.as_deref()), ("DE".parse().ok(), Some("kz")));
    }
    denied(&place, &servers, STRANGER, Reason::InboundUnlisted).await;
    let start = Instant::now();
    denied(&place, &servers, crate::world::ARCHIVE, Reason::PeerUnanswered).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    // what clients read is counted apart from what the pod sent
    let checkpoint =
        place.checkpoint(|checkpoint| checkpoint.totals.iter().any(|total| total.reason == Some(Reason::PeerUnanswered))).await;
    assert!(checkpoint.totals.iter().filter(|total| total.inbound).map(|total| total.bytes_out).sum::<u64>() >= 16);
    assert!(checkpoint.totals.iter().all(|total| total.inbound), "{checkpoint:?}");
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    for line in [
        "shekara_inbound_flows_total{reason=\"InboundCrossBorder\",verdict=\"deny\"} 2",
        "shekara_inbound_bytes_total{direction=\"out\"} 16",
        "shekara_bytes_total{direction=\"out\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    // the ways out are as closed as before, and what is listed is reached
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.curl(&["-4", &format!("https://{}/", SHOP.name)]).await.failed();
    assert!(place.sidecar_command(Actor::Verify, "verify").await.ok);
}

/// The lines that lead what comes in to the sidecar, seen to be what closes it.
#[tokio::test]
async fn without_the_line_that_leads_clients_to_the_sidecar_nothing_is_read_either() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    place.enforce(&[listing()]).await;
    denied(&place, &servers, MAPS.v4, Reason::InboundCrossBorder).await;
    for chain in ["nat-in", "in"] {
        assert!(place.command(Actor::Init, "nft", &["flush", "chain", "inet", "shekara", chain]).await.ok);
    }
    let rules = ["add", "rule", "inet", "shekara", "in", "accept"];
    assert!(place.command(Actor::Init, "nft", &rules).await.ok);
    // the client reaches the application, whose answer does not leave all the same
    assert!(timeout(Duration::from_secs(1), place.visit(MAPS.v4, PORT)).await.is_err(), "a connection was made past the sidecar");
}

/// What the sidecar says to a request from this address, whole; empty where it says nothing.
async fn asked(place: &Place, from: &str, path: &str) -> String {
    let mut outside = place.visit(from, 15020).await.unwrap();
    outside.write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n").as_bytes()).await.unwrap();
    let mut said = String::new();
    let _ = within("an answer", outside.read_to_string(&mut said)).await;
    said
}

/// An application that answers each request in its turn with these words.
async fn answers(server: &TcpListener, said: &str) {
    let (mut stream, _) = within("a request", server.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the request", stream.read_u8()).await.unwrap());
    }
    stream.write_all(format!("HTTP/1.1 {said}\r\nContent-Length: 4\r\n\r\nface").as_bytes()).await.unwrap();
}

/// The kubelet asks the sidecar, and hears how the application answers; nobody reads from the application by that, the node included.
#[tokio::test]
async fn the_sidecar_answers_probes_as_the_application_does_and_the_node_reads_nothing_else() {
    let mut place = Place::open();
    let ask = |within: u32| serde_json::json!({"port": PORT, "within": within, "ask": {"http": {"path": "/healthz"}}});
    place.probes = serde_json::json!({"/probe/app/readiness": ask(5), "/hook/app/preStop": ask(5)}).to_string();
    let servers = place.servers(PORT);
    place.enforce(&[listing()]).await;
    place.api().know(|known| {
        GATEWAY.iter().for_each(|node| known.at(node, 0, somebody(shekara_policy::peer::End::Node)));
        known.at(STRANGER, 0, somebody(bare()));
    });
    for node in GATEWAY {
        let server = of(&servers, node);
        for (said, expected) in [("200 OK", "HTTP/1.1 200"), ("302 Found", "HTTP/1.1 200"), ("500 Error", "HTTP/1.1 503")] {
            let (answer, ()) = tokio::join!(asked(&place, node, "/probe/app/readiness"), answers(server, said));
            assert!(answer.starts_with(expected) && !answer.contains("face"), "{answer}");
        }
        let (answer, ()) = tokio::join!(asked(&place, node, "/hook/app/preStop"), answers(server, "200 OK"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        denied(&place, &servers, node, Reason::InboundUnlisted).await;
    }
    denied(&place, &servers, STRANGER, Reason::InboundUnlisted).await;
    for client in [STRANGER, MAPS.v6] {
        let answer = asked(&place, client, "/hook/app/preStop").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert!(timeout(Duration::from_millis(50), of(&servers, client).accept()).await.is_err(), "{client} called the hook");
    }
    // a probe of a port where nobody listens fails, as it would without a sidecar
    drop(servers);
    for node in GATEWAY {
        let closed = async {
            // a process that another test starts has the listener too, until it has become another program
            while !asked(&place, node, "/probe/app/readiness").await.contains("takes no connection") {}
        };
        within("the probe to fail", closed).await;
    }
}

#[tokio::test]
async fn the_administration_port_is_reached_from_outside() {
    let mut place = Place::open();
    place.enforce(&[listing()]).await;
    for from in [MAPS.v4, MAPS.v6] {
        let mut outside = place.visit(from, 15020).await.unwrap();
        outside.write_all(b"GET /ready HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut said = String::new();
        within("an answer", outside.read_to_string(&mut said)).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
}

#[tokio::test]
async fn live_flows_end_within_a_second_of_what_let_them_in() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    place.enforce(&[listing()]).await;
    place.api().know(|known| known.at(MEMBER, 0, somebody(covered(true))));
    let (mut member, _member) = passes(&place, &servers, MEMBER).await;
    let (mut home, mut application) = passes(&place, &servers, CLINIC.v6).await;
    let ends = async |stream: &mut TcpStream| {
        let start = Instant::now();
        assert!(matches!(within("the end", stream.read(&mut [0; 1])).await, Ok(0) | Err(_)));
        assert!(start.elapsed() < Duration::from_secs(1), "the flow lived on for {:?}", start.elapsed());
    };
    place.api().know(|known| known.at(MEMBER, 0, somebody(covered(false))));
    ends(&mut member).await;
    let record = place.record(|record| record.end == FlowEnd::PolicyChanged).await;
    assert_eq!((record.reason, record.bytes_out), (Some(Reason::InboundNotEnforcing), 4));
    // the other one lives on, until its client is listed no more
    application.write_all(b"face").await.unwrap();
    within("an answer", home.read_exact(&mut [0; 4])).await.unwrap();
    let mut fewer = listing();
    fewer.inbound.as_mut().unwrap().clients.clear();
    place.api().set(&[fewer]);
    ends(&mut home).await;
    let mut end = Vec::new();
    assert!(within("the application's end", application.read_to_end(&mut end)).await.is_err() || end.is_empty());
    denied(&place, &servers, CLINIC.v6, Reason::InboundUnlisted).await;
}

#[tokio::test]
async fn both_sides_finish_one_after_the_other_and_many_clients_of_one_address_do_not_mix() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    place.enforce(&[listing()]).await;
    let mut pairs = Vec::new();
    for number in 0..40u8 {
        let client = if number % 2 == 0 { CLINIC.v4 } else { CLINIC.v6 };
        pairs.push((number, passes(&place, &servers, client).await));
    }
    for (number, (mut outside, mut application)) in pairs {
        outside.write_all(&[number; 3]).await.unwrap();
        outside.shutdown().await.unwrap();
        let mut heard = Vec::new();
        within("what the client said", application.read_to_end(&mut heard)).await.unwrap();
        assert_eq!(heard, [number; 3]);
        // the other direction is still open
        application.write_all(&[number; 5]).await.unwrap();
        application.shutdown().await.unwrap();
        let mut answer = Vec::new();
        within("the answer", outside.read_to_end(&mut answer)).await.unwrap();
        assert_eq!(answer, [number; 5]);
    }
}

/// What an application could do with the way in: its own sockets never get the mark, and answers go nowhere but to the sidecar.
#[tokio::test]
async fn the_way_in_is_no_way_out() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    place.enforce(&[document()]).await;
    let (outside, application) = passes(&place, &servers, SHOP.v4).await;
    let client = outside.local_addr().unwrap();
    place.sniffer.forget(&place.pod).await;
    // from the very address and port to which the client is connected, to the client
    drop(servers);
    let bound = async {
        // a process that another test starts has the listener too, until it has become another program
        loop {
            let socket = place.pod.inside(|| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap());
            socket.set_reuse_address(true).unwrap();
            match socket.bind(&std::net::SocketAddr::new(POD[0].parse().unwrap(), PORT).into()) {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => tokio::time::sleep(Duration::from_millis(5)).await,
                outcome => return outcome.map(|()| socket).unwrap(),
            }
        }
    };
    let again = within("the port", bound).await.connect_timeout(&client.into(), Duration::from_millis(300));
    assert!(again.is_err(), "{again:?}");
    assert!(!place.reached(SHOP.v4).await);
    drop((outside, application));
    let verify = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(verify.ok, "{verify:?}");
}

/// Without the rule of routing, answers to clients do not leave: the connections fail, and fail closed.
#[tokio::test]
async fn without_the_rule_of_routing_nothing_leaves() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    place.enforce(&[document()]).await;
    passes(&place, &servers, SHOP.v4).await;
    ip(&["-n", &place.pod.name, "rule", "delete", "fwmark", "0x5ba3", "lookup", "15006"]);
    let mut outside = place.visit(SHOP.v4, PORT).await.unwrap();
    place.sniffer.forget(&place.pod).await;
    assert!(timeout(Duration::from_secs(2), outside.read(&mut [0; 1])).await.is_err());
    // the application's SYN-ACK would be from its own port
    let leaves = |packet: &crate::sniffer::Packet| {
        packet.protocol == crate::sniffer::TCP
            && packet.payload.starts_with(&PORT.to_be_bytes())
            && packet.payload[13] & 0x12 == 0x12
    };
    assert!(!place.arrived(leaves).await);
}

/// Latency and throughput of what comes in, against the same without packet filter and sidecar.
#[tokio::test]
async fn what_comes_in_is_measured() {
    let mut place = Place::open();
    let servers = place.servers(PORT);
    let without = measure(&place, &servers).await;
    place.enforce(&[listing()]).await;
    let with = measure(&place, &servers).await;
    println!(
        "inbound: a connection and an answer take {:?} with the sidecar and {:?} without ({:.1} times); 64 MiB take {:?} and {:?} ({:.1} times)",
        with.0,
        without.0,
        with.0.as_secs_f64() / without.0.as_secs_f64(),
        with.1,
        without.1,
        with.1.as_secs_f64() / without.1.as_secs_f64()
    );
    assert!(with.0 < Duration::from_millis(100), "a connection took {:?}", with.0);
}

/// The median time of a connection with an answer, and the time for 64 MiB out of the pod.
async fn measure(place: &Place, servers: &[TcpListener; 2]) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..31 {
        let start = Instant::now();
        passes(place, servers, CLINIC.v4).await;
        times.push(start.elapsed());
    }
    times.sort();
    let (mut outside, mut application) = passes(place, servers, CLINIC.v4).await;
    let start = Instant::now();
    let (piece, size) = (vec![7; 256 * 1024], 64 * 1024 * 1024);
    let sends = async {
        for _ in 0..size / piece.len() {
            application.write_all(&piece).await.unwrap();
        }
        application.shutdown().await.unwrap();
    };
    let reads = async {
        let (mut buffer, mut heard) = (vec![0; 256 * 1024], 0);
        while let Ok(length @ 1..) = outside.read(&mut buffer).await {
            heard += length;
        }
        assert_eq!(heard, size);
    };
    within("64 MiB", async { tokio::join!(sends, reads) }).await;
    (times[15], start.elapsed())
}
