//! Frames that are not of IP.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::CLINIC;

/// Sends a frame from the pod's own hardware address to everybody: its type, and what follows in hexadecimal digits. No application may
/// do that; those sockets by which it could send such frames without a capability are not in every kernel.
const SEND: &str = "
import fcntl, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(('eth0', 0))
mine = fcntl.ioctl(s, 0x8927, struct.pack('256s', b'eth0'))[18:24]
try:
    s.send(b'\\xff' * 6 + mine + bytes.fromhex(sys.argv[1]))
except OSError as error:
    print(error)
";

/// The session of PPPoE (RFC 2516), and a frame of local use (IEEE 802) with a tag of IEEE 802.1Q, with the types under which they arrive.
const FRAMES: [(&str, u16); 2] = [("8864110000010008c021face", 0x8864), ("8100000588b5face", 0x88b5)];

async fn arrives(place: &Place, (frame, kind): (&str, u16)) -> bool {
    place.sniffer.forget(&place.pod).await;
    let said = place.command(Actor::Anybody, "/usr/bin/python3", &["-c", SEND, frame]).await;
    assert!(said.ok, "{said:?}");
    place.arrived(|packet| packet.frame == kind && packet.payload.ends_with(&[0xfa, 0xce])).await
}

#[tokio::test]
async fn frames_that_are_not_of_ip_do_not_leave() {
    let mut place = Place::open();
    for frame in FRAMES {
        assert!(arrives(&place, frame).await, "{frame:?} does not leave without the filter either");
    }
    place.enforce(&[document()]).await;
    // it can be set again
    place.init().await;
    for frame in FRAMES {
        assert!(!arrives(&place, frame).await, "{frame:?}");
    }
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
}
