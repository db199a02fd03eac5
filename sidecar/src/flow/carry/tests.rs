use std::io::ErrorKind;
use std::time::Duration;

use jiff::Timestamp;
use rstest::rstest;
use shekara_policy::Protocol;
use shekara_policy::flow::TlsVersion;
use shekara_policy::record::{Decision, End, FlowRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::flow::hello::tls::ACCESS_DENIED;
use crate::flow::registry::keep_judging;
use crate::flow::relay::CONTINUE;
use crate::flow::tests::{Place, RESOLVER, Resolver, document};

pub(super) const CLINIC: &str = "api.clinic.example.kz";

/// The ClientHello of a real client.
pub(super) fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A server, and a place where the addresses given lead to it.
async fn place_with(
    addresses: &[&'static str],
    names: &[(&'static str, &'static [&'static str])],
) -> (Place, TcpListener, Resolver) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::new(names.iter().copied()).await;
    let to_server = addresses.iter().map(|address| (*address, server.local_addr().unwrap()));
    let place = Place::new(document(), to_server.chain([(RESOLVER, resolver.address)]));
    (place, server, resolver)
}

async fn exchange(server: &TcpListener, client: &mut TcpStream, sent: &[u8]) -> TcpStream {
    client.write_all(sent).await.unwrap();
    let (mut served, _) = server.accept().await.unwrap();
    let mut arrived = vec![0; sent.len()];
    served.read_exact(&mut arrived).await.unwrap();
    assert!(arrived == sent, "other bytes arrived");
    served
}

pub(super) async fn all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

pub(super) async fn is_reset(client: &mut TcpStream) {
    let mut bytes = Vec::new();
    let outcome = tokio::time::timeout(Duration::from_secs(5), client.read_to_end(&mut bytes)).await.expect("it goes on");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset, "{bytes:?}");
}

fn denied(record: &FlowRecord, reason: Reason) {
    assert_eq!((record.verdict, record.reason, record.end), (Decision::Deny, Some(reason), End::Refused), "{record:?}");
    assert_eq!((record.dialled, record.bytes_out), (None, 0), "{record:?}");
}

#[rstest]
#[case::as_chosen("192.0.2.2:443", &["192.0.2.1", "192.0.2.2"], "192.0.2.2")]
#[case::chosen_elsewhere("203.0.113.9:443", &["192.0.2.1"], "192.0.2.1")]
#[case::chosen_abroad("198.51.100.1:443", &["198.51.100.1", "192.0.2.1"], "192.0.2.1")]
#[case::v6("[2001:db8::9]:443", &["2001:db8::1"], "2001:db8::1")]
#[case::other_family("[2001:db8:ffff::9]:443", &["192.0.2.1"], "192.0.2.1")]
#[case::other_family_where_the_chosen_does_not_answer("[2001:db8::7]:443", &["2001:db8::7", "192.0.2.1"], "192.0.2.1")]
#[case::other_family_where_none_of_the_chosen_answers("192.0.2.3:443", &["192.0.2.3", "192.0.2.4", "2001:db8::1"], "2001:db8::1")]
#[tokio::test]
async fn a_listed_party_is_reached_at_a_judged_address(
    #[case] chosen: &'static str,
    #[case] found: &'static [&'static str],
    #[case] dialled: &str,
) {
    let judged = ["192.0.2.1:443", "192.0.2.2:443", "[2001:db8::1]:443"];
    let (mut place, server, _resolver) = place_with(&judged, &[(CLINIC, found)]).await;
    let mut client = place.client(chosen).await;
    let mut served = exchange(&server, &mut client, &hello(CLINIC)).await;
    client.shutdown().await.unwrap();
    assert!(all(&mut served).await.is_empty(), "the half-close is carried on");
    served.write_all(b"answer").await.unwrap();
    served.shutdown().await.unwrap();
    assert_eq!(all(&mut client).await, b"answer");
    let record = place.record().await;
    assert_eq!((record.verdict, record.end, record.dialled), (Decision::Allow, End::Completed, Some(dialled.parse().unwrap())));
    assert_eq!((record.name.as_deref(), record.port, record.protocol), (Some(CLINIC), 443, Protocol::Tls));
    assert_eq!((record.bytes_out, record.bytes_in), (hello(CLINIC).len() as u64, 6));
    assert_eq!((record.rules[0].recipient.as_str(), record.data.len()), ("clinic", 1));
    assert_eq!(record.country, Some("KZ".parse().unwrap()));
    let totals = place.context.ledger.snapshot();
    assert_eq!((totals.len(), totals[0].flows, totals[0].bytes_in), (1, 1, 6));
    assert_eq!(totals[0].last_destination, CLINIC);
}

#[rstest]
#[case::unlisted("ads.example.com", &[], Reason::UnlistedParty)]
#[case::abroad(CLINIC, &[(CLINIC, &["198.51.100.1"] as &[_])], Reason::CrossBorder)]
#[case::nowhere(CLINIC, &[(CLINIC, &["203.0.113.1"] as &[_])], Reason::UnknownCountry)]
#[case::rebinding(CLINIC, &[(CLINIC, &["127.0.0.1"] as &[_])], Reason::ForbiddenAddress)]
#[case::no_such_name(CLINIC, &[], Reason::NoAddress)]
#[case::failure(CLINIC, &[(CLINIC, &[] as &[_])], Reason::LookupFailed)]
#[case::unnamed("192.0.2.1", &[], Reason::NoName)]
#[tokio::test]
async fn tls_that_may_not_leave_gets_an_alert(
    #[case] name: &str,
    #[case] names: &[(&'static str, &'static [&'static str])],
    #[case] reason: Reason,
) {
    let (mut place, _server, resolver) = place_with(&[], names).await;
    let mut client = place.client("192.0.2.1:443").await;
    client.write_all(&hello(name)).await.unwrap();
    assert_eq!(all(&mut client).await, ACCESS_DENIED);
    let record = place.record().await;
    denied(&record, reason);
    assert_eq!(
        record.country.is_some(),
        matches!(reason, Reason::CrossBorder | Reason::UnknownCountry | Reason::ForbiddenAddress)
    );
    if reason == Reason::UnlistedParty {
        assert_eq!(record.name.as_deref(), Some(name));
        assert!(resolver.asked().is_empty(), "an unlisted name is not even looked up");
    }
}

#[tokio::test]
async fn http_is_passed_on_request_by_request() {
    let host = "www.clinic.example.kz";
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:80"], &[(host, &["192.0.2.1"])]).await;
    let mut client = place.client("192.0.2.1:80").await;
    let request = format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n\r\nbody");
    let mut served = exchange(&server, &mut client, request.as_bytes()).await;
    client.write_all(request.as_bytes()).await.unwrap();
    let mut second = vec![0; request.len()];
    served.read_exact(&mut second).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: ads.example.com\r\n\r\n").await.unwrap();
    is_reset(&mut client).await;
    let mut rest = Vec::new();
    assert_eq!(served.read_to_end(&mut rest).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(rest.is_empty(), "{rest:?}");
    let record = place.record().await;
    assert_eq!((record.verdict, record.reason, record.end), (Decision::Deny, Some(Reason::AmbiguousAuthority), End::Broken));
    assert_eq!(record.bytes_out, 2 * request.len() as u64);
}

#[tokio::test]
async fn who_waits_for_leave_to_send_a_body_gets_it_and_the_server_is_not_asked() {
    let host = "www.clinic.example.kz";
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:80"], &[(host, &["192.0.2.1"])]).await;
    let mut client = place.client("192.0.2.1:80").await;
    let head = |expect: &str| format!("PUT / HTTP/1.1\r\nHost: {host}\r\n{expect}Content-Length: 4\r\n\r\n");
    let mut served = None;
    // a later request on the connection waits no longer than the first
    for _ in 0..2 {
        client.write_all(head("Expect: 100-continue\r\n").as_bytes()).await.unwrap();
        let mut leave = vec![0; CONTINUE.len()];
        client.read_exact(&mut leave).await.unwrap();
        assert_eq!(leave, CONTINUE);
        // what looks like another request is the body that was announced, and goes nowhere else
        client.write_all(b"GET ").await.unwrap();
        let served = match &mut served {
            Some(served) => served,
            none => none.insert(server.accept().await.unwrap().0),
        };
        let expected = head("") + "GET ";
        let mut arrived = vec![0; expected.len()];
        served.read_exact(&mut arrived).await.unwrap();
        assert_eq!(String::from_utf8(arrived).unwrap(), expected);
        served.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        client.read_exact(&mut [0; 27]).await.unwrap();
    }
    drop((client, served));
    assert_eq!(place.record().await.bytes_in, 2 * 27, "the sidecar's own words came from nobody");
}

/// The lowest version that the standard asks for, what the server answers, and whether the flow goes on.
#[rstest]
#[case::as_asked(Some(TlsVersion::V13), &[0, 43, 0, 2, 3, 4], true)]
#[case::older(Some(TlsVersion::V13), &[], false)]
#[case::old_enough(Some(TlsVersion::V12), &[], true)]
#[case::nothing_asked(None, &[], true)]
#[tokio::test]
async fn the_version_that_the_server_chooses_is_judged(
    #[case] min_tls: Option<TlsVersion>,
    #[case] extensions: &[u8],
    #[case] goes_on: bool,
) {
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:443"], &[(CLINIC, &["192.0.2.1"])]).await;
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    let mut asking = document();
    asking.routes[0].constraints[0].min_tls = min_tls;
    place.put_in_force(vec![asking.clone()]);
    let mut client = place.client("192.0.2.1:443").await;
    let mut served = exchange(&server, &mut client, &hello(CLINIC)).await;
    let length = u8::try_from(extensions.len()).unwrap();
    let body = [&[3, 3][..], &[7; 32], &[0, 0x13, 1, 0, 0, length], extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    let answer = [&[22, 3, 3, 0, length + 4, 2, 0, 0, length][..], &body].concat();
    served.write_all(&answer).await.unwrap();
    if !goes_on {
        assert_eq!(all(&mut client).await, ACCESS_DENIED);
        assert_eq!(served.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        let record = place.record().await;
        assert_eq!((record.reason, record.standard.as_deref()), (Some(Reason::TLSDowngraded), Some("kz")), "{record:?}");
        assert_eq!(record.bytes_out, hello(CLINIC).len() as u64);
        return;
    }
    let mut arrived = vec![0; answer.len()];
    client.read_exact(&mut arrived).await.unwrap();
    assert_eq!(arrived, answer, "it is passed on as it is");
    // a standard that asks for more later finds the version that was chosen
    asking.routes[0].constraints[0].min_tls = Some(TlsVersion::V13);
    asking.holding.uid = "2".into();
    place.put_in_force(vec![asking]);
    if extensions.is_empty() {
        is_reset(&mut client).await;
        assert_eq!(place.record().await.reason, Some(Reason::TLSTooOld));
    } else {
        client.write_all(b"goes on").await.unwrap();
        served.read_exact(&mut [0; 7]).await.unwrap();
    }
}

#[tokio::test]
async fn a_flow_that_is_denied_after_an_address_was_dialled_was_not_refused_before() {
    let (mut place, _server, _resolver) = place_with(&["192.0.2.3:443"], &[(CLINIC, &["192.0.2.1", "192.0.2.2"])]).await;
    let mut short = document();
    let begun = place.context.clock.now();
    short.routes[0].permits.as_mut().unwrap()[0].valid_until = Some(begun + Duration::from_millis(200));
    place.put_in_force(vec![short]);
    // the permit ends between the first address and the second
    place.context.dialler.linger(Duration::from_millis(400));
    let mut client = place.client("192.0.2.1:443").await;
    client.write_all(&hello(CLINIC)).await.unwrap();
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::PermitExpired), End::PolicyChanged), "{record:?}");
}

#[tokio::test]
async fn a_hello_that_is_longer_than_the_limit_is_refused_as_that() {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    let mut client = place.client("192.0.2.1:80").await;
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 20_000]].concat();
    let _ = client.write_all(&endless).await;
    denied(&place.record().await, Reason::HelloTooLong);
}

#[tokio::test]
async fn labels_below_a_wildcard_are_counted_for_flows_too() {
    let (mut place, _server, resolver) = place_with(&[], &[]).await;
    let limit = place.context.config.limits.labels_per_hour;
    for number in 0..limit {
        place.context.spell(&format!("n{number}.clinic.example.kz").parse().unwrap()).unwrap();
    }
    let mut client = place.client("192.0.2.1:80").await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: face-4711.clinic.example.kz\r\n\r\n").await.unwrap();
    assert!(String::from_utf8(all(&mut client).await).unwrap().contains("Shekara-Reason: TooManyLabels"));
    denied(&place.record().await, Reason::TooManyLabels);
    assert!(resolver.asked().is_empty());
    assert_eq!(place.context.metrics.labels.get(), u64::from(limit));
}

#[tokio::test]
async fn websocket_goes_on_behind_the_handshake() {
    let host = "www.clinic.example.kz";
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:80"], &[(host, &["192.0.2.1"])]).await;
    let mut client = place.client("192.0.2.1:80").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    let mut served = exchange(&server, &mut client, request.as_bytes()).await;
    served.write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    client.write_all(b"\x81\x02hi").await.unwrap();
    let mut frame = [0; 4];
    served.read_exact(&mut frame).await.unwrap();
    assert_eq!(&frame, b"\x81\x02hi");
}

#[tokio::test]
async fn websocket_behind_another_request_gets_the_answers_that_are_owed_and_the_end_of_the_connection() {
    let host = "www.clinic.example.kz";
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:80"], &[(host, &["192.0.2.1"])]).await;
    let mut client = place.client("192.0.2.1:80").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut served = exchange(&server, &mut client, request.as_bytes()).await;
    let handshake = format!("GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    client.write_all(handshake.as_bytes()).await.unwrap();
    assert!(all(&mut served).await.is_empty(), "nothing of the handshake is passed on");
    // looks like leave to speak WebSocket, and opens nothing
    let answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
    served.write_all(answer).await.unwrap();
    served.shutdown().await.unwrap();
    assert_eq!(all(&mut client).await, answer, "and no reset follows");
    let record = place.record().await;
    assert_eq!((record.verdict, record.reason, record.end), (Decision::Deny, Some(Reason::LateWebSocket), End::Broken));
    assert_eq!(record.bytes_out, request.len() as u64);
}

#[rstest]
#[case::unlisted("GET / HTTP/1.1\r\nHost: ads.example.com\r\n\r\n", Reason::UnlistedParty)]
#[case::port("GET / HTTP/1.1\r\nHost: www.clinic.example.kz:8080\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::address("GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", Reason::NoName)]
#[case::other_address("GET / HTTP/1.1\r\nHost: 192.0.2.2\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::connect("CONNECT ads.example.com:443 HTTP/1.1\r\n\r\n", Reason::ProxyRequest)]
#[tokio::test]
async fn http_that_may_not_leave_is_told_why(#[case] request: &str, #[case] reason: Reason) {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    let mut client = place.client("192.0.2.1:80").await;
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = String::from_utf8(all(&mut client).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    assert!(answer.contains(&format!("\r\nShekara-Reason: {reason}\r\n")) && answer.contains(reason.sentence()), "{answer}");
    denied(&place.record().await, reason);
}

#[rstest]
#[case::unlisted_port("192.0.2.1:9999", Reason::UnlistedParty)]
#[case::api_server("10.96.0.1:443", Reason::ClusterAPIDenied)]
#[case::metadata("169.254.169.254:80", Reason::ForbiddenAddress)]
#[tokio::test]
async fn what_no_byte_could_help_is_reset_at_once(#[case] destination: &str, #[case] reason: Reason) {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    let mut client = place.client(destination).await;
    is_reset(&mut client).await;
    denied(&place.record().await, reason);
}

#[tokio::test]
async fn without_a_document_nothing_leaves() {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    place.put_in_force(vec![]);
    let mut client = place.client("192.0.2.1:443").await;
    is_reset(&mut client).await;
    denied(&place.record().await, Reason::NoDocument);
}

#[rstest]
#[case::pinned("192.0.2.11:1883", Some("broker.example.kz"))]
#[case::in_cluster("10.96.0.20:5432", None)]
#[case::network("10.40.0.7:554", None)]
#[tokio::test]
async fn where_no_byte_is_awaited_the_server_may_speak_first(#[case] destination: &'static str, #[case] name: Option<&str>) {
    let (mut place, server, _resolver) = place_with(&[destination], &[]).await;
    let pinned = ["192.0.2.11".parse().unwrap()];
    place.context.pins.pin(&"broker.example.kz".parse().unwrap(), &pinned, Duration::ZERO, Instant::now());
    let mut client = place.client(destination).await;
    let (mut served, _) = server.accept().await.unwrap();
    served.write_all(b"banner").await.unwrap();
    served.shutdown().await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(all(&mut client).await, b"banner");
    let record = place.record().await;
    assert_eq!((record.verdict, record.protocol, record.name.as_deref()), (Decision::Allow, Protocol::Tcp, name));
}

#[rstest]
#[case::still_there(&["192.0.2.12", "192.0.2.11"], None)]
#[case::elsewhere_now(&["192.0.2.12"], Some(Reason::UnlistedParty))]
#[tokio::test]
async fn an_address_that_was_answered_long_ago_counts_as_long_as_its_name_has_it(
    #[case] found: &'static [&'static str],
    #[case] reason: Option<Reason>,
) {
    const BROKER: &str = "broker.example.kz";
    let (mut place, server, resolver) = place_with(&["192.0.2.11:1883"], &[(BROKER, found)]).await;
    let hour = Duration::from_secs(3600);
    let long_ago = Instant::now().checked_sub(hour).unwrap();
    place.context.pins.pin(&BROKER.parse().unwrap(), &["192.0.2.11".parse().unwrap()], Duration::ZERO, long_ago);
    let mut client = place.client("192.0.2.11:1883").await;
    match reason {
        None => drop(exchange(&server, &mut client, b"CONNECT").await),
        Some(_) => is_reset(&mut client).await,
    }
    drop(client);
    let record = place.record().await;
    assert_eq!(record.reason, reason, "{record:?}");
    assert_eq!(resolver.asked().len(), 1);
}

#[rstest]
#[case::where_clients_are_judged(true, "10.244.0.9:15432")]
#[case::where_they_are_not(false, "10.96.0.20:5432")]
#[tokio::test]
async fn a_service_that_may_lead_back_to_this_pod_is_reached_in_it_where_clients_are_judged(
    #[case] judged: bool,
    #[case] dialled: &'static str,
) {
    let (mut place, server, _resolver) = place_with(&[dialled], &[]).await;
    let inbound = judged.then(|| shekara_policy::document::Inbound { standards: vec![], clients: vec![] });
    place.put_in_force(vec![shekara_policy::PolicyDocument { inbound, ..document() }]);
    let (at, peer) = crate::flow::tests::Archive::peers().into_iter().next().unwrap();
    let answer = shekara_policy::exchange::PeerAnswer { at, peer, own: Some("10.244.0.9:15432".parse().unwrap()) };
    place.context.peers.take(shekara_policy::exchange::PeerEvent { captured: None, peers: vec![answer] });
    let mut client = place.client("10.96.0.20:5432").await;
    drop(exchange(&server, &mut client, b"hello").await);
    drop(client);
    assert_eq!(place.record().await.verdict, Decision::Allow);
}

#[tokio::test]
async fn tls_to_a_listed_network_goes_to_the_chosen_address_whatever_it_is_called() {
    let (mut place, server, resolver) = place_with(&["10.40.0.7:8443"], &[]).await;
    let mut client = place.client("10.40.0.7:8443").await;
    exchange(&server, &mut client, &hello("camera.example.com")).await;
    drop(client);
    let record = place.record().await;
    assert_eq!((record.dialled, record.name.as_deref()), (Some("10.40.0.7".parse().unwrap()), Some("camera.example.com")));
    assert_eq!((record.rules[0].recipient.as_str(), resolver.asked().len()), ("cameras", 0));
}

#[tokio::test]
async fn the_next_address_is_tried_and_none_is_no_denial() {
    let (mut place, server, _resolver) = place_with(&["192.0.2.2:443"], &[(CLINIC, &["192.0.2.1", "192.0.2.2"])]).await;
    let mut client = place.client("192.0.2.1:443").await;
    exchange(&server, &mut client, &hello(CLINIC)).await;
    drop(client);
    assert_eq!(place.record().await.dialled, Some("192.0.2.2".parse().unwrap()));
    let (mut place, _server, _resolver) = place_with(&[], &[(CLINIC, &["192.0.2.1", "192.0.2.2"])]).await;
    let mut client = place.client("192.0.2.1:443").await;
    client.write_all(&hello(CLINIC)).await.unwrap();
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.verdict, record.end), (Decision::Allow, End::Unreachable));
}

#[tokio::test]
async fn a_live_flow_ends_with_the_document_that_allowed_it() {
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:443"], &[(CLINIC, &["192.0.2.1"])]).await;
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    let mut client = place.client("192.0.2.1:443").await;
    let mut served = exchange(&server, &mut client, &hello(CLINIC)).await;
    let mut without = document();
    without.holding.uid = "2".into();
    place.put_in_force(vec![without.clone()]);
    client.write_all(b"goes on").await.unwrap();
    served.read_exact(&mut [0; 7]).await.unwrap();
    without.routes.clear();
    place.put_in_force(vec![without]);
    is_reset(&mut client).await;
    assert_eq!(served.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let record = place.record().await;
    assert_eq!((record.verdict, record.reason, record.end), (Decision::Deny, Some(Reason::UnlistedParty), End::PolicyChanged));
    assert_eq!((record.rules[0].recipient.as_str(), record.denied_by.as_deref()), ("clinic", Some("cameras/street")));
    assert!(place.context.registry.is_empty());
}

#[tokio::test]
async fn a_live_flow_is_judged_by_another_table_of_countries() {
    let folder = tempfile::tempdir().unwrap();
    let put = |country: &str| {
        let mut source = shekara_policy::geo::build::SourceBuilder::new("test").unwrap();
        source.add_csv(format!("192.0.2.0/24,{country}\n").as_bytes()).unwrap();
        std::fs::write(folder.path().join("next"), shekara_policy::geo::build::table(&[source]).unwrap()).unwrap();
        std::fs::rename(folder.path().join("next"), folder.path().join("a.geo")).unwrap();
    };
    put("KZ");
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::new([(CLINIC, &["192.0.2.1"] as &[_])]).await;
    let mut document = document();
    document.standards[0].networks.clear();
    let config = crate::config::Config { geo: folder.path().to_owned(), ..crate::flow::tests::config() };
    let detours = [("192.0.2.1:443", server.local_addr().unwrap()), (RESOLVER, resolver.address)];
    let mut place = Place::configured(config, document, detours);
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    let mut client = place.client("192.0.2.1:443").await;
    let mut served = exchange(&server, &mut client, &hello(CLINIC)).await;
    // to be seen by whoever judges, it must have begun to listen
    client.write_all(b"goes on").await.unwrap();
    served.read_exact(&mut [0; 7]).await.unwrap();
    put("DE");
    place.context.geo.look().unwrap();
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::CrossBorder), End::PolicyChanged));
}

