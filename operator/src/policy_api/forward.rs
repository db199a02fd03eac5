//! Checkpoints that reach a replica that does not lead go on to the one that does, with the sidecar's own token: whoever takes
//! them judges them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use shekara_policy::exchange::CHECKPOINTS_PATH;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tracing::warn;

use super::error::ApiError;

/// Says that a checkpoint was forwarded once, which is as often as it may be.
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
        let tls = Arc::new(versions.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { tls, name: ServerName::try_from(name)?, port })
    }

    /// Hands a checkpoint on, and gives the answer's status.
    pub(super) async fn forward(&self, to: IpAddr, headers: &HeaderMap, body: Bytes) -> Result<StatusCode, ApiError> {
        match timeout(PATIENCE, self.post(to, headers, body)).await {
            Ok(Ok(status)) => Ok(status),
            Ok(Err(problem)) => {
                warn!(replica = %to, %problem, "a checkpoint could not be handed on");
                Err(ApiError::NoLeader)
            }
            Err(_) => Err(ApiError::NoLeader),
        }
    }

    async fn post(&self, to: IpAddr, headers: &HeaderMap, body: Bytes) -> io::Result<StatusCode> {
        let stream = TcpStream::connect(SocketAddr::new(to, self.port)).await?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), stream).await?;
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let mut request =
            Request::post(CHECKPOINTS_PATH).header(header::HOST, self.name.to_str().as_ref()).header(FORWARDED, "1");
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(body)).map_err(io::Error::other)?;
        let status = async {
            let answer = requests.send_request(request).await;
            // the connection lasts as long as somebody could send something
            drop(requests);
            answer.map(|answer| answer.status())
        };
        let (status, _) = tokio::join!(status, connection);
        status.map_err(io::Error::other)
    }
}
