//! A sender's address that the pod does not have: connection tracking must not take what follows for an answer, and the sidecar must not
//! answer it.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::{CLINIC, SHOP};

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

/// Asks a host outside over UDP, in the name of another, for a name with a message in it, and opens connections to it likewise: the
/// sidecar would take the question and the connections, and answer whom they name.
const ASK_FOR_A_STRANGER: &str = "
import socket, struct, sys, time
stranger, host = sys.argv[1], sys.argv[2]
def foreign(kind):
    s = socket.socket(socket.AF_INET6, kind)
    s.setsockopt(socket.IPPROTO_IPV6, 78, 1)
    s.bind((stranger, 0))
    s.setblocking(False)
    return s
name = b''.join(bytes([60]) + b'f' * 60 for _ in range(4)) + bytes(1)
question = struct.pack('!HH4H', 1, 0x0100, 1, 0, 0, 0) + name + struct.pack('!HH', 16, 1)
datagrams, streams = foreign(socket.SOCK_DGRAM), []
try:
    datagrams.sendto(question, (host, 53))
except PermissionError:
    pass
for port in (53, 443):
    streams.append(foreign(socket.SOCK_STREAM))
    try:
        streams[-1].connect((host, port))
    except (BlockingIOError, PermissionError):
        pass
# what is answered is answered within moments
time.sleep(1)
";

#[tokio::test]
async fn the_sidecar_answers_nobody_in_whose_name_the_application_asks() {
    for (mut place, actor) in [(Place::open(), Actor::App), (Place::by_user(), Actor::RestrictedApp)] {
        place.enforce(&[document()]).await;
        let said = place.command(actor, "/usr/bin/python3", &["-c", ASK_FOR_A_STRANGER, SHOP.v6, CLINIC.v6]).await;
        assert!(said.ok, "{said:?}");
        assert!(!place.reached(SHOP.v6).await, "{actor:?}");
    }
}