#[tokio::test]
async fn a_live_flow_ends_with_its_permit() {
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:443"], &[(CLINIC, &["192.0.2.1"])]).await;
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    let mut ending = document();
    let end = Timestamp::now() + Duration::from_millis(400);
    ending.routes[0].permits.as_mut().unwrap()[0].valid_until = Some(end);
    place.put_in_force(vec![ending]);
    let mut client = place.client("192.0.2.1:443").await;
    let _served = exchange(&server, &mut client, &hello(CLINIC)).await;
    is_reset(&mut client).await;
    assert!(Timestamp::now() >= end);
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::PermitExpired), End::PolicyChanged));
}

#[tokio::test]
async fn what_is_cut_off_looks_cut_off_and_has_its_record() {
    let (mut place, server, _resolver) = place_with(&["192.0.2.1:443"], &[(CLINIC, &["192.0.2.1"])]).await;
    let mut client = place.client("192.0.2.1:443").await;
    let mut served = exchange(&server, &mut client, &hello(CLINIC)).await;
    let mut unnamed = place.client("192.0.2.1:443").await;
    while place.context.metrics.live_flows() < 2 {
        tokio::task::yield_now().await;
    }
    place.stop().await;
    is_reset(&mut client).await;
    is_reset(&mut unnamed).await;
    assert_eq!(served.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut ends = [place.record().await, place.record().await];
    ends.sort_by_key(|record| record.bytes_out);
    assert_eq!(
        ends.each_ref().map(|record| (record.verdict, record.end)),
        [(Decision::Deny, End::Stopped), (Decision::Allow, End::Stopped)]
    );
    assert_eq!(place.context.metrics.live_flows(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_not_waited_for() {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    let mut client = place.client("192.0.2.1:443").await;
    is_reset_without_clock(&mut client).await;
    denied(&place.record().await, Reason::NameTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_is_away_is_not_waited_for_twice() {
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut place = Place::new(document(), [(RESOLVER, silent.local_addr().unwrap())]);
    let begun = Instant::now();
    let mut client = place.client("192.0.2.1:443").await;
    client.write_all(&hello(CLINIC)).await.unwrap();
    client.read_exact(&mut [0; ACCESS_DENIED.len()]).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    denied(&place.record().await, Reason::LookupFailed);
}

async fn is_reset_without_clock(client: &mut TcpStream) {
    assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_leaves_without_a_word_is_recorded() {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    drop(place.client("192.0.2.1:443").await);
    denied(&place.record().await, Reason::NoName);
}

#[tokio::test]
async fn much_is_carried_both_ways_past_slow_receivers() {
    const MUCH: usize = 6 * 1024 * 1024;
    let (mut place, server, _resolver) = place_with(&["10.96.0.20:5432"], &[]).await;
    let client = place.client("10.96.0.20:5432").await;
    let (served, _) = server.accept().await.unwrap();
    let pattern = |seed: usize| (0..MUCH).map(move |index| (index * 31 + index / 251 + seed) as u8);
    let side = |stream: TcpStream, send: usize, receive: usize| async move {
        let (mut reader, mut writer) = stream.into_split();
        let mut sending = JoinSetOfOne::new(async move {
            writer.write_all(&pattern(send).collect::<Vec<_>>()).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        // the sender gets ahead until everything between is full
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        sending.join().await;
        assert!(bytes.iter().copied().eq(pattern(receive)), "other bytes arrived");
    };
    tokio::join!(side(client, 1, 2), side(served, 2, 1));
    let record = place.record().await;
    assert_eq!((record.bytes_out, record.bytes_in, record.end), (MUCH as u64, MUCH as u64, End::Completed));
}

/// One task that is joined.
struct JoinSetOfOne(tokio::task::JoinSet<()>);

impl JoinSetOfOne {
    fn new(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut set = tokio::task::JoinSet::new();
        set.spawn(task);
        Self(set)
    }

    async fn join(&mut self) {
        self.0.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_broken_destination_is_a_broken_flow() {
    let (mut place, server, _resolver) = place_with(&["10.96.0.20:5432"], &[]).await;
    let mut client = place.client("10.96.0.20:5432").await;
    drop(Abrupt::new(exchange(&server, &mut client, b"hello").await));
    is_reset(&mut client).await;
    assert_eq!(place.record().await.end, End::Broken);
}

#[tokio::test]
async fn an_early_answer_arrives_although_the_server_resets_the_connection_behind_it() {
    let (mut place, server, _resolver) = place_with(&["10.96.0.20:5432"], &[]).await;
    // chance decides whether the relay reads the server first or writes to it
    for _ in 0..32 {
        let mut client = place.client("10.96.0.20:5432").await;
        let served = exchange(&server, &mut client, b"head").await;
        client.write_all(b"body").await.unwrap();
        served.peek(&mut [0]).await.unwrap();
        served.writable().await.unwrap();
        // the kernel resets a connection that is closed with bytes unread
        assert_eq!(served.try_write(b"413").unwrap(), 3);
        drop(served);
        assert_eq!(client.try_write(b"goes on").unwrap(), 7);
        let mut answer = [0; 3];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"413");
        is_reset(&mut client).await;
        let record = place.record().await;
        assert_eq!((record.end, record.bytes_in), (End::Broken, 3));
    }
}

#[tokio::test]
async fn a_proof_is_answered_and_leaves_no_record() {
    let (mut place, _server, _resolver) = place_with(&[], &[]).await;
    let mut client = place.client("[2001:db8::1]:4").await;
    client.write_all(b"SHEKARA-VERIFY abc\n").await.unwrap();
    assert_eq!(all(&mut client).await, b"SHEKARA-PROOF abc [2001:db8::1]:4 udp=0\n");
    assert_eq!(place.context.metrics.live_flows(), 0);
}

#[tokio::test]
async fn a_live_flow_ends_when_its_peer_is_another_and_the_address_is_denied_from_then_on() {
    let (mut place, server, _resolver) = place_with(&["10.96.0.20:5432"], &[]).await;
    let (context, archive) = (place.context.clone(), "10.96.0.20:5432".parse().unwrap());
    place.begin(async { drop(crate::flow::registry::keep_judging(context).await) });
    let mut client = place.client("10.96.0.20:5432").await;
    let _served = server.accept().await.unwrap();
    place.context.peers.learn(
        archive,
        shekara_policy::Peer { services: [].into(), ends: [shekara_policy::peer::End::Node].into(), sources: [].into() },
    );
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::PeerNodeAddress), End::PolicyChanged));
    let mut client = place.client("10.96.0.20:5432").await;
    is_reset(&mut client).await;
    denied(&place.record().await, Reason::PeerNodeAddress);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_leads_into_the_cluster_is_judged_by_who_is_there() {
    let (mut place, _server, _resolver) = place_with(&[], &[(CLINIC, &["10.96.0.1"])]).await;
    let mut client = place.client("192.0.2.1:443").await;
    client.write_all(&hello(CLINIC)).await.unwrap();
    let _ = all(&mut client).await;
    denied(&place.record().await, Reason::ClusterAPIDenied);
}

#[tokio::test]
async fn more_data_of_a_holding_do_not_cut_off_a_peer_that_is_told_to_hold_them_a_moment_later() {
    let (mut place, server, _resolver) = place_with(&["10.96.0.30:5432"], &[]).await;
    let (context, at) = (place.context.clone(), "10.96.0.30:5432".parse().unwrap());
    place.begin(async { drop(crate::flow::registry::keep_judging(context).await) });
    let holds = |data: &[&str]| {
        let data = data.iter().map(|category| category.parse().unwrap()).collect();
        let cover = shekara_policy::peer::Cover {
            holding: "cameras/street".into(),
            data,
            standards: ["kz".to_owned()].into(),
            enforcing: true,
        };
        shekara_policy::Peer {
            services: [].into(),
            ends: [shekara_policy::peer::End::Pod([cover].into())].into(),
            sources: [].into(),
        }
    };
    place.context.peers.learn(at, holds(&["biometric.face"]));
    let mut client = place.client("10.96.0.30:5432").await;
    let (mut served, _) = server.accept().await.unwrap();
    let mut more = document();
    more.data.insert("vehicle.location".parse().unwrap());
    place.put_in_force(vec![more.clone()]);
    tokio::time::sleep(Duration::from_millis(50)).await;
    place.context.peers.learn(at, holds(&["biometric.face", "vehicle.location"]));
    tokio::time::sleep(Duration::from_millis(400)).await;
    served.write_all(b"still there").await.unwrap();
    client.read_exact(&mut [0; 11]).await.unwrap();
    // and one that is not told in time is cut off
    more.data.insert("biometric.iris".parse().unwrap());
    place.put_in_force(vec![more]);
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::PeerOtherData), End::PolicyChanged));
}

#[tokio::test]
async fn requests_that_were_not_read_while_the_pod_observed_do_not_go_on_when_it_enforces() {
    let until = Timestamp::now() + jiff::SignedDuration::from_secs(1);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resolver = Resolver::new([(CLINIC, &["192.0.2.1"] as &[_])]).await;
    let detours = [("192.0.2.1:80", server.local_addr().unwrap()), (RESOLVER, resolver.address)];
    let config = crate::config::Config { observe_until: Some(until), ..crate::flow::tests::config() };
    let document = shekara_policy::PolicyDocument { observe_until: Some(until), ..document() };
    let mut place = Place::configured(config, document, detours);
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    let mut client = place.client("192.0.2.1:80").await;
    let request = format!("GET / HTTP/1.1\r\nHost: {CLINIC}\r\n\r\n");
    let _served = exchange(&server, &mut client, request.as_bytes()).await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n").await.unwrap();
    is_reset(&mut client).await;
    assert!(Timestamp::now() >= until);
    let record = place.record().await;
    assert_eq!((record.reason, record.end, record.observed), (Some(Reason::ObserveEnded), End::PolicyChanged, false));
    // one that begins now is read
    let mut late = place.client("192.0.2.1:80").await;
    late.write_all(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n").await.unwrap();
    denied(&place.record().await, Reason::UnlistedParty);
}
