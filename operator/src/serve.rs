//! Serving HTTP/1 and HTTP/2, with and without TLS: bounded in connections and time, and drained when told to stop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How long a client may take for the TLS handshake, and for the head of a request.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many connections a port holds at once; the next waits in the system's queue.
const CONNECTIONS: usize = 20_000;
/// How often a silent HTTP/2 peer is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Requests that one connection may have under way.
const STREAMS: u32 = 64;

/// Serves without TLS until told to stop.
pub(crate) async fn plain(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<(), Infallible> {
    accept(listener, stop.clone(), |stream| {
        let (router, stop) = (router.clone(), stop.clone());
        async move { connection(stream, router, stop).await }
    })
    .await
}

/// Serves with TLS until told to stop.
pub(crate) async fn tls(
    listener: TcpListener,
    router: Router,
    config: Arc<rustls::ServerConfig>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let acceptor = TlsAcceptor::from(config);
    accept(listener, stop.clone(), |stream| {
        let (router, stop, acceptor) = (router.clone(), stop.clone(), acceptor.clone());
        async move {
            match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => connection(stream, router, stop).await,
                Ok(Err(problem)) => debug!(%problem, "a TLS handshake failed"),
                Err(_) => debug!("a TLS handshake took too long"),
            }
        }
    })
    .await
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    stop: CancellationToken,
    serve: impl Fn(TcpStream) -> F,
) -> Result<(), Infallible> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(problem) = ended {
                    warn!(%problem, "a connection ended badly");
                }
            }
            (place, stream) = next(&listener, &places) => {
                // small answers are not to wait for more; a socket that refuses is served all the same
                stream.set_nodelay(true).ok();
                let connection = serve(stream);
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
        }
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (Option<OwnedSemaphorePermit>, TcpStream) {
    // fails only for a closed semaphore, which this one never is
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (place, stream),
            Err(problem) => {
                warn!(%problem, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router, stop: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(STREAMS);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(problem) = ended {
        debug!(%problem, "a connection ended");
    }
}
