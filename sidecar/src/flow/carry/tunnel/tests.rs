use rstest::rstest;
use shekara_policy::document::{EgressProxy, Target};
use shekara_policy::record::Decision;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::flow::carry::tests::{CLINIC, all, hello, is_reset};
use crate::flow::tests::{Place, document};

use super::*;

const PROXY: &str = "10.20.0.5:3128";

/// A proxy that every standard names, or that none does.
async fn place(named: bool) -> (Place, TcpListener) {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut document = document();
    if named {
        document.standards[0].egress_via = vec![EgressProxy { network: "10.20.0.5/32".parse().unwrap(), ports: [3128].into() }];
    }
    let place = Place::new(document, [(PROXY, proxy.local_addr().unwrap())]);
    (place, proxy)
}

fn connect(party: &str) -> String {
    format!("CONNECT {party} HTTP/1.1\r\nHost: {party}\r\nX-Face: 4711\r\nProxy-Authorization: Basic eA==\r\n\r\n")
}

#[tokio::test]
async fn a_listed_party_is_reached_through_a_named_proxy_by_name_alone() {
    let (mut place, proxy) = place(true).await;
    let mut client = place.client(PROXY).await;
    client.write_all(connect(&format!("{CLINIC}:443")).as_bytes()).await.unwrap();
    let (mut served, _) = proxy.accept().await.unwrap();
    let expected = format!("CONNECT {CLINIC}:443 HTTP/1.1\r\nHost: {CLINIC}:443\r\nProxy-Authorization: Basic eA==\r\n\r\n");
    let mut asked = vec![0; expected.len()];
    served.read_exact(&mut asked).await.unwrap();
    assert_eq!(String::from_utf8(asked).unwrap(), expected, "nothing else of the client's is passed on");
    let yes = b"HTTP/1.1 200 Connection established\r\n\r\n";
    served.write_all(yes).await.unwrap();
    let mut answer = vec![0; yes.len()];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, yes);
    // each hello has a random of its own
    let said = hello(CLINIC);
    client.write_all(&said).await.unwrap();
    let mut arrived = vec![0; said.len()];
    served.read_exact(&mut arrived).await.unwrap();
    assert!(arrived == said);
    client.shutdown().await.unwrap();
    served.shutdown().await.unwrap();
    assert!(all(&mut client).await.is_empty());
    let record = place.record().await;
    assert_eq!(
        (record.verdict, record.end, record.name.as_deref()),
        (Decision::Allow, End::Completed, Some(CLINIC)),
        "{record:?}"
    );
    assert_eq!((record.country, record.via), (None, Some(PROXY.parse().unwrap())), "the country was not measured");
    assert_eq!(record.bytes_out, (expected.len() + said.len()) as u64);
}

/// What the client says to the proxy, and why it goes no further.
#[rstest]
#[case::unlisted(connect("ads.example.com:443"), Reason::UnlistedParty)]
#[case::another_port(connect("api.clinic.example.kz:8443"), Reason::UnlistedParty)]
#[case::in_the_cluster(connect("10.96.0.20:443"), Reason::InClusterUnlisted)]
#[case::without_a_port(connect("api.clinic.example.kz"), Reason::AmbiguousAuthority)]
#[case::another_host("CONNECT api.clinic.example.kz:443 HTTP/1.1\r\nHost: ads.example.com:443\r\n\r\n".into(), Reason::AmbiguousAuthority)]
#[case::not_connect("GET http://api.clinic.example.kz/ HTTP/1.1\r\nHost: api.clinic.example.kz\r\n\r\n".into(), Reason::ProxyRequest)]
#[case::with_a_body("CONNECT api.clinic.example.kz:443 HTTP/1.1\r\nContent-Length: 4\r\n\r\n".into(), Reason::AmbiguousLength)]
#[case::eager(connect("api.clinic.example.kz:443") + "\x16", Reason::UnreadableHello)]
#[tokio::test]
async fn what_may_not_go_through_the_proxy_is_told_why_and_does_not_reach_it(#[case] said: String, #[case] reason: Reason) {
    let (mut place, proxy) = place(true).await;
    let mut client = place.client(PROXY).await;
    client.write_all(said.as_bytes()).await.unwrap();
    let answer = String::from_utf8(all(&mut client).await).unwrap();
    assert!(answer.contains(&format!("\r\nShekara-Reason: {reason}\r\n")), "{answer}");
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(reason), End::Refused));
    assert!(tokio::time::timeout(Duration::from_millis(20), proxy.accept()).await.is_err());
}

