use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use rstest::rstest;
use rustls_pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::config::Config;
use crate::flow::tests::{Place, config, document};

const PATH: &str = "/probe/app/readiness";
const HOOK_PATH: &str = "/hook/app/preStop";

fn http(tls: bool, headers: &[(&str, &str)]) -> Ask {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ask::Http { tls, path: "/healthz?a=b".into(), headers }
}

/// A sidecar that asks an application at this port by one probe and one hook, and the tasks that the test needs.
struct Asking {
    place: Place,
    admin: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Asking {
    async fn at(port: u16, ask: &Ask, node: &[&str]) -> Self {
        let one = |within| Probe { port, within, ask: ask.clone() };
        let probes = Probes([(PATH.to_owned(), one(1)), (HOOK_PATH.to_owned(), one(60))].into());
        let node = node.iter().map(|address| address.parse().unwrap()).collect();
        let place = Place::configured(Config { probes, node, ..config() }, document(), []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let (context, mut tasks) = (place.context.clone(), JoinSet::new());
        tasks.spawn(async { crate::admin::serve(listener, context).await.unwrap() });
        Self { place, admin, _tasks: tasks }
    }

    /// The first line and the body of the answer; empty where there is none.
    async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
    }

    async fn succeeds(&self) {
        assert_eq!(self.get(PATH).await, ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    }

    async fn fails(&self, problem: ProbeError) {
        assert_eq!(self.get(PATH).await, ("HTTP/1.1 503 Service Unavailable".to_owned(), format!("{problem}\n")));
    }
}

/// Reads the head of a request and answers with these bytes.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return String::new(),
        }
    }
    let _ = stream.write_all(answer).await;
    let _ = stream.flush().await;
    // the end comes when whoever asked has read what it wanted
    let _ = stream.read_u8().await;
    String::from_utf8(head).unwrap()
}

/// An application that answers every request so, and what it heard.
async fn application(tasks: &mut JoinSet<()>, said: &'static [u8]) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
    let hearing = heard.clone();
    tasks.spawn(async move {
        let mut answers = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let hearing = hearing.clone();
            answers.spawn(async move {
                let head = answer(stream, said).await;
                hearing.lock().push(head);
            });
        }
    });
    (port, heard)
}

#[rstest]
#[case(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret", None)]
#[case(b"HTTP/1.1 204 No Content\r\n\r\n", None)]
#[case(b"HTTP/1.0 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n", None)]
#[case(b"HTTP/1.1 404 secret\r\nContent-Length: 6\r\n\r\nsecret", Some(ProbeError::Status))]
#[case(b"HTTP/1.1 500 secret\r\nContent-Length: 6\r\n\r\nsecret", Some(ProbeError::Status))]
#[case(b"220 mail.example ESMTP\r\n\r\n", Some(ProbeError::Protocol))]
#[tokio::test]
async fn the_status_is_what_counts_and_nothing_else_of_the_answer_is_told(
    #[case] said: &'static [u8],
    #[case] problem: Option<ProbeError>,
) {
    let mut tasks = JoinSet::new();
    let (port, heard) = application(&mut tasks, said).await;
    let asking = Asking::at(port, &http(false, &[]), &["127.0.0.1"]).await;
    match problem {
        None => asking.succeeds().await,
        Some(problem) => asking.fails(problem).await,
    }
    // a hook counts as done when there is an answer, whichever, as for the kubelet
    let hook = asking.get(HOOK_PATH).await;
    let done = ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned());
    assert_eq!(hook, if problem == Some(ProbeError::Protocol) { Default::default() } else { done });
    while heard.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    let head = heard.lock()[0].to_lowercase();
    assert!(head.starts_with("get /healthz?a=b http/1.1\r\n"), "{head}");
    for header in [&format!("host: 127.0.0.1:{port}"), "user-agent: kube-probe/shekara", "accept: */*", "connection: close"] {
        assert!(head.lines().any(|line| line == header), "{header}: {head}");
    }
}

