use shekara_policy::record::{Decision, End};
use shekara_policy::{Limits, PolicyDocument, Protocol};

use super::*;
use crate::carve_out::CarveOut;
use crate::config::Config;
use crate::flow::registry::keep_judging;
use crate::flow::tests::{Place, config, document};

/// The endpoint of datagrams that the document lists.
const LISTED: &str = "192.0.2.40:5000";

fn listing(max_out_per_day: Option<u64>) -> PolicyDocument {
    let mut document = document();
    let route = &mut document.routes[0];
    route.max_out_per_day = max_out_per_day;
    route.endpoints.push(
        serde_json::from_value(serde_json::json!({"target": {"network": "192.0.2.40/32"}, "ports": [5000], "protocol": "UDP"}))
            .unwrap(),
    );
    document
}

/// A proxy that relays to an endpoint, a server in its place, and a client in the pod.
async fn place(document: PolicyDocument, limits: Limits, endpoint: &'static str) -> (Place, UdpSocket, UdpSocket) {
    let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut place = Place::configured(Config { limits, ..config() }, document, [(endpoint, server.local_addr().unwrap())]);
    let local = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(local.local_addr().unwrap()).await.unwrap();
    let context = place.context.clone();
    place.begin(async move { serve(local, endpoint.parse().unwrap(), context).await.unwrap() });
    (place, server, client)
}

async fn exchange(server: &UdpSocket, client: &UdpSocket) -> SocketAddr {
    client.send(b"face").await.unwrap();
    let mut buffer = [0; 16];
    let (length, from) = server.recv_from(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..length], b"face");
    server.send_to(b"seen it", from).await.unwrap();
    assert_eq!(client.recv(&mut buffer).await.unwrap(), 7);
    from
}

#[tokio::test]
async fn a_listed_endpoint_is_reached_and_answers_and_the_bytes_are_counted() {
    let (mut place, server, client) = place(listing(None), Limits::default(), LISTED).await;
    let first = exchange(&server, &client).await;
    assert_eq!(exchange(&server, &client).await, first, "one sender has one association");
    place.stop().await;
    let record = place.record().await;
    assert_eq!((record.verdict, record.protocol, record.end), (Decision::Allow, Protocol::Udp, End::Stopped), "{record:?}");
    assert_eq!((record.destination, record.port), (Some("192.0.2.40".parse().unwrap()), 5000));
    assert_eq!((record.bytes_out, record.bytes_in, record.country), (8, 14, Some("KZ".parse().unwrap())));
    assert_eq!(place.context.ledger.snapshot()[0].bytes_out, 8);
}

#[tokio::test]
async fn an_endpoint_that_is_not_listed_any_more_gets_nothing() {
    let (place, server, client) = place(document(), Limits::default(), LISTED).await;
    for _ in 0..3 {
        client.send(b"face").await.unwrap();
    }
    let record = place.record().await;
    assert_eq!((record.verdict, record.reason, record.end), (Decision::Deny, Some(Reason::UnlistedDatagram), End::Refused));
    assert_eq!(server.try_recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn an_association_ends_when_it_is_no_longer_allowed() {
    let (mut place, server, client) = place(listing(None), Limits::default(), LISTED).await;
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    exchange(&server, &client).await;
    place.put_in_force(vec![document()]);
    let record = place.record().await;
    assert_eq!((record.reason, record.end, record.bytes_out), (Some(Reason::UnlistedDatagram), End::PolicyChanged, 4));
    client.send(b"face").await.unwrap();
    assert_eq!(place.record().await.end, End::Refused);
    assert_eq!(server.try_recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn a_datagram_that_a_bound_does_not_leave_room_for_is_not_sent_in_part() {
    let (place, server, client) = place(listing(Some(6)), Limits::default(), LISTED).await;
    exchange(&server, &client).await;
    client.send(b"face").await.unwrap();
    let record = place.record().await;
    assert_eq!((record.reason, record.bytes_out), (Some(Reason::BudgetSpent), 4));
    assert_eq!(server.try_recv(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn one_association_too_many_is_refused() {
    let (place, server, client) = place(listing(None), Limits { associations: 1, ..Limits::default() }, LISTED).await;
    exchange(&server, &client).await;
    let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    other.send_to(b"face", client.peer_addr().unwrap()).await.unwrap();
    assert_eq!(place.record().await.reason, Some(Reason::AssociationLimitReached));
}

#[test]
fn each_endpoint_has_a_line_and_a_port() {
    let endpoints = endpoints(|_| Some("192.0.2.40:5000, [2001:db8::4]:123".to_owned())).unwrap();
    let rules = rules(&endpoints, CarveOut::Mark);
    assert_eq!(
        rules.lines().collect::<Vec<_>>(),
        [
            "insert rule inet shekara nat-out meta mark != 0x5ba1 ip daddr 192.0.2.40 udp dport 5000 redirect to :15100",
            "insert rule inet shekara nat-out meta mark != 0x5ba1 ip6 daddr 2001:db8::4 udp dport 123 redirect to :15101"
        ]
    );
}
