use shekara_policy::peer::{Cover, Peer};
use shekara_policy::record::{Decision, Direction, FlowRecord};
use shekara_policy::{Limits, PolicyDocument, peer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::Config;
use crate::flow::registry::keep_judging;
use crate::flow::tests::{Place, config, document};

/// The pod's own address and port, and clients: at home, abroad, and in the cluster.
const HERE: &str = "10.244.0.5:8080";
const HOME: &str = "192.0.2.7:40000";
const ABROAD: &str = "198.51.100.7:40000";
const MEMBER: &str = "10.244.0.9:40000";

/// Lists clients at home.
fn listing() -> PolicyDocument {
    let inbound = serde_json::json!({
        "standards": [{"standard": "kz", "from": []}],
        "clients": [{"network": "0.0.0.0/0", "data": ["biometric.face"],
            "constraints": [{"standard": "kz", "countries": ["KZ"], "minTls": null}]}]
    });
    PolicyDocument { inbound: Some(serde_json::from_value(inbound).unwrap()), ..document() }
}

fn pod(enforcing: bool) -> Peer {
    let (data, standards) = (["biometric.face".parse().unwrap()].into(), ["kz".to_owned()].into());
    let cover = Cover { holding: "cameras/street".into(), data, standards, enforcing };
    Peer { services: [].into(), ends: [peer::End::Pod([cover].into())].into(), sources: [].into() }
}

async fn place(document: PolicyDocument) -> (Place, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut place = Place::new(document, [(HERE, server.local_addr().unwrap())]);
    let context = place.context.clone();
    place.begin(async { drop(keep_judging(context).await) });
    (place, server)
}

/// A client's connection that is carried.
async fn client(place: &mut Place, from: &str) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    place.begin(carry(place.context.clone(), stream, from.parse().unwrap(), HERE.parse().unwrap()));
    client
}

async fn is_reset(client: &mut TcpStream) {
    assert!(client.read(&mut [0; 16]).await.is_err(), "it is closed like one that is complete");
}

async fn denied(place: &mut Place, from: &str, reason: Reason) -> FlowRecord {
    let mut client = client(place, from).await;
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.verdict, record.reason, record.bytes_out), (Decision::Deny, Some(reason), 0));
    record
}

#[tokio::test]
async fn a_listed_client_reads_until_both_sides_are_done() {
    let (mut place, server) = place(listing()).await;
    let mut client = client(&mut place, HOME).await;
    let (mut application, _) = server.accept().await.unwrap();
    application.write_all(b"hello").await.unwrap();
    client.read_exact(&mut [0; 5]).await.unwrap();
    client.write_all(b"give").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = Vec::new();
    application.read_to_end(&mut said).await.unwrap();
    application.write_all(b"face").await.unwrap();
    application.shutdown().await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!((said.as_slice(), heard.as_slice()), (&b"give"[..], &b"face"[..]));
    let record = place.record().await;
    assert_eq!((record.direction, record.client), (Direction::Inbound, "192.0.2.7".parse().ok()));
    assert_eq!((record.bytes_out, record.bytes_in, record.end), (9, 4, End::Completed));
    assert_eq!((record.port, record.rules[0].recipient.as_str()), (8080, "0.0.0.0/0"));
    let totals = place.context.ledger.snapshot();
    assert_eq!((totals.len(), totals[0].inbound, totals[0].bytes_out), (1, true, 9));
    assert_eq!(place.context.metrics.of(Direction::Outbound).bytes_out.get(), 0);
    assert_eq!(place.context.metrics.live_flows(), 0);
}