#[tokio::test]
async fn headers_that_are_given_are_sent() {
    let mut tasks = JoinSet::new();
    let (port, heard) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let headers = [("Host", "faces.example"), ("X-Probe", "a"), ("x-probe", "b"), ("Accept", "text/plain")];
    Asking::at(port, &http(false, &headers), &[]).await.succeeds().await;
    while heard.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    let head = heard.lock()[0].clone();
    for line in ["Host: faces.example", "X-Probe: a", "X-Probe: b", "Accept: text/plain", "User-Agent: kube-probe/shekara"] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert_eq!(head.to_lowercase().matches("host:").count(), 1);
    Asking::at(port, &http(false, &[("a b", "c")]), &[]).await.fails(ProbeError::Unsendable).await;
}

/// TLS under a certificate that nobody has issued, for these protocols; for any where there are none.
fn acceptor(protocols: &[&[u8]]) -> tokio_rustls::TlsAcceptor {
    let signed = rcgen::generate_simple_self_signed(vec!["elsewhere.example".into()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der()).into();
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(server).into()
}

#[rstest]
#[case::any_protocol(&[])]
#[case::old_protocol(&[&b"http/1.1"[..]])]
#[tokio::test]
async fn over_tls_any_certificate_will_do_and_no_tls_will_not(#[case] protocols: &[&[u8]]) {
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(protocols);
    tasks.spawn(async move {
        let mut answers = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                answers.spawn(answer(stream, b"HTTP/1.1 200 OK\r\n\r\n"));
            }
        }
    });
    Asking::at(port, &http(true, &[]), &[]).await.succeeds().await;
    Asking::at(port, &http(false, &[]), &[]).await.fails(ProbeError::Protocol).await;
    let (plain, _) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let asked = Asking::at(plain, &http(true, &[]), &[]).await.get(PATH).await;
    assert!(asked.0.contains("503"), "{asked:?}");
}

#[tokio::test]
async fn an_application_that_speaks_http2_alone_inside_tls_is_asked_by_it() {
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(&[b"h2"]);
    let well = |request: ::http::Request<Incoming>| async move {
        let (head, _) = request.into_parts();
        let asked = (head.method.as_str(), head.uri.to_string(), head.headers.get("user-agent").unwrap().to_str().unwrap());
        let is_asked = asked == ("GET", "https://faces.example/healthz?a=b".to_owned(), "kube-probe/shekara");
        let is_plain = ["host", "connection"].iter().all(|name| !head.headers.contains_key(*name));
        let status = if is_asked && is_plain { 204 } else { 500 };
        Ok::<_, std::convert::Infallible>(::http::Response::builder().status(status).body(Empty::<Bytes>::new()).unwrap())
    };
    tasks.spawn(async move {
        let mut answers = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                answers.spawn(server.serve_connection(TokioIo::new(stream), service_fn(well)));
            }
        }
    });
    Asking::at(port, &http(true, &[("Host", "faces.example")]), &[]).await.succeeds().await;
    Asking::at(port, &http(true, &[]), &[]).await.fails(ProbeError::Status).await;
    Asking::at(port, &http(true, &[("Host", "faces example")]), &[]).await.fails(ProbeError::Unsendable).await;
}

#[tokio::test]
async fn a_connection_is_enough_where_the_probe_is_one_and_a_closed_port_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asking = Asking::at(listener.local_addr().unwrap().port(), &Ask::Tcp {}, &["127.0.0.1"]).await;
    asking.succeeds().await;
    drop(listener);
    asking.fails(ProbeError::Closed).await;
    assert_eq!(asking.get(HOOK_PATH).await, Default::default(), "the kubelet would take any answer for success");
}

