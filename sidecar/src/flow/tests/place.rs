//! A proxy without a packet filter: its outgoing sockets are led to servers of the test instead of the judged addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, mpsc};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA};
use hickory_proto::rr::{RData, Record, RecordType};
use parking_lot::Mutex;
use shekara_policy::record::FlowRecord;
use shekara_policy::{Limits, PolicyDocument};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::carve_out::CarveOut;
use crate::config::{Config, PolicyApi, Ports};
use crate::context::Context;
use crate::flow::carry::carry;
use crate::flow::dial::Dialler;
use crate::policy::Enforced;
use crate::record::tests::Lines;

/// The resolver of the documents.
pub(crate) const RESOLVER: &str = "10.96.0.10:53";

/// A proxy, and what it works with.
pub(crate) struct Place {
    pub(crate) context: Arc<Context>,
    documents: watch::Sender<Arc<Enforced>>,
    records: mpsc::Receiver<FlowRecord>,
    tasks: JoinSet<()>,
}

impl Place {
    /// A proxy with one document, and detours to the servers of the test.
    pub(crate) fn new(document: PolicyDocument, detours: impl IntoIterator<Item = (&'static str, SocketAddr)>) -> Self {
        Self::configured(config(), document, detours)
    }

    /// The same of a pod that was admitted with this configuration.
    pub(crate) fn configured(
        config: Config,
        document: PolicyDocument,
        detours: impl IntoIterator<Item = (&'static str, SocketAddr)>,
    ) -> Self {
        let (documents, policy) = crate::policy::channel();
        let detours = detours.into_iter().map(|(judged, server)| (judged.parse().unwrap(), server));
        let (output, records) = mpsc::channel();
        let context = Context::new(config, policy, Dialler::detoured(detours), Lines(output)).unwrap();
        for (at, peer) in super::Archive::peers() {
            context.peers.learn(at, peer);
        }
        let place = Self { context: Arc::new(context), documents, records, tasks: JoinSet::new() };
        place.put_in_force(vec![document]);
        place
    }

    /// Changes the documents.
    pub(crate) fn put_in_force(&self, documents: Vec<PolicyDocument>) {
        let serial = self.documents.borrow().serial + 1;
        self.documents.send_replace(Arc::new(Enforced { documents, serial, ..Enforced::default() }));
    }

    /// Begins a task that lives as long as this.
    pub(crate) fn begin(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// A client whose connection to a destination is carried.
    pub(crate) async fn client(&mut self, destination: &str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        self.tasks.spawn(carry(self.context.clone(), stream, destination.parse().unwrap()));
        client
    }

    /// Cuts off every flow, as the end of the sidecar does.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }

    /// The next record; awaited, for it is written by another thread.
    pub(crate) async fn record(&self) -> FlowRecord {
        loop {
            match self.records.try_recv() {
                Ok(record) => return record,
                Err(error) => assert_eq!(error, mpsc::TryRecvError::Empty),
            }
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn config() -> Config {
    Config {
        policy_api: PolicyApi { host: "policy.example.kz".parse().unwrap(), port: 8443 },
        policy_ca: String::new(),
        root: "0".repeat(64).parse().unwrap(),
        namespace_uid: "n".into(),
        stamps: vec![],
        key_set: 0,
        files: "/nonexistent".into(),
        resolvers: vec![RESOLVER.parse().unwrap()],
        token: "/nonexistent".into(),
        geo: "/nonexistent".into(),
        pod: "test/pod".into(),
        observe_until: None,
        log: tracing::level_filters::LevelFilter::OFF,
        limits: Limits::default(),
        datagrams: vec![],
        probes: shekara_policy::probes::Probes::default(),
        node: [].into(),
        carve_out: CarveOut::User(std::num::NonZeroU32::MIN),
        ports: Ports { flow: 0, dns: 0, sink: 0, inward: 0, admin: 0, datagrams: 0 },
    }
}

/// A question as a resolver of the test heard it.
type Asked = (String, RecordType);

/// A resolver of the test, over UDP and TCP on one port.
pub(crate) struct Resolver {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

/// What it answers: addresses, `SERVFAIL` for a name without any entry in the list, NXDOMAIN for a name that is not there.
type Names = BTreeMap<&'static str, Vec<&'static str>>;

impl Resolver {
    pub(crate) async fn new(names: impl IntoIterator<Item = (&'static str, &'static [&'static str])>) -> Self {
        let names: Arc<Names> = Arc::new(names.into_iter().map(|(name, addresses)| (name, addresses.to_vec())).collect());
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let (address, asked) = (tcp.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, names.clone(), asked.clone()));
        tasks.spawn(serve_tcp(tcp, names, asked.clone()));
        Self { address, asked, _tasks: tasks }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

async fn serve_udp(socket: UdpSocket, names: Arc<Names>, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut buffer = [0; 1500];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let answer = answer(&buffer[..length], &names, &asked);
        let bytes = answer.to_vec().unwrap();
        // an answer to another question first: it must not be believed
        let mut forged = answer.clone();
        forged.metadata.id = forged.metadata.id.wrapping_add(1);
        forged.answers.clear();
        socket.send_to(&forged.to_vec().unwrap(), from).await.unwrap();
        let bytes = if bytes.len() > 512 { answer.truncate().to_vec().unwrap() } else { bytes };
        socket.send_to(&bytes, from).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, names: Arc<Names>, asked: Arc<Mutex<Vec<Asked>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut buffer).await.unwrap();
        let bytes = answer(&buffer, &names, &asked).to_vec().unwrap();
        stream.write_u16(bytes.len() as u16).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    }
}

fn answer(bytes: &[u8], names: &Names, asked: &Mutex<Vec<Asked>>) -> Message {
    let request = Message::from_vec(bytes).unwrap();
    let query = request.queries[0].clone();
    let name = query.name().to_ascii();
    asked.lock().push((name.clone(), query.query_type()));
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.add_query(query.clone());
    match names.get(name.trim_end_matches('.')) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(addresses) if addresses.is_empty() => answer.metadata.response_code = ResponseCode::ServFail,
        Some(addresses) => {
            let data = addresses.iter().map(|address| match address.parse().unwrap() {
                IpAddr::V4(v4) => RData::A(A(v4)),
                IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
            });
            let records = data.map(|data| Record::from_rdata(query.name().clone(), 60, data));
            answer.add_answers(records.filter(|record| record.record_type() == query.query_type()));
        }
    }
    answer
}
