//! A probe by HTTP/1.1, or by HTTP/2 where the application chooses it inside TLS: the head of the answer counts, its body is not read, and where it leads is not followed.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{ProbeError, tls};

/// Who asks.
pub(super) const AGENT: &str = "kube-probe/shekara";

/// The longest head of an answer.
const LONGEST: usize = 64 * 1024;

/// The same of HTTP/2.
const LONGEST_LIST: u32 = 64 * 1024;

/// The status of the answer.
pub(super) async fn get(
    stream: TcpStream,
    to: SocketAddr,
    over_tls: bool,
    path: &str,
    headers: &[(String, String)],
) -> Result<StatusCode, ProbeError> {
    let request = request(to, path, headers).ok_or(ProbeError::Unsendable)?;
    if !over_tls {
        return send(stream, request).await;
    }
    match tls::begin(stream, to).await? {
        (stream, true) => send_over_http2(stream, to, request).await,
        (stream, false) => send(stream, request).await,
    }
}

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<StatusCode, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // some servers know headers by the spelling alone in which the kubelet sends them
    let handshake = http1::Builder::new().title_case_headers(true).max_buf_size(LONGEST).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| ProbeError::Protocol)?;
    driven(connection, sender.send_request(request)).await.map(|answer| answer.status()).map_err(|_| ProbeError::Protocol)
}

/// What HTTP/2 does not have of the headers, such as `Connection` (RFC 9113, section 8.2.2), hyper leaves out.
async fn send_over_http2<S>(stream: S, to: SocketAddr, request: Request<Empty<Bytes>>) -> Result<StatusCode, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = for_http2(to, request).ok_or(ProbeError::Unsendable)?;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let handshake = builder.max_header_list_size(LONGEST_LIST).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| ProbeError::Protocol)?;
    driven(connection, sender.send_request(request)).await.map(|answer| answer.status()).map_err(|_| ProbeError::Protocol)
}

/// The same request with its host where HTTP/2 has it, beside the path (RFC 9113, section 8.3.1); none where the host is none.
fn for_http2(to: SocketAddr, mut request: Request<Empty<Bytes>>) -> Option<Request<Empty<Bytes>>> {
    let host = request.headers_mut().remove(HOST);
    let authority = host.map_or_else(|| to.to_string().into_bytes(), |host| host.as_bytes().to_vec());
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(request.uri().path_and_query()?.clone());
    *request.uri_mut() = uri.build().ok()?;
    Some(request)
}

/// What is answered on a connection that is driven meanwhile.
pub(super) async fn driven<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    let (mut connection, mut answer) = (std::pin::pin!(connection), std::pin::pin!(answer));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // the answer may have been its last word
        _ = &mut connection => answer.await,
    }
}

/// What is sent; none where the path or a header is none.
fn request(to: SocketAddr, path: &str, given: &[(String, String)]) -> Option<Request<Empty<Bytes>>> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
    }
    let host = HeaderValue::from_str(&to.to_string()).ok()?;
    let defaults = [
        (HOST, host),
        (USER_AGENT, HeaderValue::from_static(AGENT)),
        (ACCEPT, HeaderValue::from_static("*/*")),
        (CONNECTION, HeaderValue::from_static("close")),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(value);
    }
    let mut request = Request::get(target(path)).body(Empty::new()).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

/// The path as it is sent: from the root, without what follows a number sign, and with nothing in it that ends a line or a word.
fn target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut target = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        match byte {
            b'!'..=b'~' if !b"\"<>\\^`{|}".contains(&byte) => target.push(byte.into()),
            _ => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_sent_as_a_path_whatever_it_has() {
        let paths = [
            ("", "/"),
            ("healthz", "/healthz"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a b#c", "/a%20b"),
            ("/\r\nX: й{", "/%0D%0AX:%20%D0%B9%7B"),
        ];
        for (given, sent) in paths {
            assert_eq!(target(given), sent);
            assert_eq!(Request::get(target(given)).body(()).unwrap().uri().to_string(), sent);
        }
    }

    #[test]
    fn what_is_given_comes_before_the_defaults_and_what_is_no_header_is_not_sent() {
        let to = "[2001:db8::1]:8080".parse().unwrap();
        let given = |name: &str, value: &str| [(name.to_owned(), value.to_owned())];
        let request = super::request(to, "/", &given("host", "faces.example")).unwrap();
        assert_eq!(
            (&request.headers()["host"], &request.headers()["user-agent"]),
            (&HeaderValue::from_static("faces.example"), &HeaderValue::from_static(AGENT))
        );
        assert_eq!(super::request(to, "/", &[]).unwrap().headers()["host"], "[2001:db8::1]:8080");
        assert!(
            super::request(to, "/", &given("a b", "c")).is_none() && super::request(to, "/", &given("a", "b\r\nc: d")).is_none()
        );
    }
}