/// The health service of gRPC: `serves` is served, `down` is not, everything else is unknown.
async fn health(
    request: ::http::Request<Incoming>,
) -> Result<::http::Response<impl hyper::body::Body<Data = Bytes, Error = std::convert::Infallible>>, std::convert::Infallible> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/grpc.health.v1.Health/Check"));
    assert_eq!(
        (&request.headers()["content-type"], &request.headers()["te"]),
        (&"application/grpc".parse().unwrap(), &"trailers".parse().unwrap())
    );
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let status = match &asked[5..] {
        [] | [0x0a, 6, b's', b'e', b'r', b'v', b'e', b's'] => Some(1),
        [0x0a, 4, b'd', b'o', b'w', b'n'] => Some(2),
        _ => None,
    };
    let message = status.map(|status| Ok(Frame::data(Bytes::from(vec![0, 0, 0, 0, 2, 8, status]))));
    let mut trailers = ::http::HeaderMap::new();
    trailers.insert("grpc-status", if status.is_some() { "0" } else { "5" }.parse().unwrap());
    let body = StreamBody::new(futures::stream::iter(message.into_iter().chain([Ok(Frame::trailers(trailers))])));
    Ok(::http::Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}

#[tokio::test]
async fn a_service_that_says_by_grpc_that_it_serves_succeeds_and_no_other() {
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut answers = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            answers.spawn(server.serve_connection(TokioIo::new(stream), service_fn(health)));
        }
    });
    let asking = async |service: &str| Asking::at(port, &Ask::Grpc { service: service.into() }, &[]).await;
    asking("").await.succeeds().await;
    asking("serves").await.succeeds().await;
    asking("down").await.fails(ProbeError::NotServing).await;
    asking("unknown").await.fails(ProbeError::NotServing).await;
    let (plain, _) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let asked = Asking::at(plain, &Ask::Grpc { service: String::new() }, &[]).await.get(PATH).await;
    assert!(asked.0.contains("503"), "{asked:?}");
}

#[tokio::test]
async fn an_application_that_says_nothing_is_waited_for_no_longer_than_the_probe_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asking = Asking::at(listener.local_addr().unwrap().port(), &http(false, &[]), &[]).await;
    let start = Instant::now();
    asking.fails(ProbeError::Late).await;
    assert!((1.0..3.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn hooks_are_for_the_node_alone_and_unknown_paths_for_nobody() {
    let mut tasks = JoinSet::new();
    let (port, heard) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let asking = Asking::at(port, &http(false, &[]), &["192.0.2.1", "2001:db8::1"]).await;
    let unknown = asking.get("/probe/app/liveness").await;
    assert!(unknown.0.contains("404"), "{unknown:?}");
    assert_eq!(asking.get(HOOK_PATH).await, unknown);
    assert!(heard.lock().is_empty());
    let finds = |from: &str| find(&asking.place.context, HOOK_PATH, from.parse().unwrap()).is_some();
    assert_eq!(["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(finds), [true, true, false]);
    assert!(Asking::at(port, &http(false, &[]), &["127.0.0.1"]).await.get(HOOK_PATH).await.0.contains("200"));
}

#[tokio::test]
async fn there_are_so_many_at_once_for_others_and_always_one_more_for_the_node() {
    let mut tasks = JoinSet::new();
    let (port, _) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let asking = Asking::at(port, &http(false, &[]), &[]).await;
    for _ in 0..2 * AT_ONCE {
        asking.succeeds().await;
    }
    let all = |asking: &Asking| (0..AT_ONCE).map(|_| asking.place.context.probes.take().unwrap()).collect::<Vec<_>>();
    let places = all(&asking);
    asking.fails(ProbeError::Busy).await;
    drop(places);
    asking.succeeds().await;
    let asking = Asking::at(port, &http(false, &[]), &["127.0.0.1"]).await;
    let _places = all(&asking);
    asking.succeeds().await;
}

#[tokio::test]
async fn connections_of_others_are_not_in_the_way_of_the_node() {
    let mut tasks = JoinSet::new();
    let (port, _) = application(&mut tasks, b"HTTP/1.1 200 OK\r\n\r\n").await;
    let asking = Asking::at(port, &http(false, &[]), &["127.0.0.1"]).await;
    let mut idle = vec![];
    for _ in 0..64 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        idle.push(socket.connect(asking.admin).await.unwrap());
    }
    asking.succeeds().await;
    // half of the others were closed at once
    let mut closed = 0;
    for mut stream in idle {
        closed += usize::from(tokio::time::timeout(Duration::from_millis(1), stream.read_u8()).await.is_ok());
    }
    assert_eq!(closed, 32);
}
