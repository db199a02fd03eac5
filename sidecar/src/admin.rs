//! `GET /metrics`, `/ready` and `/live` on the address of the pod, and the probes that the kubelet asks for: nothing about single flows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::bound::Bound;
use crate::context::Context;
use crate::probes::{self, ProbeError};

/// Connections of the node at once, which is the kubelet with all probes of the pod. Others of its wait for their turn.
const OF_NODE: usize = 256;

/// Connections of everybody else at once: a scraper or two, and a person. More are closed, for waiting they would be in the
/// kubelet's way.
const OF_OTHERS: u32 = 32;

/// For the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// For a whole connection, which carries one request, unless that is a probe.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// For what a connection needs beside its probe.
const AROUND_PROBE: Duration = Duration::from_secs(1);

/// Before the next try to accept, after the kernel had nothing left to accept with.
const PAUSE: Duration = Duration::from_millis(100);

/// The form of metrics that Prometheus reads.
const METRICS_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers for as long as it is polled.
///
/// # Errors
/// None at present: a failure to accept is waited out, for metrics are not worth a pod's flows.
pub async fn serve(listener: TcpListener, context: Arc<Context>) -> std::io::Result<()> {
    let (mut connections, mut of_node) = (JoinSet::new(), JoinSet::new());
    let others = Bound::new(OF_OTHERS);
    loop {
        while of_node.len() >= OF_NODE {
            of_node.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) if probes::is_node(&context, from.ip()) => {
                    of_node.spawn(converse(stream, context.clone()));
                }
                Ok((stream, _)) => if let Some(place) = others.take() {
                    let conversation = converse(stream, context.clone());
                    connections.spawn(async move {
                        conversation.await;
                        drop(place);
                    });
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection to the administration port could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            Some(_) = of_node.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, context: Arc<Context>) {
    // a connection that is gone already is nobody's
    let (Ok(from), Ok(at)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let (lasts, mut until) = watch::channel(Instant::now() + CONNECTION_TIME);
    let (lasts, context) = (&lasts, &context);
    let service = service_fn(|request: Request<Incoming>| async move { answer(&request, context, (from, at), lasts).await });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    loop {
        let end = *until.borrow_and_update();
        tokio::select! {
            // What a stranger sends that is not HTTP concerns nobody.
            _ = &mut connection => return,
            () = sleep_until(end) => return,
            // another end was set
            Ok(()) = until.changed() => {}
        }
    }
}

/// Answers a request at one address from another; the connection lasts no longer than what is asked for. A lifecycle hook to which the
/// application does not answer ends without an answer, for only that is a failure to the kubelet.
async fn answer(
    request: &Request<Incoming>,
    context: &Context,
    (from, at): (SocketAddr, SocketAddr),
    lasts: &watch::Sender<Instant>,
) -> Result<Response<Full<Bytes>>, ProbeError> {
    let path = request.uri().path();
    let Some(asked) = probes::find(context, path, from.ip()) else { return Ok(respond(request.method(), path, context)) };
    if request.method() != Method::GET {
        return Ok(only_get());
    }
    lasts.send_replace(Instant::now() + asked.within() + AROUND_PROBE);
    match asked.ask(context, at).await {
        Ok(()) => Ok(text(StatusCode::OK, "ok\n")),
        Err(problem) if asked.is_hook => Err(problem),
        Err(problem) => Ok(text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n"))),
    }
}

fn respond(method: &Method, path: &str, context: &Context) -> Response<Full<Bytes>> {
    match (path, method) {
        ("/metrics" | "/ready" | "/live", method) if method != Method::GET => only_get(),
        ("/metrics", _) => match context.metrics.render() {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_FORM));
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        ("/ready", _) => match context.missing() {
            None => text(StatusCode::OK, "ready\n"),
            Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{missing}\n")),
        },
        ("/live", _) => text(StatusCode::OK, "live\n"),
        _ => text(StatusCode::NOT_FOUND, "/metrics, /ready and /live are answered\n"),
    }
}

fn only_get() -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET alone is answered\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
