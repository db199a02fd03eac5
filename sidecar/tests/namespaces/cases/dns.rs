//! DNS: decided by the question, before anything leaves.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use shekara_policy::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::sniffer::UDP;
use crate::wait::within;
use crate::world::{CLINIC, OTHER_RESOLVER, RESOLVER, SHOP};

/// How the C library, and with it most applications, resolves a name.
const RESOLVE: &str = "
import socket, sys
print(sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 443)}))
";

/// Data in a name, as a tunnel sends it.
const TUNNEL: &str = "face-4711.tunnel.example.net";

#[derive(Clone, Copy, Debug)]
enum Over {
    Udp,
    Tcp,
}

async fn ask(place: &Place, resolver: &str, name: &str, over: Over) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::A));
    question.set_edns(hickory_proto::op::Edns::new());
    let bytes = question.to_vec().unwrap();
    let mut answer = vec![0; 4096];
    let to = SocketAddr::new(resolver.parse().unwrap(), 53);
    let exchange = async {
        match over {
            Over::Udp => {
                let socket = place.datagrams(to);
                socket.send_to(&bytes, to).await.unwrap();
                let (length, from) = socket.recv_from(&mut answer).await.unwrap();
                assert_eq!(from, to, "the answer must seem to come from the resolver that was asked");
                answer.truncate(length);
            }
            Over::Tcp => {
                let mut stream = place.dial(resolver, 53).await.unwrap();
                stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                answer.truncate(stream.read_u16().await.unwrap().into());
                stream.read_exact(&mut answer).await.unwrap();
            }
        }
    };
    within("an answer", exchange).await;
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, question.metadata.id);
    answer
}

fn was_asked(place: &Place, name: &str) -> bool {
    place.questions.borrow().iter().any(|asked| asked == name)
}

#[tokio::test]
async fn an_unlisted_name_is_answered_at_once_and_never_asked() {
    let mut place = Place::open();
    let resolve = ["-c", RESOLVE, SHOP.name];
    assert!(place.command(Actor::App, "/usr/bin/python3", &resolve).await.out.contains(SHOP.v4));
    for over in [Over::Udp, Over::Tcp] {
        let open = ask(&place, RESOLVER, TUNNEL, over).await;
        assert!(open.authorities.is_empty(), "this is the resolver's own answer");
    }
    assert!(was_asked(&place, SHOP.name) && was_asked(&place, TUNNEL));

    place.enforce(&[document()]).await;
    let before = place.questions.borrow().len();
    let said = place.command(Actor::App, "/usr/bin/python3", &resolve).await;
    said.failed();
    assert!(said.error.contains("Name or service not known"), "NXDOMAIN, in the words of the C library: {said:?}");
    assert!(said.took < Duration::from_secs(2), "{said:?}");
    for over in [Over::Udp, Over::Tcp] {
        let answer = ask(&place, RESOLVER, TUNNEL, over).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain, "{over:?}");
        assert!(matches!(answer.authorities[0].data, RData::SOA(_)), "resolvers remember a denial by its SOA");
        let edns = answer.edns.as_ref().unwrap();
        // option 15 (RFC 8914) with information code 15, Blocked
        let Some(EdnsOption::Unknown(15, error)) = edns.option(EdnsCode::Unknown(15)) else { panic!("{edns:?}") };
        assert_eq!(error[..2], [0, 15]);
    }
    let record = place.record(|record| record.name.as_deref() == Some(TUNNEL)).await;
    assert_eq!(record.reason, Some(Reason::UnlistedQuestion));
    let asked = place.questions.borrow()[before..].to_vec();
    assert!(!asked.iter().any(|name| name == SHOP.name || name.contains("tunnel")), "{asked:?}");
}

#[tokio::test]
async fn a_listed_name_is_answered_whichever_resolver_is_asked() {
    let mut place = Place::open();
    let other = SocketAddr::new(OTHER_RESOLVER.parse().unwrap(), 53);
    place.datagrams(other).send_to(b"anything", other).await.unwrap();
    assert!(place.arrived(|packet| packet.to == other.ip() && packet.protocol == UDP).await);

    place.enforce(&[document()]).await;
    for resolver in [RESOLVER, OTHER_RESOLVER] {
        for over in [Over::Udp, Over::Tcp] {
            let answer = ask(&place, resolver, CLINIC.name, over).await;
            let addresses: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(addresses, [CLINIC.v4], "{resolver} {over:?}");
        }
    }
    assert!(!place.reached(OTHER_RESOLVER).await);
}

/// Connection tracking remembers questions of the sidecar for longer than they last. If they came from ports that the kernel
/// also gives to applications, some of these would count as part of them and be dropped.
#[tokio::test]
async fn questions_in_quick_succession_are_all_answered() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    for _ in 0..1500 {
        let answer = ask(&place, RESOLVER, CLINIC.name, Over::Udp).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }
}
