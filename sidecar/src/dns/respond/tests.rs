use std::net::SocketAddr;

use hickory_proto::op::{Edns, Query, ResponseCode};
use hickory_proto::rr::Name;
use shekara_policy::Protocol;
use shekara_policy::record::Decision;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::dns::{tcp, udp};
use crate::flow::tests::{Place, RESOLVER, Resolver, document};

const BROKER: &str = "broker.example.kz";

/// More addresses than fit 512 bytes.
const MANY: &[&str] = &[
    "2001:db8::1",
    "2001:db8::2",
    "2001:db8::3",
    "2001:db8::4",
    "2001:db8::5",
    "2001:db8::6",
    "2001:db8::7",
    "2001:db8::8",
    "2001:db8::9",
    "2001:db8::a",
    "2001:db8::b",
    "2001:db8::c",
    "2001:db8::d",
    "2001:db8::e",
    "2001:db8::f",
    "2001:db8::10",
    "2001:db8::11",
    "2001:db8::12",
    "2001:db8::13",
    "2001:db8::14",
    "192.0.2.11",
];

async fn place() -> (Place, Resolver, SocketAddr, SocketAddr) {
    let resolver =
        Resolver::new([(BROKER, MANY), ("vectors.archive.svc.cluster.local", &["10.96.0.20"]), ("api.clinic.example.kz", &[])])
            .await;
    let mut place = Place::new(document(), [(RESOLVER, resolver.address)]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (over_udp, over_tcp) = (socket.local_addr().unwrap(), listener.local_addr().unwrap());
    let (first, second) = (place.context.clone(), place.context.clone());
    place.begin(async { udp::serve(socket, first).await.unwrap() });
    place.begin(async { tcp::serve(listener, second).await.unwrap() });
    (place, resolver, over_udp, over_tcp)
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn ask(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&question.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).await.unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn ask_over(stream: &mut TcpStream, question: &Message) -> Message {
    let bytes = question.to_vec().unwrap();
    stream.write_u16(bytes.len() as u16).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut buffer).await.unwrap();
    Message::from_vec(&buffer).unwrap()
}

#[tokio::test]
async fn a_listed_name_is_asked_and_pinned() {
    let (place, resolver, over_udp, _) = place().await;
    let answer = ask(over_udp, &question("Broker.example.KZ.", RecordType::A)).await;
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 1));
    assert_eq!(resolver.asked(), [("broker.example.kz.".to_owned(), RecordType::A)]);
    assert_eq!(place.context.pins.names("192.0.2.11".parse().unwrap(), Instant::now()).0, [BROKER.parse().unwrap()]);
    assert!(place.context.pins.names("2001:db8::1".parse().unwrap(), Instant::now()).0.is_empty());
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp_from_end_to_end() {
    let (_place, resolver, over_udp, over_tcp) = place().await;
    let asked = question("broker.example.kz.", RecordType::AAAA);
    let short = ask(over_udp, &asked).await;
    assert!(short.metadata.truncation && (1..20).contains(&short.answers.len()));
    assert_eq!(resolver.asked().len(), 2, "over UDP, and then over TCP");
    let mut stream = TcpStream::connect(over_tcp).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ask_over(&mut stream, &asked).await.answers.len(), 20);
    }
}

