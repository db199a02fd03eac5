//! `GET /metrics`, `/ready` and `/live` on the address of the pod: reads only, and nothing about single flows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::context::Context;

/// Connections at once: a kubelet, a scraper or two, and a person. Others wait for their turn.
const CONNECTIONS: usize = 32;

/// For the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// For a whole connection, which carries one request.
const CONNECTION_TIME: Duration = Duration::from_secs(10);

/// Before the next try to accept, after the kernel had nothing left to accept with.
const PAUSE: Duration = Duration::from_millis(100);

/// The form of metrics that Prometheus reads.
const METRICS_FORM: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers for as long as it is polled.
///
/// # Errors
/// None at present: a failure to accept is waited out, for metrics are not worth a pod's flows.
pub async fn serve(listener: TcpListener, context: Arc<Context>) -> std::io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, context.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the administration port could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, context: Arc<Context>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &context);
        async { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(8 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // What a stranger sends that is not HTTP concerns nobody.
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

fn respond(method: &Method, path: &str, context: &Context) -> Response<Full<Bytes>> {
    match (path, method) {
        ("/metrics" | "/ready" | "/live", method) if method != Method::GET => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET alone is answered\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
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

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
