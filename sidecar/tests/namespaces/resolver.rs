//! The cluster's resolver of the test world: it knows the world's names and remembers every question.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::namespace::Namespace;
use crate::world::{
    BROKER, CAMERA, CLINIC, MAPS, POLICY_API, POLICY_API_NAME, RESOLVER, SHOP, SPLIT, SPLIT_ABROAD, SPLIT_AT_HOME, listen,
};

/// An alias of the clinic.
pub(crate) const ALIAS: &str = "www.clinic.example.kz";

/// Names of the cluster that lead outside, to a listed party and to an unlisted one.
pub(crate) const BROKER_ALIAS: &str = "broker.archive.svc.cluster.local";
pub(crate) const SHOP_ALIAS: &str = "shop.archive.svc.cluster.local";

const ALIASES: [(&str, &str); 3] = [(ALIAS, CLINIC.name), (BROKER_ALIAS, BROKER.name), (SHOP_ALIAS, SHOP.name)];

/// What was asked.
pub(crate) type Questions = watch::Receiver<Vec<String>>;

/// Answers at the resolver's address, over UDP and TCP, until the tasks are dropped.
pub(crate) fn serve(world: &Namespace, tasks: &mut JoinSet<()>) -> Questions {
    let place = SocketAddr::new(RESOLVER.parse().unwrap(), 53);
    let (udp, tcp) = world.inside(|| (std::net::UdpSocket::bind(place).unwrap(), std::net::TcpListener::bind(place).unwrap()));
    let (sender, questions) = watch::channel(Vec::new());
    let sender = Arc::new(sender);
    udp.set_nonblocking(true).unwrap();
    tasks.spawn(over_udp(UdpSocket::from_std(udp).unwrap(), sender.clone()));
    tasks.spawn(over_tcp(listen(tcp), sender));
    questions
}

async fn over_udp(socket: UdpSocket, questions: Arc<watch::Sender<Vec<String>>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let answer = answer(&buffer[..length], &questions);
        socket.send_to(&answer, client).await.unwrap();
    }
}

async fn over_tcp(listener: tokio::net::TcpListener, questions: Arc<watch::Sender<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Ok(length) = stream.read_u16().await else { continue };
        let mut question = vec![0; usize::from(length)];
        if stream.read_exact(&mut question).await.is_ok() {
            let answer = answer(&question, &questions);
            let _ = stream.write_u16(answer.len().try_into().unwrap()).await;
            let _ = stream.write_all(&answer).await;
        }
    }
}

/// The answer; nothing to what is no question.
fn answer(question: &[u8], questions: &watch::Sender<Vec<String>>) -> Vec<u8> {
    let Ok(question) = Message::from_vec(question) else { return Vec::new() };
    let Some(query) = question.queries.first().cloned() else { return Vec::new() };
    let asked = query.name().to_ascii().trim_end_matches('.').to_lowercase();
    questions.send_modify(|questions| questions.push(asked.clone()));
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    let mut owner = query.name().clone();
    let mut name = asked.as_str();
    if let Some((_, of)) = ALIASES.into_iter().find(|(alias, _)| *alias == name) {
        let target = Name::from_ascii(format!("{of}.")).unwrap();
        answer.add_answer(Record::from_rdata(owner, 60, RData::CNAME(CNAME(target.clone()))));
        (owner, name) = (target, of);
    }
    let addresses = addresses(name);
    if addresses.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    for address in addresses {
        let data = match (address, query.query_type()) {
            (IpAddr::V4(v4), RecordType::A) => RData::A(A(v4)),
            (IpAddr::V6(v6), RecordType::AAAA) => RData::AAAA(AAAA(v6)),
            _ => continue,
        };
        answer.add_answer(Record::from_rdata(owner.clone(), 60, data));
    }
    answer.add_query(query);
    answer.to_vec().unwrap()
}

fn addresses(name: &str) -> Vec<IpAddr> {
    if let Some(host) = [CLINIC, BROKER, SHOP, MAPS, CAMERA].into_iter().find(|host| host.name == name) {
        return host.addresses().to_vec();
    }
    let others: &[&str] = match name {
        SPLIT => &[SPLIT_ABROAD, SPLIT_AT_HOME],
        POLICY_API_NAME => &[POLICY_API],
        _ => &[],
    };
    others.iter().map(|address| address.parse().unwrap()).collect()
}
