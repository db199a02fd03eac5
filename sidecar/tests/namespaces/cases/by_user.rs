//! Where nobody in the pod may set a mark, the packet filter knows the sidecar by its user.

use std::net::SocketAddr;
use std::time::Duration;

use shekara_policy::Reason;
use shekara_policy::record::{Direction, End as FlowEnd};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use crate::actor::{Actor, USER};
use crate::document::document;
use crate::namespace::ip;
use crate::place::{POD, Place};
use crate::wait::within;
use crate::world::{BROKER, CLINIC, ECHO, HTTP, MAPS, SHOP};

/// The application's port.
const PORT: u16 = 8080;

async fn place() -> Place {
    let mut place = Place::by_user();
    place.enforce(&[document()]).await;
    place
}

#[tokio::test]
async fn what_is_listed_is_reached_and_the_rest_is_not() {
    let place = place().await;
    for (family, address) in [("-4", CLINIC.v4), ("-6", CLINIC.v6)] {
        for scheme in ["http", "https"] {
            place.curl_as(Actor::RestrictedApp, &[family, &format!("{scheme}://{}/", CLINIC.name)]).await.served_by(address);
        }
    }
    for url in [format!("https://{}/", SHOP.name), format!("http://{}/", SHOP.v4), format!("https://{}/", MAPS.name)] {
        place.curl_as(Actor::RestrictedApp, &[&url]).await.failed();
    }
    assert!(!place.reached(SHOP.v4).await && !place.reached(MAPS.v4).await);
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok && said.out.contains("TCP over IPv6: closed"), "{said:?}");
}

/// The same user in a container of the application would get out: so it is the user that opens the way, and nothing by chance.
#[tokio::test]
async fn only_that_user_gets_out() {
    let place = place().await;
    let url = format!("http://{}/", SHOP.v4);
    for actor in [Actor::App, Actor::RootApp] {
        place.curl_as(actor, &[&url]).await.failed();
    }
    assert!(!place.reached(SHOP.v4).await);
    place.curl_as(Actor::ProxyByUser, &[&url]).await.served_by(SHOP.v4);
}

#[tokio::test]
async fn a_proxy_of_another_user_says_so_and_does_not_start() {
    let mut place = Place::by_user();
    place.init().await;
    place.run_as(Actor::Proxy);
    let sidecar = place.sidecar.as_mut().unwrap();
    assert!(!sidecar.ended().await.success());
    let said = sidecar.said();
    assert!(said.contains(&format!("as the user {USER}")) && said.contains("nothing can leave the pod"), "{said}");
}

/// The application sees the pod's own address in place of the client's: the sidecar may not take another one.
#[tokio::test]
async fn who_comes_in_is_judged_and_seen_as_the_pod_itself() {
    let mut place = Place::by_user();
    let servers = place.servers(PORT);
    place.enforce(&[super::inbound::listing()]).await;
    for (server, (client, own)) in servers.iter().zip([(CLINIC.v4, POD[0]), (CLINIC.v6, POD[1])]) {
        let (mut outside, (mut application, seen)) = place.let_in(client, server, PORT).await;
        assert_eq!(seen.ip().to_string(), own);
        application.write_all(b"face").await.unwrap();
        within("an answer", outside.read_exact(&mut [0; 4])).await.unwrap();
    }
    // it may be refused before it is one
    if let Ok(mut outside) = place.visit(MAPS.v4, PORT).await {
        assert!(matches!(within("the end", outside.read(&mut [0; 4])).await, Ok(0) | Err(_)));
    }
    let denied = |record: &shekara_policy::record::FlowRecord| record.reason == Some(Reason::InboundCrossBorder);
    assert_eq!(place.record(denied).await.direction, Direction::Inbound);
}

/// Whoever takes the sidecar's port while it is away reads what clients say, and says nothing.
#[tokio::test]
async fn an_application_in_the_sidecars_place_says_nothing() {
    let mut place = place().await;
    place.sidecar.as_mut().unwrap().stop().await;
    let own: [TcpListener; 2] = place.servers(15006);
    for (server, client) in own.iter().zip([SHOP.v4, SHOP.v6]) {
        let mut outside = place.visit(client, PORT).await.unwrap();
        let (mut application, _) = within("a client", server.accept()).await.unwrap();
        application.write_all(b"face").await.unwrap();
        application.shutdown().await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(2), outside.read(&mut [0; 4])).await;
        assert!(!matches!(read, Ok(Ok(1..))), "the client read {read:?}");
    }
}

