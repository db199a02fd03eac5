//! Everything that is not TCP: nothing of it arrives.

use std::net::{IpAddr, SocketAddr};

use shekara_policy::Reason;
use shekara_policy::document::{Endpoint, EndpointProtocol, Target};
use shekara_policy::record::End;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::actor::Actor;
use crate::client::Said;
use crate::document::document;
use crate::place::{POD, Place};
use crate::sniffer::{ICMP, ICMP_V6, Packet, SCTP, TCP, UDP};
use crate::wait::within;
use crate::world::{CAMERA, CLINIC, MAPS, SHOP};

/// Sends one datagram.
const SEND: &str = "
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ':' in host else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as s:
    s.sendto(b'face', (host, port))
";

/// Sends one echo request by a ping socket, for which no capability is needed.
const PING: &str = "
import socket, sys
v6 = ':' in sys.argv[1]
family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if v6 else (socket.AF_INET, socket.IPPROTO_ICMP)
with socket.socket(family, socket.SOCK_DGRAM, protocol) as s:
    s.sendto(bytes([128 if v6 else 8, 0, 0, 0, 0, 0, 0, 1]) + b'face', (sys.argv[1], 0))
";

/// The generic routing encapsulation (RFC 2784).
const GRE: u8 = 47;

#[tokio::test]
async fn udp_does_not_arrive() {
    let mut place = Place::open();
    // QUIC, DNS over TLS's and over QUIC's port, NTP, anything, and a multicast group
    let targets = [
        (SHOP.v4, 443),
        (SHOP.v6, 443),
        (CLINIC.v4, 853),
        (CLINIC.v6, 123),
        (MAPS.v4, 9999),
        ("224.0.0.251", 5353),
        ("ff02::fb", 5353),
    ];
    let like = |(host, port): (&str, u16)| {
        let to: IpAddr = host.parse().unwrap();
        move |packet: &Packet| packet.to == to && packet.protocol == UDP && packet.port == port
    };
    for (host, port) in targets {
        place.command(Actor::App, "/usr/bin/python3", &["-c", SEND, host, &port.to_string()]).await;
        assert!(place.arrived(like((host, port))).await, "{host} is open without the filter");
    }
    place.enforce(&[document()]).await;
    for (host, port) in targets {
        place.command(Actor::App, "/usr/bin/python3", &["-c", SEND, host, &port.to_string()]).await;
        assert!(!place.arrived(like((host, port))).await, "{host}");
    }
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await;
    let counted = format!("shekara_datagrams_denied_total {}", targets.len());
    assert!(metrics.out.lines().any(|line| line == counted), "{counted} is not in {metrics:?}");
}

/// The port of the camera that the document lists for datagrams.
const LISTED: u16 = 5000;

#[tokio::test]
async fn a_listed_endpoint_gets_datagrams_through_the_sidecar_and_nobody_else_does() {
    let mut place = Place::open();
    place.endpoints = CAMERA.addresses().map(|address| SocketAddr::new(address, LISTED)).to_vec();
    let mut listed = document();
    let cameras = listed.routes.iter_mut().find(|route| route.recipient == "cameras").unwrap();
    cameras.endpoints.extend(CAMERA.addresses().map(|address| Endpoint {
        target: Target::Network(address.into()),
        ports: [LISTED].into(),
        protocol: EndpointProtocol::Udp,
        shared: false,
    }));
    let servers = place.endpoints.clone();
    let servers: Vec<UdpSocket> = place
        .world
        .inside(|| servers.into_iter().map(|at| std::net::UdpSocket::bind(at).unwrap()).collect::<Vec<_>>())
        .into_iter()
        .map(|socket| socket.set_nonblocking(true).and_then(|()| UdpSocket::from_std(socket)).unwrap())
        .collect();
    place.enforce(&[listed]).await;
    let sent = |to: SocketAddr| move |packet: &Packet| packet.to == to.ip() && packet.protocol == UDP && packet.port == to.port();
    let mut clients = Vec::new();
    for (server, to) in servers.iter().zip(place.endpoints.clone()) {
        let client = place.datagrams(to);
        client.send_to(b"face", to).await.unwrap();
        let mut buffer = [0; 16];
        let (length, sidecar) = within("a datagram at the camera", server.recv_from(&mut buffer)).await.unwrap();
        assert_eq!((&buffer[..length], POD.contains(&sidecar.ip().to_string().as_str())), (&b"face"[..], true));
        server.send_to(b"seen it", sidecar).await.unwrap();
        let (length, from) = within("the answer", client.recv_from(&mut buffer)).await.unwrap();
        assert_eq!((&buffer[..length], from), (&b"seen it"[..], to), "it must seem to come from the camera");
        // the port beside it
        let beside = SocketAddr::new(to.ip(), LISTED + 1);
        client.send_to(b"face", beside).await.unwrap();
        assert!(!place.arrived(sent(beside)).await);
        clients.push((client, to));
    }
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await;
    assert!(metrics.out.lines().any(|line| line == "shekara_datagrams_denied_total 2"), "{metrics:?}");
    // what is not listed any more ends at once, and nothing more arrives
    place.api().set(&[document()]);
    for (client, to) in clients {
        let of = |record: &shekara_policy::record::FlowRecord| record.destination == Some(to.ip()) && record.port == LISTED;
        let record = place.record(|record| of(record) && record.end == End::PolicyChanged).await;
        assert_eq!((record.bytes_out, record.bytes_in, record.reason), (4, 7, Some(Reason::UnlistedDatagram)), "{record:?}");
        place.sniffer.forget(&place.pod).await;
        client.send_to(b"face", to).await.unwrap();
        place.record(|record| of(record) && record.end == End::Refused).await;
        assert!(!place.arrived(sent(to)).await);
    }
}

