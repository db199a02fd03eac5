//! TLS to the application of the same pod, whose certificate is not looked at: nothing that is confidential is sent, and nothing of
//! the answer is believed but that it came.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::ProbeError;

/// HTTP/2 by its name in TLS (RFC 9113, section 3.2).
const HTTP2: &[u8] = b"h2";

/// HTTP/1.1 by its name in TLS (RFC 7301, section 6).
const HTTP1: &[u8] = b"http/1.1";

/// TLS of version 1.2 or 1.3, without a server name, and whether the application has chosen HTTP/2. Like the kubelet, the sidecar offers both.
pub(super) async fn begin(stream: TcpStream, to: SocketAddr) -> Result<(TlsStream<TcpStream>, bool), ProbeError> {
    let config = config().map_err(|_| ProbeError::Tls)?;
    let connected = TlsConnector::from(Arc::new(config)).connect(ServerName::from(to.ip()), stream);
    let stream = connected.await.map_err(|_| ProbeError::Tls)?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((stream, is_http2))
}

fn config() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let any = Any(provider.signature_verification_algorithms.supported_schemes());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(any)).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = [HTTP2, HTTP1].map(<[u8]>::to_vec).into();
    Ok(config)
}

/// Takes any certificate, with these schemes of signatures.
#[derive(Debug)]
struct Any(Vec<SignatureScheme>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