/// Nor does he where a client begins anew from the port of a connection that the sidecar has had: connection tracking may not have seen its
/// end.
#[tokio::test]
async fn an_application_in_the_sidecars_place_says_nothing_on_a_connection_of_before() {
    let mut place = Place::by_user();
    let servers = place.servers(PORT);
    place.enforce(&[super::inbound::listing()]).await;
    let mut outside = place.visit(CLINIC.v4, PORT).await.unwrap();
    let (mut application, _) = within("the application to be reached", servers[0].accept()).await.unwrap();
    application.write_all(b"face").await.unwrap();
    within("an answer", outside.read_exact(&mut [0; 4])).await.unwrap();
    // more than anybody reads: the sidecar ends with some of it unread, and its kernel breaks the connection off
    let flood = async { while outside.write_all(&[0; 65536]).await.is_ok() {} };
    let _ = tokio::time::timeout(Duration::from_secs(1), flood).await;
    let client = outside.local_addr().unwrap();
    place.sidecar.as_mut().unwrap().kill().await;
    drop((outside, application));
    let own = place.servers(15006);
    let socket = place.world.inside(|| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
    socket.set_reuse_address(true).unwrap();
    socket.bind(&client.into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let again = TcpSocket::from_std_stream(socket.into()).connect(format!("{}:{PORT}", POD[0]).parse().unwrap());
    let (again, taken) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(5), again),
        tokio::time::timeout(Duration::from_secs(5), own[0].accept())
    );
    // it may be refused before it is one
    if let (Ok(Ok(mut outside)), Ok(Ok((mut application, _)))) = (again, taken) {
        application.write_all(b"face").await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(2), outside.read(&mut [0; 4])).await;
        assert!(!matches!(read, Ok(Ok(1..))), "the client read {read:?}");
    }
}

/// Who is next to the pod sends it what is meant for somebody else: the sidecar passes nothing on.
#[tokio::test]
async fn the_sidecar_is_no_way_to_others() {
    const ELSEWHERE: &str = "203.0.113.99";
    for mut place in [Place::open(), Place::by_user()] {
        place.enforce(&[document()]).await;
        ip(&["-n", &place.world.name, "route", "add", ELSEWHERE, "via", POD[0], "dev", "pod0"]);
        let socket = place.world.inside(|| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
        socket.set_nonblocking(true).unwrap();
        let dialled = TcpSocket::from_std_stream(socket.into()).connect(format!("{ELSEWHERE}:80").parse().unwrap());
        let dialled = tokio::time::timeout(Duration::from_secs(2), dialled).await;
        assert!(!matches!(dialled, Ok(Ok(_))), "the sidecar took it");
        assert!(!place.reached(ELSEWHERE).await);
    }
}

/// A connection of the sidecar's that has ended leaves nothing by which its address and port open the way.
#[tokio::test]
async fn the_port_of_a_connection_that_has_ended_opens_nothing() {
    let place = place().await;
    place.curl_as(Actor::RestrictedApp, &["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    let carried = place.record(|record| record.end == FlowEnd::Completed).await;
    assert_eq!(carried.dialled.unwrap().to_string(), CLINIC.v4);
    let to: SocketAddr = format!("{}:{HTTP}", CLINIC.v4).parse().unwrap();
    let packet = place.sniffer.packets(&place.pod).await.into_iter().find(|packet| packet.to == to.ip()).unwrap();
    place.sniffer.forget(&place.pod).await;
    let script = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.settimeout(3)
s.bind((sys.argv[1], int(sys.argv[2])))
s.connect((sys.argv[3], int(sys.argv[4])))
s.sendall(b'GET / HTTP/1.1\\r\\nHost: shop.example.kz\\r\\n\\r\\n')
sys.exit(0 if s.recv(1) else 1)
";
    let port = packet.from_port.to_string();
    let arguments = ["-c", script, POD[0], &port, CLINIC.v4, &HTTP.to_string()];
    let said = place.command(Actor::RestrictedApp, "/usr/bin/python3", &arguments).await;
    assert!(!place.reached(CLINIC.v4).await, "{said:?}");
}

#[tokio::test]
async fn opaque_flows_and_datagrams_go_through_the_sidecar_too() {
    let place = place().await;
    let resolved = place.command(Actor::RestrictedApp, "getent", &["ahostsv4", BROKER.name]).await;
    assert!(resolved.ok, "{resolved:?}");
    let mut broker = place.dial(BROKER.v4, ECHO).await.unwrap();
    broker.write_all(b"face").await.unwrap();
    within("the echo", broker.read_exact(&mut [0; 4])).await.unwrap();
}
