//! Checkpoints and questions about peers that reach a replica that does not lead go on to the one that does, with the sidecar's own
//! token: whoever takes them judges them. What the sidecars say is known where it is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use futures::{StreamExt as _, stream};
use http_body_util::BodyDataStream;
use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::warn;

use super::error::ApiError;

/// What drives a connection to another replica.
type Driver = Connection<TokioIo<TlsStream<TcpStream>>, Body, TokioExecutor>;

/// Says that a request was forwarded once, which is as often as it may be.
pub(super) const FORWARDED: &str = "shekara-forwarded";

/// How long the other replica may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to other replicas cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The authority is not in PEM.
    #[error("the certificate authority cannot be read: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// rustls refuses the authority or the configuration.
    #[error("the certificate authority cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The Service or namespace cannot be part of a name.
    #[error("the name of the policy API is none: {0}")]
    Name(#[from] InvalidDnsNameError),
}

/// The other replicas, as this one reaches them.
pub(super) struct Replicas {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    port: u16,
}

impl Replicas {
    /// By their certificate authority, the name that their certificates have, and their port.
    pub(super) fn new(authority: &str, name: String, port: u16) -> Result<Self, ForwardError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut tls = versions.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { tls: Arc::new(tls), name: ServerName::try_from(name)?, port })
    }

    /// Hands a request on, and gives the answer. Both bodies go on as they come.
    pub(super) async fn hand_on(&self, to: IpAddr, request: Request) -> Result<Response, ApiError> {
        let gone = |problem: &dyn std::fmt::Display| {
            warn!(replica = %to, %problem, "a request could not be handed on");
            ApiError::NoLeader
        };
        let late = |_| gone(&"it does not answer in time");
        let (mut requests, connection) =
            timeout(PATIENCE, self.connect(to)).await.map_err(late)?.map_err(|problem| gone(&problem))?;
        let mut connection = Box::pin(connection);
        let request = self.readdressed(request).map_err(|problem| gone(&problem))?;
        let answered = async {
            tokio::select! {
                answer = requests.send_request(request) => answer.map_err(|problem| gone(&problem)),
                _ = &mut connection => Err(gone(&"the connection ended")),
            }
        };
        let answer = timeout(PATIENCE, answered).await.map_err(late)??;
        let (head, body) = answer.into_parts();
        // the connection makes progress only while somebody reads the answer, and lasts as long
        let state = (BodyDataStream::new(body), connection, false);
        let data = stream::unfold(state, async |(mut body, mut connection, mut ended)| {
            loop {
                tokio::select! {
                    biased;
                    data = body.next() => return data.map(|data| (data, (body, connection, ended))),
                    _ = &mut connection, if !ended => ended = true,
                }
            }
        });
        Ok(Response::from_parts(head, Body::from_stream(data)))
    }

    async fn connect(&self, to: IpAddr) -> io::Result<(SendRequest<Body>, Driver)> {
        let stream = TcpStream::connect(SocketAddr::new(to, self.port)).await?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), stream).await?;
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PATIENCE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)
    }

    /// The request as it is sent to another replica.
    fn readdressed(&self, request: Request) -> Result<Request, axum::http::Error> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let uri = format!("https://{}:{}{path}", self.name.to_str(), self.port);
        let mut onward = axum::http::Request::builder().method(head.method).uri(uri).header(FORWARDED, "1");
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = head.headers.get(&name) {
                onward = onward.header(name, value);
            }
        }
        onward.body(body)
    }
}
