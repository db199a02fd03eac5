//! A sender's address that the pod does not have: connection tracking must not take what follows for an answer.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::SHOP;

/// Opens a connection to a listener of its own in the name of a host outside (`IPV6_FREEBIND` is 78), with data in the first
/// packet where asked (`MSG_FASTOPEN`, to a listener with `TCP_FASTOPEN`); what the listener sends then is addressed to the host.
const ANSWER_A_STRANGER: &str = "
import socket, sys, time
host, own, fast = sys.argv[1], sys.argv[2], sys.argv[3] == 'fast'
listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
listener.bind((own, 7007))
if fast:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
listener.listen()
stranger = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
stranger.setsockopt(socket.IPPROTO_IPV6, 78, 1)
stranger.bind((host, 7008))
stranger.setblocking(False)
try:
    if fast:
        stranger.sendto(b'', socket.MSG_FASTOPEN, (own, 7007))
    else:
        stranger.connect((own, 7007))
except BlockingIOError:
    pass
stranger.settimeout(1)
try:
    stranger.send(b'face')
except OSError as error:
    print(error)
";

/// What the filter would be without the lines that close this way: loopback passes before the one is asked, and answers of the
/// application pass that were not led back to it.
const OPEN: [[&str; 7]; 2] = [
    ["insert", "rule", "inet", "shekara", "out", "oifname", "lo accept"],
    ["insert", "rule", "inet", "shekara", "out", "meta", "l4proto tcp ct direction reply accept"],
];

#[tokio::test]
async fn nothing_is_sent_as_the_answer_to_a_connection_from_outside_that_there_never_was() {
    for kind in ["plain", "fast"] {
        let mut place = Place::open();
        place.enforce(&[document()]).await;
        let attempt = ["-c", ANSWER_A_STRANGER, SHOP.v6, crate::place::POD[1], kind];
        for actor in [Actor::App, Actor::RootApp] {
            place.command(actor, "/usr/bin/python3", &attempt).await;
        }
        assert!(!place.reached(SHOP.v6).await, "{kind}");
        let verify = place.sidecar_command(Actor::Verify, "verify").await;
        assert!(verify.out.contains("a foreign sender's address over IPv6: closed (the packet filter dropped it)"), "{verify:?}");
        assert!(verify.ok, "{verify:?}");

        for line in &OPEN {
            let opened = place.command(Actor::Init, "nft", line).await;
            assert!(opened.ok, "{opened:?}");
        }
        place.command(Actor::App, "/usr/bin/python3", &attempt).await;
        assert!(place.reached(SHOP.v6).await, "{kind}: without the line nothing leaves either, so it closes nothing");
        let verify = place.sidecar_command(Actor::Verify, "verify").await;
        verify.failed();
        assert!(verify.out.contains("a foreign sender's address over IPv6 is open (a datagram was let out)"), "{verify:?}");
    }
}