#[tokio::test]
async fn an_answer_to_an_inbound_datagram_does_not_arrive_and_one_over_tcp_does() {
    let mut place = Place::open();
    assert_eq!(answer_by_udp(&place, 6000).await, Some(true));
    place.enforce(&[document()]).await;
    assert_eq!(answer_by_udp(&place, 6001).await, None, "an inbound datagram is not even heard");
    let opened = ["insert", "rule", "inet", "shekara", "in", "meta", "l4proto udp accept"];
    assert!(place.command(Actor::Init, "nft", &opened).await.ok);
    assert_eq!(answer_by_udp(&place, 6002).await, Some(false), "and where it is, it does not open the way out");
    answer_by_tcp(&place).await;
}

/// The world sends a datagram to this port of the pod, which answers from it where it hears that: whether the answer arrives.
async fn answer_by_udp(place: &Place, port: u16) -> Option<bool> {
    let (here, there) = (SocketAddr::new(POD[0].parse().unwrap(), port), SocketAddr::new(SHOP.v4.parse().unwrap(), port));
    let server = place.pod.inside(|| std::net::UdpSocket::bind(here).unwrap());
    place.world.inside(|| std::net::UdpSocket::bind(there).unwrap().send_to(b"give", here).unwrap());
    server.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let (_, client) = server.recv_from(&mut [0; 4]).ok()?;
    assert_eq!(client, there);
    let _ = server.send_to(b"face", client);
    Some(place.arrived(|packet| (packet.to, packet.port, packet.protocol) == (there.ip(), port, UDP)).await)
}

/// A client from outside reads from a server in the pod, where no standard asks for lists.
async fn answer_by_tcp(place: &Place) {
    let here = SocketAddr::new(POD[0].parse().unwrap(), 8080);
    let server = crate::world::listen(place.pod.inside(|| std::net::TcpListener::bind(here).unwrap()));
    let client = place.world.inside(|| std::net::TcpStream::connect(here).unwrap());
    client.set_nonblocking(true).unwrap();
    let client = tokio::net::TcpStream::from_std(client).unwrap();
    let (stream, _) = within("the connection", server.accept()).await.unwrap();
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(b"hello").unwrap(), 5);
    within("the answer", client.readable()).await.unwrap();
}

#[tokio::test]
async fn echo_requests_do_not_arrive() {
    let mut place = Place::open();
    let targets = [(SHOP.v4, ICMP), (SHOP.v6, ICMP_V6), (CLINIC.v4, ICMP), (CLINIC.v6, ICMP_V6)];
    for (address, protocol) in targets {
        let to: IpAddr = address.parse().unwrap();
        assert!(pings(&place, address).await.iter().all(|said| said.ok));
        assert!(place.arrived(|packet| packet.to == to && packet.protocol == protocol).await);
    }
    place.enforce(&[document()]).await;
    for (address, protocol) in targets {
        for said in pings(&place, address).await {
            // Over IPv6 the kernel drops in silence.
            assert!(!said.ok || protocol == ICMP_V6, "{said:?}");
        }
        assert!(!place.reached(address).await, "{address}");
    }
}

/// A ping socket of an application, and the program ping with the capability that its file asks for.
async fn pings(place: &Place, address: &str) -> [Said; 2] {
    [
        place.command(Actor::App, "/usr/bin/python3", &["-c", PING, address]).await,
        place.command(Actor::RawApp, "ping", &["-c", "1", "-W", "1", address]).await,
    ]
}

/// SCTP sockets need a kernel module that not every machine has, so packets of the protocol are made by hand, as are others that
/// no proxy knows. Admission refuses NET_RAW to applications; the filter holds even where one has it and does not use the mark.
#[tokio::test]
async fn raw_packets_do_not_arrive() {
    let mut place = Place::open();
    let targets = [SHOP.v4, SHOP.v6].into_iter().flat_map(|address| [SCTP, GRE, TCP].map(|protocol| (address, protocol)));
    for (address, protocol) in targets.clone() {
        send_raw(&place, address, protocol);
        let to: IpAddr = address.parse().unwrap();
        assert!(place.arrived(|packet| packet.to == to && packet.protocol == protocol).await, "{address} {protocol}");
    }
    place.enforce(&[document()]).await;
    for (address, protocol) in targets {
        send_raw(&place, address, protocol);
        assert!(!place.reached(address).await, "{address} {protocol}");
    }
}

fn send_raw(place: &Place, address: &str, protocol: u8) {
    let to = SocketAddr::new(address.parse().unwrap(), 0);
    place.pod.inside(|| {
        let socket = Socket::new(Domain::for_address(to), Type::RAW, Some(Protocol::from(i32::from(protocol)))).unwrap();
        // 40000 to 443, and a header of TCP that says SYN; what other protocols make of it does not matter
        let packet = [0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
        let _ = socket.send_to(&packet, &to.into());
    });
}