#[tokio::test]
async fn a_client_abroad_and_one_that_nobody_answers_for_never_reach_the_application() {
    let (mut place, server) = place(listing()).await;
    let record = denied(&mut place, ABROAD, Reason::InboundCrossBorder).await;
    assert_eq!((record.country, record.standard.as_deref()), ("DE".parse().ok(), Some("kz")));
    denied(&mut place, MEMBER, Reason::PeerUnanswered).await;
    place.context.peers.learn("10.244.0.9:0".parse().unwrap(), pod(false));
    denied(&mut place, MEMBER, Reason::InboundNotEnforcing).await;
    let accepted = tokio::time::timeout(std::time::Duration::from_millis(50), server.accept()).await;
    assert!(accepted.is_err(), "the application was reached");
}

#[tokio::test]
async fn a_live_flow_ends_with_what_let_it_in() {
    let (mut place, server) = place(listing()).await;
    place.context.peers.learn("10.244.0.9:0".parse().unwrap(), pod(true));
    let mut member = client(&mut place, MEMBER).await;
    let _first = server.accept().await.unwrap();
    let mut home = client(&mut place, HOME).await;
    let _second = server.accept().await.unwrap();
    place.context.peers.learn("10.244.0.9:0".parse().unwrap(), pod(false));
    is_reset(&mut member).await;
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::InboundNotEnforcing), End::PolicyChanged));
    let mut closed = listing();
    closed.inbound.as_mut().unwrap().clients.clear();
    place.put_in_force(vec![closed]);
    is_reset(&mut home).await;
    assert_eq!(place.record().await.reason, Some(Reason::InboundUnlisted));
}

#[tokio::test]
async fn an_early_answer_arrives_although_the_application_resets_the_connection_behind_it() {
    let (mut place, server) = place(listing()).await;
    // chance decides whether the relay reads the application first or writes to it
    for _ in 0..64 {
        let mut client = client(&mut place, HOME).await;
        let (application, _) = server.accept().await.unwrap();
        client.write_all(b"upload").await.unwrap();
        application.peek(&mut [0]).await.unwrap();
        application.writable().await.unwrap();
        // the kernel resets a connection that is closed with bytes unread
        assert_eq!(application.try_write(b"413").unwrap(), 3);
        drop(application);
        assert_eq!(client.try_write(b"goes on").unwrap(), 7);
        let mut answer = [0; 3];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"413");
        is_reset(&mut client).await;
        let record = place.record().await;
        assert_eq!((record.end, record.bytes_out), (End::Broken, 3));
    }
}

#[tokio::test]
async fn where_nobody_asks_for_lists_everybody_passes_and_the_record_says_so() {
    let (mut place, server) = place(document()).await;
    let client = client(&mut place, ABROAD).await;
    let (application, _) = server.accept().await.unwrap();
    drop((client, application));
    let record = place.record().await;
    assert_eq!((record.verdict, record.rules[0].recipient.as_str()), (Decision::Allow, shekara_policy::decide::OPEN));
}

#[tokio::test]
async fn an_application_that_does_not_answer_is_an_end_and_no_denial() {
    let (mut place, server) = place(document()).await;
    drop(server);
    let mut client = client(&mut place, ABROAD).await;
    is_reset(&mut client).await;
    let record = place.record().await;
    assert_eq!((record.verdict, record.end), (Decision::Allow, End::Unreachable));
}

#[tokio::test]
async fn one_client_too_many_is_refused_and_takes_no_place_of_the_pods_own_flows() {
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config { limits: Limits { flows: 1, ..Limits::default() }, ..config() };
    let mut place = Place::configured(config, document(), [(HERE, application.local_addr().unwrap())]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = listener.local_addr().unwrap();
    let (context, stop) = (place.context.clone(), CancellationToken::new());
    place.begin(async { serve(listener, |_| Ok(([10, 244, 0, 5], 8080).into()), context, stop).await.unwrap() });
    let _first = TcpStream::connect(front).await.unwrap();
    let _reached = application.accept().await.unwrap();
    // which may be as early as it is connected
    let beyond = async { TcpStream::connect(front).await?.read(&mut [0]).await };
    assert!(beyond.await.is_err());
    assert_eq!(place.record().await.reason, Some(Reason::LimitReached));
    assert!(place.context.flows.take().is_some());
}