#[rstest]
#[case::another_name(hello("ads.example.com"), Reason::AmbiguousAuthority)]
#[case::no_tls(b"GET / HTTP/1.1\r\nHost: api.clinic.example.kz\r\n\r\n".to_vec(), Reason::ProtocolMismatch)]
#[case::anything(b"\x00\x01face".to_vec(), Reason::UnreadableHello)]
#[tokio::test]
async fn what_is_said_inside_must_be_tls_for_the_same_party(#[case] inside: Vec<u8>, #[case] reason: Reason) {
    let (mut place, proxy) = place(true).await;
    let mut client = place.client(PROXY).await;
    client.write_all(connect(&format!("{CLINIC}:443")).as_bytes()).await.unwrap();
    let (mut served, _) = proxy.accept().await.unwrap();
    served.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    client.read_exact(&mut [0; 19]).await.unwrap();
    client.write_all(&inside).await.unwrap();
    let mut heard = Vec::new();
    let _ = served.read_to_end(&mut heard).await;
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.starts_with("CONNECT ") && heard.ends_with("\r\n\r\n"), "{heard}");
    assert_eq!(place.record().await.reason, Some(reason));
}

#[tokio::test]
async fn a_proxy_that_no_standard_names_is_an_address_like_any_other() {
    let (mut place, proxy) = place(false).await;
    let mut client = place.client(PROXY).await;
    is_reset(&mut client).await;
    assert_eq!(place.record().await.reason, Some(Reason::ForbiddenAddress));
    assert!(tokio::time::timeout(Duration::from_millis(20), proxy.accept()).await.is_err());
}

#[tokio::test]
async fn what_the_proxy_refuses_is_heard_by_the_client() {
    let (mut place, proxy) = place(true).await;
    let mut client = place.client(PROXY).await;
    client.write_all(connect(&format!("{CLINIC}:443")).as_bytes()).await.unwrap();
    let (mut served, _) = proxy.accept().await.unwrap();
    let no = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    served.write_all(no).await.unwrap();
    assert_eq!(all(&mut client).await, no);
    let record = place.record().await;
    assert_eq!((record.verdict, record.end, record.via), (Decision::Allow, End::Completed, Some(PROXY.parse().unwrap())));
}

#[tokio::test]
async fn labels_below_a_wildcard_are_counted_for_the_proxy_too() {
    let (mut place, proxy) = place(true).await;
    let mut document = place.context.enforced().documents[0].clone();
    document.routes[0].endpoints[0].target = Target::Host("*.clinic.example.kz".parse().unwrap());
    place.put_in_force(vec![document]);
    let limit = place.context.config.limits.labels_per_hour;
    for number in 0..limit {
        place.context.spell(&format!("n{number}.clinic.example.kz").parse().unwrap()).unwrap();
    }
    let mut client = place.client(PROXY).await;
    client.write_all(connect("face-4711.clinic.example.kz:443").as_bytes()).await.unwrap();
    assert!(String::from_utf8(all(&mut client).await).unwrap().contains("Shekara-Reason: TooManyLabels"));
    let record = place.record().await;
    assert_eq!((record.reason, record.end), (Some(Reason::TooManyLabels), End::Refused));
    assert!(tokio::time::timeout(Duration::from_millis(20), proxy.accept()).await.is_err());
    assert_eq!(place.context.metrics.labels.get(), u64::from(limit));
}
