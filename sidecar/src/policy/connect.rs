//! One HTTPS/2 connection to the policy API: its name by the configured resolvers alone, its certificate by the configured
//! authority alone, its socket made like every other one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, Connection, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::body::RequestBody;
use crate::context::Context;
use crate::dns::lookup::{self, Family, LookupError};

/// For one address of the policy API; a replica that is gone is not waited for long.
const ONE_ADDRESS: Duration = Duration::from_secs(2);

/// For TLS and HTTP/2 to begin.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// How often the operator is asked whether it is still there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(5);

/// What may be under way at once, a quarter of a line at most, so that an idle pod holds little memory.
const WINDOW: u32 = 256 * 1024;

/// The driver of a connection: requests make progress while it is polled.
pub(super) type Driver = Connection<TokioIo<TlsStream<TcpStream>>, RequestBody, TokioExecutor>;

/// What requests are sent by.
pub(super) type Requests = SendRequest<RequestBody>;

/// The configured authority cannot be used; no later try would succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuthorityError {
    /// Not PEM.
    #[error("SHEKARA_POLICY_CA cannot be read: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Not a certificate that can sign, or TLS cannot be set up with it.
    #[error("SHEKARA_POLICY_CA cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
}

/// The policy API could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name was not answered.
    #[error("the name of the policy API cannot be resolved: {0}")]
    Lookup(#[from] LookupError),
    /// Its name has no address.
    #[error("the name of the policy API has no address")]
    NoAddress,
    /// No address took the connection; this is what the last one said.
    #[error("no connection to the policy API at {0}: {1}")]
    Dial(SocketAddr, #[source] io::Error),
    /// The certificate is not of the configured authority or name, or the handshake broke.
    #[error("no TLS with the policy API: {0}")]
    Tls(#[source] io::Error),
    /// HTTP/2 did not begin.
    #[error("no HTTP/2 with the policy API: {0}")]
    Http(#[from] hyper::Error),
}

/// TLS 1.3 with one authority, and HTTP/2 inside.
pub(super) fn tls(authority: &str) -> Result<Arc<ClientConfig>, AuthorityError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Connects to the first address that answers.
pub(super) async fn connect(context: &Context, tls: &Arc<ClientConfig>) -> Result<(Requests, Driver), ConnectError> {
    let stream = dial(context).await?;
    let name = ServerName::try_from(context.config.policy_api.host.as_str().to_owned())
        .map_err(|error| ConnectError::Tls(io::Error::other(error)))?;
    let late = |_| ConnectError::Tls(io::ErrorKind::TimedOut.into());
    let stream = timeout(HANDSHAKE, TlsConnector::from(tls.clone()).connect(name, stream)).await.map_err(late)?;
    let handshake = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true)
        .handshake(TokioIo::new(stream.map_err(ConnectError::Tls)?));
    Ok(timeout(HANDSHAKE, handshake).await.map_err(late)??)
}

async fn dial(context: &Context) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::NoAddress;
    for address in addresses(context).await? {
        match timeout(ONE_ADDRESS, context.dialler.connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = ConnectError::Dial(address, error),
            Err(_) => last = ConnectError::Dial(address, io::ErrorKind::TimedOut.into()),
        }
    }
    Err(last)
}

/// The addresses of both families. One family's failure does not hide the other's answer.
async fn addresses(context: &Context) -> Result<Vec<SocketAddr>, LookupError> {
    let api = &context.config.policy_api;
    let ask = |family| lookup::addresses(&context.forwarder, &context.config.resolvers, &api.host, family);
    let addresses = match tokio::join!(ask(Family::V4), ask(Family::V6)) {
        (Err(error), Err(_)) => return Err(error),
        (v4, v6) => [v4, v6].into_iter().flatten().flat_map(|found| found.addresses),
    };
    Ok(addresses.map(|address| SocketAddr::new(address, api.port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_the_only_root_and_must_be_one() {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        tls(&authority.pem()).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(tls(broken), Err(AuthorityError::Certificate(_))));
        assert!(matches!(tls("-----BEGIN CERTIFICATE-----\n!"), Err(AuthorityError::Pem(_))));
    }
}
