//! A policy API as the operator's: HTTPS/2 with a stream of events, what is said of peers, and checkpoints.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use shekara_policy::PolicyDocument;
use shekara_policy::exchange::{
    CHECKPOINTS_PATH, Checkpoint, PEERS_PATH, POLICY_PATH, REGISTRATIONS_PATH, Registration, SIGNATURE_HEADER,
};
use shekara_policy::signed::{Message, Purpose};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, authority};
use crate::namespace::Namespace;
use crate::peers::{self, Known};
use crate::signing::{event, line};
use crate::wait::{PATIENCE, as_long_as, within};
use crate::world::{POLICY_API, POLICY_API_NAME, listen};

/// The port of the policy API.
pub(crate) const PORT: u16 = 8443;

/// How often checkpoints are asked for, in seconds: longer than any test, so that one that comes has a reason of its own.
pub(crate) const INTERVAL: u32 = 600;

/// The policy API. Dropping it ends its connections, as a crash does.
pub(crate) struct PolicyApi {
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    event: watch::Sender<Vec<u8>>,
    checkpoints: watch::Sender<Vec<Checkpoint>>,
    tokens: watch::Sender<Vec<String>>,
    known: watch::Sender<Known>,
    registrations: Mutex<Vec<Registration>>,
}

impl PolicyApi {
    /// Serves in the world. Every watch begins with the newest event.
    pub(crate) fn start(world: &Namespace, documents: &[PolicyDocument]) -> Self {
        Self::with(authority(), world, documents)
    }

    /// The same with a certificate of an authority that nobody trusts.
    pub(crate) fn of_an_impostor(world: &Namespace, documents: &[PolicyDocument]) -> Self {
        Self::with(&Authority::new(), world, documents)
    }

    /// The same with a certificate of this authority.
    pub(crate) fn with(authority: &Authority, world: &Namespace, documents: &[PolicyDocument]) -> Self {
        let place = SocketAddr::new(POLICY_API.parse().unwrap(), PORT);
        let listener = world.inside(|| std::net::TcpListener::bind(place).unwrap());
        let shared = Arc::new(Shared {
            event: watch::Sender::new(line(&event(documents))),
            checkpoints: watch::Sender::new(Vec::new()),
            tokens: watch::Sender::new(Vec::new()),
            known: watch::Sender::new(Known::new()),
            registrations: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let tls = TlsAcceptor::from(authority.server(&[POLICY_API_NAME], &["h2"]));
        tasks.spawn(serve(listen(listener), tls, shared.clone()));
        Self { shared, _tasks: tasks }
    }

    /// Sends these documents to every watch.
    pub(crate) fn set(&self, documents: &[PolicyDocument]) {
        self.send(line(&event(documents)));
    }

    /// Changes what is known of the peers inside the cluster.
    pub(crate) fn know(&self, change: impl FnOnce(&mut Known)) {
        self.shared.known.send_modify(change);
    }

    /// Sends whatever this is.
    pub(crate) fn send(&self, line: Vec<u8>) {
        self.shared.event.send_replace(line);
    }

    /// The keys that were registered, in their order.
    pub(crate) fn registrations(&self) -> Vec<Registration> {
        self.shared.registrations.lock().unwrap().clone()
    }

    /// Has forgotten every key, as an operator that has restarted.
    pub(crate) fn forget(&self) {
        self.shared.registrations.lock().unwrap().clear();
    }

    /// Waits for a checkpoint like this.
    pub(crate) async fn checkpoint(&self, like: impl Fn(&Checkpoint) -> bool) -> Checkpoint {
        self.checkpoint_in(PATIENCE, like).await
    }

    /// The same for one that takes longer.
    pub(crate) async fn checkpoint_in(&self, longest: Duration, like: impl Fn(&Checkpoint) -> bool) -> Checkpoint {
        let mut checkpoints = self.shared.checkpoints.subscribe();
        let found = checkpoints.wait_for(|checkpoints| checkpoints.iter().any(&like));
        let found = as_long_as(longest, "a checkpoint", found).await.unwrap();
        found.iter().rev().find(|checkpoint| like(checkpoint)).unwrap().clone()
    }

    /// How many requests showed a token.
    pub(crate) fn tokens_seen(&self) -> usize {
        self.shared.tokens.borrow().len()
    }

    /// Waits until a request has come with this token.
    pub(crate) async fn token(&self, token: &str) {
        let expected = format!("Bearer {token}");
        let mut tokens = self.shared.tokens.subscribe();
        within("a request with the token", tokens.wait_for(|tokens| tokens.contains(&expected))).await.unwrap();
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, shared) = (tls.clone(), shared.clone());
        connections.spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| respond(request, shared.clone()));
            let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let token = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    shared.tokens.send_modify(|tokens| tokens.extend(token));
    let path = request.uri().path_and_query().unwrap().as_str().to_owned();
    if path == format!("{POLICY_PATH}?watch") {
        let events = futures::stream::unfold((shared.event.subscribe(), true), |(mut events, first)| async move {
            if !first {
                events.changed().await.ok()?;
            }
            let mut line = events.borrow_and_update().clone();
            line.push(b'\n');
            Some((Ok(Frame::data(Bytes::from(line))), (events, false)))
        });
        return Ok(Response::new(StreamBody::new(events).boxed()));
    }
    if path == format!("{PEERS_PATH}?watch") {
        return Ok(Response::new(StreamBody::new(peers::events(request.into_body(), shared.known.subscribe())).boxed()));
    }
    let signature = request.headers().get(SIGNATURE_HEADER).map(|value| value.to_str().unwrap().parse().unwrap());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if path == REGISTRATIONS_PATH {
        let registration = serde_json::from_slice(&body).unwrap();
        shared.registrations.lock().unwrap().push(registration);
        return Ok(done(StatusCode::NO_CONTENT));
    }
    assert_eq!(path, CHECKPOINTS_PATH);
    let Some(registered) = shared.registrations.lock().unwrap().last().cloned() else {
        return Ok(done(StatusCode::PRECONDITION_REQUIRED));
    };
    let message = Message::new(Purpose::Checkpoint, &[&body]);
    assert!(registered.key.verifies(&message, &signature.unwrap()), "a checkpoint is not signed with the registered key");
    let checkpoint = serde_json::from_slice(&body).unwrap();
    shared.checkpoints.send_modify(|checkpoints| checkpoints.push(checkpoint));
    Ok(done(StatusCode::NO_CONTENT))
}

fn done(status: StatusCode) -> Response<BoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Empty::new().boxed());
    *response.status_mut() = status;
    response
}