#[tokio::test]
async fn cluster_names_are_asked_and_not_pinned() {
    let (place, resolver, over_udp, _) = place().await;
    let answer = ask(over_udp, &question("vectors.archive.svc.cluster.local.", RecordType::A)).await;
    assert_eq!((answer.answers.len(), resolver.asked().len()), (1, 1));
    assert!(place.context.pins.names("10.96.0.20".parse().unwrap(), Instant::now()).0.is_empty());
    let searched = ask(over_udp, &question("broker.example.kz.archive.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(searched.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn an_unlisted_name_never_leaves_and_is_recorded() {
    let (place, resolver, over_udp, over_tcp) = place().await;
    let mut asked = question("secret.ads.example.com.", RecordType::TXT);
    asked.set_edns(Edns::new());
    let mut stream = TcpStream::connect(over_tcp).await.unwrap();
    for answer in [ask(over_udp, &asked).await, ask_over(&mut stream, &asked).await] {
        assert_eq!((answer.metadata.response_code, answer.authorities.len()), (ResponseCode::NXDomain, 1));
        assert!(answer.edns.unwrap().option(15.into()).is_some());
        let record = place.record().await;
        assert_eq!(
            (record.verdict, record.reason, record.protocol),
            (Decision::Deny, Some(Reason::UnlistedQuestion), Protocol::Dns)
        );
        assert_eq!((record.name.as_deref(), record.destination, record.port), (Some("secret.ads.example.com"), None, 53));
    }
    assert!(resolver.asked().is_empty());
    assert_eq!(place.context.ledger.snapshot()[0].flows, 2);
}

#[tokio::test]
async fn a_resolver_that_fails_is_asked_again_and_then_believed() {
    let (_place, resolver, over_udp, _) = place().await;
    let answer = ask(over_udp, &question("api.clinic.example.kz.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(resolver.asked().len(), 3);
}

#[tokio::test]
async fn without_a_document_nothing_is_asked() {
    let (place, resolver, over_udp, _) = place().await;
    place.put_in_force(vec![]);
    let answer = ask(over_udp, &question("broker.example.kz.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(place.record().await.reason, Some(Reason::NoDocument));
    assert!(resolver.asked().is_empty());
}

#[tokio::test(start_paused = true)]
async fn questions_that_wait_are_bounded() {
    // a resolver that never answers
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let place = Place::new(document(), [(RESOLVER, silent.local_addr().unwrap())]);
    let bytes = question("broker.example.kz.", RecordType::A).to_vec().unwrap();
    let waiting: Vec<_> = (0..place.context.config.limits.questions).map(|_| place.context.waiting.take().unwrap()).collect();
    let refused = respond(&place.context, &bytes).await.unwrap();
    assert_eq!(refused.answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(place.record().await.reason, Some(Reason::QuestionLimitReached));
    drop(waiting);
    let failed = respond(&place.context, &bytes).await.unwrap();
    assert_eq!(failed.answer.metadata.response_code, ResponseCode::ServFail);
    assert!(place.context.waiting.take().is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_told_so() {
    let (place, _resolver, over_udp, _) = place().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&[0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], over_udp).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (0xabcd, ResponseCode::FormErr));
    assert_eq!(place.record().await.reason, Some(Reason::UnsupportedQuestion));
}

#[tokio::test]
async fn a_listed_name_does_not_lead_back_to_the_pod_or_its_surroundings() {
    let both: &[&str] = &["192.0.2.11", "169.254.169.254", "127.0.0.1"];
    let resolver = Resolver::new([(BROKER, both), ("a.clinic.example.kz", &["10.41.0.7"] as &[_])]).await;
    let mut place = Place::new(document(), [(RESOLVER, resolver.address)]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (server, context) = (socket.local_addr().unwrap(), place.context.clone());
    place.begin(async { udp::serve(socket, context).await.unwrap() });
    let answer = ask(server, &question("broker.example.kz.", RecordType::A)).await;
    let addresses: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.11"]);
    let record = place.record().await;
    assert_eq!((record.reason, record.name.as_deref()), (Some(Reason::ForbiddenAddress), Some(BROKER)));
    assert!(place.context.pins.names("127.0.0.1".parse().unwrap(), Instant::now()).0.is_empty());
    let mut asked = question("a.clinic.example.kz.", RecordType::A);
    asked.set_edns(Edns::new());
    let answer = ask(server, &asked).await;
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
    assert!(answer.edns.unwrap().option(15.into()).is_some());
}

#[tokio::test]
async fn names_of_a_recipient_whose_permit_has_expired_are_not_asked() {
    let (place, resolver, over_udp, _) = place().await;
    let mut expired = document();
    expired.routes[0].permits.as_mut().unwrap()[0].valid_until = Some(place.context.clock.now());
    place.put_in_force(vec![expired]);
    let answer = ask(over_udp, &question("broker.example.kz.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(place.record().await.reason, Some(Reason::PermitExpired));
    assert!(resolver.asked().is_empty());
}

#[tokio::test]
async fn data_in_labels_below_a_wildcard_are_bounded_and_counted() {
    let (place, resolver, over_udp, _) = place().await;
    let limit = place.context.config.limits.labels_per_hour;
    for number in 0..limit {
        ask(over_udp, &question(&format!("{number:03}.clinic.example.kz."), RecordType::A)).await;
    }
    let asked = resolver.asked().len();
    let answer = ask(over_udp, &question("face-4711.clinic.example.kz.", RecordType::A)).await;
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(place.record().await.reason, Some(Reason::TooManyLabels));
    ask(over_udp, &question("000.clinic.example.kz.", RecordType::TXT)).await;
    ask(over_udp, &question("broker.example.kz.", RecordType::A)).await;
    assert_eq!(resolver.asked().len(), asked + 2, "what was asked before goes on, and so do names that are listed as a whole");
    let metrics = &place.context.metrics;
    assert_eq!((metrics.labels.get(), metrics.label_bytes.get()), (u64::from(limit), 3 * u64::from(limit)));
    assert_eq!(metrics.questions_asked.get(), u64::from(limit) + 2);
}

#[tokio::test]
async fn data_in_names_of_the_cluster_are_bounded_and_counted() {
    let (place, resolver, over_udp, _) = place().await;
    let (limits, mut said) = (place.context.config.limits, 0);
    while place.context.labels.take_in_cluster(&format!("n{said}"), limits, Instant::now()).is_some() {
        said += 1;
    }
    assert!(said > limits.labels_per_hour, "search domains make three names of one");
    for name in ["face-4711.cameras.svc.cluster.local.", "47.11.96.10.in-addr.arpa."] {
        let answer = ask(over_udp, &question(name, RecordType::A)).await;
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NXDomain, 0));
        assert_eq!(place.record().await.reason, Some(Reason::TooManyLabels));
    }
    assert!(resolver.asked().is_empty());
    let answer = ask(over_udp, &question("vectors.archive.svc.cluster.local.", RecordType::A)).await;
    assert_eq!(answer.answers.len(), 1, "a Service that is listed is not of the application's choice");
    ask(over_udp, &question("broker.example.kz.", RecordType::A)).await;
    assert_eq!(resolver.asked().len(), 2);
}

#[tokio::test]
async fn names_of_the_cluster_are_counted_whatever_the_answer() {
    let (place, _resolver, over_udp, _) = place().await;
    for name in
        ["face-4711.cameras.svc.cluster.local.", "FACE-4711.cameras.svc.cluster.local.", "vectors.archive.svc.cluster.local."]
    {
        ask(over_udp, &question(name, RecordType::A)).await;
    }
    let metrics = &place.context.metrics;
    assert_eq!((metrics.cluster_names.get(), metrics.cluster_name_bytes.get(), metrics.labels.get()), (1, 21, 0));
}
