//! Observe: what is denied passes and is recorded, until the clock says otherwise.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use shekara_policy::record::{Decision, FlowRecord};
use shekara_policy::{PolicyDocument, Protocol, Reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::sniffer::{ICMP, Packet, UDP};
use crate::wait::within;
use crate::world::{BANNER, CAMERA, CLINIC, ECHO, HTTP, HTTPS, MAPS, SERVER_FIRST, SHOP, STRANGER};

const SEND: &str = "
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(b'face', (sys.argv[1], int(sys.argv[2])))
";

const PING: &str = "
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
    s.sendto(bytes([8, 0, 0, 0, 0, 0, 0, 1]) + b'face', (sys.argv[1], 0))
";

fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(seconds)
}

fn observing(until: Timestamp) -> PolicyDocument {
    PolicyDocument { observe_until: Some(until), ..document() }
}

/// A pod that was admitted to observe until then, with this document.
async fn place(admitted: Option<Timestamp>, document: PolicyDocument) -> Place {
    let mut place = Place::open();
    place.observe_until = admitted;
    place.enforce(&[document]).await;
    place
}

async fn datagram_arrives(place: &Place, port: u16) -> bool {
    place.command(Actor::App, "/usr/bin/python3", &["-c", SEND, SHOP.v4, &port.to_string()]).await;
    place.arrived(|packet: &Packet| packet.protocol == UDP && packet.port == port).await
}

fn passed(record: &FlowRecord, reason: Reason) {
    assert_eq!((record.verdict, record.observed, record.reason), (Decision::Deny, true, Some(reason)), "{record:?}");
}

#[tokio::test]
async fn what_is_denied_passes_unchanged_and_is_recorded() {
    let until = in_seconds(3600);
    let place = place(Some(until), observing(until)).await;

    let said = place.curl(&[&format!("https://{}/", SHOP.name)]).await;
    assert!(said.ok, "{said:?}");
    let question = place.record(|record| record.protocol == Protocol::Dns && record.name.as_deref() == Some(SHOP.name)).await;
    passed(&question, Reason::UnlistedQuestion);
    let flow = place.record(|record| record.protocol == Protocol::Tls && record.name.as_deref() == Some(SHOP.name)).await;
    passed(&flow, Reason::UnlistedParty);
    assert!(flow.dialled == flow.destination && flow.bytes_out > 0, "{flow:?}");

    let said = place.curl(&[&format!("https://{}/", MAPS.name)]).await;
    assert!(said.ok, "{said:?}");
    passed(&place.record(|record| record.name.as_deref() == Some(MAPS.name)).await, Reason::CrossBorder);

    let said = place.curl(&[&format!("http://{STRANGER}/")]).await;
    assert!(said.ok, "{said:?}");
    passed(&place.record(|record| record.destination == STRANGER.parse().ok()).await, Reason::PeerUnanswered);

    // a server that speaks first is not waited for in vain
    let mut stream = place.dial(SHOP.v4, SERVER_FIRST).await.unwrap();
    let mut banner = vec![0; BANNER.len()];
    within("the server's first words", stream.read_exact(&mut banner)).await.unwrap();
    assert_eq!(banner, BANNER.as_bytes());
    drop(stream);
    passed(&place.record(|record| record.port == SERVER_FIRST).await, Reason::UnlistedParty);

    let said = place.curl(&[&format!("http://{}/", CLINIC.name)]).await;
    assert!(said.ok, "{said:?}");
    let allowed = place.record(|record| record.port == HTTP && record.name.as_deref() == Some(CLINIC.name)).await;
    assert_eq!((allowed.verdict, allowed.observed), (Decision::Allow, false));

    assert!(datagram_arrives(&place, 9999).await);
    place.command(Actor::App, "/usr/bin/python3", &["-c", PING, SHOP.v4]).await;
    assert!(place.arrived(|packet: &Packet| packet.protocol == ICMP).await);

    let checkpoint = place.checkpoint(|checkpoint| checkpoint.totals.iter().any(|total| total.observed)).await;
    assert!(checkpoint.totals.iter().all(|total| total.observed == total.reason.is_some()), "{checkpoint:?}");

    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok && said.out.contains("UDP over IPv4: skipped (open while the pod observes)"), "{said:?}");
    assert!(
        said.out.contains("TCP over IPv4: closed") && said.out.contains("a foreign sender's address over IPv6: closed"),
        "{said:?}"
    );
    assert!(!place.arrived(|packet: &Packet| packet.to == shekara_sidecar::proof::DESTINATIONS[0].ip()).await);
}

/// A connection that has sent something and got an answer.
async fn living(place: &Place, to: &str, port: u16, sent: &[u8]) -> TcpStream {
    let mut stream = place.dial(to, port).await.unwrap();
    stream.write_all(sent).await.unwrap();
    assert!(within("an answer", stream.read(&mut [0; 4096])).await.unwrap() > 0);
    stream
}

#[tokio::test]
async fn it_ends_by_the_clock_in_sidecar_and_packet_filter() {
    let until = in_seconds(12);
    let place = place(Some(until), observing(until)).await;
    let mut unlisted = living(&place, SHOP.v4, ECHO, b"\0face").await;
    let mut listed = living(&place, CAMERA.v6, ECHO, b"face").await;
    assert!(datagram_arrives(&place, 9001).await);
    assert!(Timestamp::now() < until, "this machine is too slow to see anything of Observe");

    let ended = within("the flow to be closed", unlisted.read(&mut [0])).await;
    let late = Timestamp::now().duration_since(until);
    assert!(
        ended.is_err() && !late.is_negative() && late < SignedDuration::from_secs(1),
        "closed {late:?} after the end: {ended:?}"
    );
    passed(
        &place.record(|record| record.port == ECHO && record.destination == SHOP.v4.parse().ok()).await,
        Reason::UnlistedParty,
    );
    listed.write_all(b"more").await.unwrap();
    within("an echo through the allowed flow", listed.read_exact(&mut [0; 4])).await.unwrap();

    assert!(!datagram_arrives(&place, 9002).await);
    place.curl(&[&format!("https://{}:{HTTPS}/", SHOP.v4), "--insecure"]).await.failed();
    place.curl(&[&format!("https://{}/", SHOP.name)]).await.failed();
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok && said.out.contains("UDP over IPv4: closed"), "{said:?}");
}

#[tokio::test]
async fn a_pod_that_was_admitted_to_enforce_never_observes_and_no_pod_where_its_document_does_not() {
    for (admitted, document) in [(None, observing(in_seconds(3600))), (Some(in_seconds(3600)), document())] {
        let place = place(admitted, document).await;
        let start = Instant::now();
        let said = place.curl(&["--insecure", &format!("https://{}/", SHOP.v4)]).await;
        said.failed();
        assert!(start.elapsed() < Duration::from_secs(5));
        assert!(!place.reached(SHOP.v4).await);
        assert_eq!(datagram_arrives(&place, 9003).await, admitted.is_some(), "the packet filter obeys admission alone");
    }
}
