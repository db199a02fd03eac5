//! Sockets that are bound to the outer interface, which needs no capability: what is redirected must not take it all the same.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::SHOP;

/// Binds sockets of both kinds and families to the interface (SO_BINDTODEVICE), and sends.
const SEND: &str = "
import socket, sys
for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
    for family, host in zip((socket.AF_INET, socket.AF_INET6), sys.argv[1:]):
        with socket.socket(family, kind) as s:
            s.settimeout(0.5)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'eth0\\0')
            try:
                s.connect((host, 9999))
                s.send(b'face')
            except OSError as error:
                print(error)
";

#[tokio::test]
async fn what_is_redirected_is_not_sent_to_the_loopback_address_of_another() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let send = ["-c", SEND, SHOP.v4, SHOP.v6];
    for actor in [Actor::App, Actor::RootApp] {
        assert!(place.command(actor, "/usr/bin/python3", &send).await.ok);
    }
    assert!(!place.arrived(|packet| packet.to.is_loopback()).await);
    assert!(!place.reached(SHOP.v4).await && !place.reached(SHOP.v6).await);
    // without the chain it is sent, so nothing else closes this way
    let flushed = place.command(Actor::Init, "nft", &["flush", "chain", "inet", "shekara", "wire"]).await;
    assert!(flushed.ok, "{flushed:?}");
    assert!(place.command(Actor::App, "/usr/bin/python3", &send).await.ok);
    for protocol in [crate::sniffer::TCP, crate::sniffer::UDP] {
        let like = |v4: bool| {
            move |packet: &crate::sniffer::Packet| {
                packet.to.is_loopback() && packet.to.is_ipv4() == v4 && packet.protocol == protocol
            }
        };
        assert!(place.arrived(like(true)).await && place.arrived(like(false)).await, "{protocol}");
    }
}
