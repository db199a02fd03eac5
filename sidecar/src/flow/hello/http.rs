//! The head of an HTTP/1 request: which party it names, and how long its body is.
//!
//! What is passed on is written anew from what was understood, so that the server cannot understand another request.

use std::net::IpAddr;

use httparse::{EMPTY_HEADER, Header, Request, Status};
use shekara_policy::{HostName, Reason};

use super::Progress;

/// Headers of a request; one with more is refused.
const HEADERS: usize = 100;

/// Methods whose requests have no body that means anything (RFC 9110, section 9.3): some servers take one for the next request.
const BODILESS: [&str; 3] = ["GET", "HEAD", "TRACE"];

/// Headers that are not passed on: the wish for another protocol, behind which the requests could not be read, unless it is for
/// WebSocket; and that for leave to send a body.
const DROPPED: [&str; 3] = ["upgrade", "http2-settings", "expect"];

/// What the connection preface of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2";

/// A request's head, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whom it names; absent when it names nobody.
    pub authority: Option<Authority>,
    /// What follows the head.
    pub body: Body,
    /// It asks to speak WebSocket (RFC 6455) from here on.
    pub websocket: bool,
    /// The client waits for leave before it sends the body (RFC 9110, section 10.1.1). The server is not asked for it: one that says
    /// no could take for the next request what is read here as the body.
    pub waits: bool,
    /// How many bytes of the input it took.
    pub length: usize,
    /// The head to pass on.
    pub rewritten: Vec<u8>,
}

/// Whom a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The party.
    pub host: Host,
    /// The port, where one is written.
    pub port: Option<u16>,
}

impl Authority {
    /// The same without its port where that is the one that was dialled: the same party is named with it and without it.
    #[must_use]
    pub fn dialled_at(self, port: u16) -> Self {
        Self { port: self.port.filter(|named| *named != port), ..self }
    }
}

/// A name, or an address in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host name.
    Name(HostName),
    /// A literal address.
    Address(IpAddr),
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked,
}

/// Reads the head of a request.
#[must_use]
pub fn head(bytes: &[u8]) -> Progress<Head> {
    if bytes.starts_with(PREFACE) || bytes.starts_with(b"CONNECT ") {
        return Progress::Refused(Reason::ProxyRequest);
    }
    if PREFACE.starts_with(bytes) {
        return Progress::More;
    }
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Partial) => Progress::More,
        Ok(Status::Complete(length)) => understand(&request, length).map_or_else(Progress::Refused, Progress::Whole),
        Err(_) => Progress::Refused(Reason::UnreadableHello),
    }
}

/// A wish to be connected through a proxy (RFC 9110, section 9.3.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The party.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The request to pass on: the party, and by what the client is known to the proxy. Nothing else of the client's is passed on.
    pub rewritten: Vec<u8>,
}

/// Reads the request of a client that speaks with an egress proxy. Nothing may follow it before the answer.
#[must_use]
pub fn connect(bytes: &[u8]) -> Progress<Connect> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Partial) => Progress::More,
        Ok(Status::Complete(length)) if length == bytes.len() => wish(&request).map_or_else(Progress::Refused, Progress::Whole),
        Ok(Status::Complete(_)) | Err(_) => Progress::Refused(Reason::UnreadableHello),
    }
}

fn wish(request: &Request<'_, '_>) -> Result<Connect, Reason> {
    let (Some("CONNECT"), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Reason::ProxyRequest);
    };
    if body("CONNECT", request.headers, minor)? != Body::Length(0) {
        return Err(Reason::AmbiguousLength);
    }
    let Authority { host, port: Some(port) } = parse_authority(target)? else { return Err(Reason::AmbiguousAuthority) };
    let named = match only(request.headers, "host")? {
        None | Some(b"") => None,
        Some(value) => Some(parse_authority(std::str::from_utf8(value).map_err(|_| Reason::AmbiguousAuthority)?)?),
    };
    if named.is_some_and(|named| named.host != host || named.port.is_some_and(|other| other != port)) {
        return Err(Reason::AmbiguousAuthority);
    }
    let party = match &host {
        Host::Name(name) => format!("{name}:{port}"),
        Host::Address(ip) => std::net::SocketAddr::new(*ip, port).to_string(),
    };
    let mut rewritten = format!("CONNECT {party} HTTP/1.1\r\nHost: {party}\r\n").into_bytes();
    if let Some(known) = only(request.headers, "proxy-authorization")? {
        rewritten.extend_from_slice(b"Proxy-Authorization: ");
        rewritten.extend_from_slice(known);
        rewritten.extend_from_slice(b"\r\n");
    }
    rewritten.extend_from_slice(b"\r\n");
    Ok(Connect { host, port, rewritten })
}

fn understand(request: &Request<'_, '_>, length: usize) -> Result<Head, Reason> {
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(Reason::UnreadableHello);
    };
    // also behind empty lines, which are passed over
    if method.eq_ignore_ascii_case("CONNECT") {
        return Err(Reason::ProxyRequest);
    }
    let authority = authority(target, method, request.headers)?;
    let body = body(method, request.headers, minor)?;
    let upgrade = only(request.headers, "upgrade")?;
    // A handshake has no body; one that has is not treated as one, so that nobody takes the body for the next request.
    let websocket = body == Body::Length(0) && upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    let rewritten = rewrite(method, target, minor, request.headers, websocket);
    let waits = minor > 0 && only(request.headers, "expect")?.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    Ok(Head { authority, body, websocket, waits, length, rewritten })
}

/// Whom the request names. The target's authority and the Host header must agree (RFC 9112, section 3.2.2 lets the target win;
/// a server behind may think otherwise, so a difference is refused).
fn authority(target: &str, method: &str, headers: &[Header<'_>]) -> Result<Option<Authority>, Reason> {
    let host = match only(headers, "host")? {
        None | Some(b"") => None,
        Some(value) => Some(parse_authority(std::str::from_utf8(value).map_err(|_| Reason::AmbiguousAuthority)?)?),
    };
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") {
        return Ok(host);
    }
    let (scheme, rest) = target.split_once("://").ok_or(Reason::AmbiguousAuthority)?;
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(Reason::AmbiguousAuthority);
    }
    let named = parse_authority(rest.split(['/', '?', '#']).next().unwrap_or_default())?;
    match host {
        Some(host) if host.host != named.host || host.port.unwrap_or(80) != named.port.unwrap_or(80) => {
            Err(Reason::AmbiguousAuthority)
        }
        _ => Ok(Some(named)),
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port` (RFC 3986, section 3.2, without user information).
fn parse_authority(text: &str) -> Result<Authority, Reason> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or(Reason::AmbiguousAuthority)?;
            let address = address.parse().map(IpAddr::V6).map_err(|_| Reason::AmbiguousAuthority)?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':').ok_or(Reason::AmbiguousAuthority)?) };
            (Host::Address(address), port)
        }
        None => {
            let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
            let address = host.parse().map(IpAddr::V4).map(Host::Address).ok();
            let name = || host.parse().map(Host::Name).ok();
            (address.or_else(name).ok_or(Reason::AmbiguousAuthority)?, port)
        }
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port {
        None | Some("") => None,
        Some(port) if digits(port) => Some(port.parse().map_err(|_| Reason::AmbiguousAuthority)?),
        Some(_) => return Err(Reason::AmbiguousAuthority),
    };
    Ok(Authority { host, port })
}

/// The length of the body. Where two headers could be read differently, a second request could hide in the body (RFC 9112,
/// section 11.2), so there is one way or none.
fn body(method: &str, headers: &[Header<'_>], minor: u8) -> Result<Body, Reason> {
    let only = |name| only(headers, name).map_err(|_| Reason::AmbiguousLength);
    let body = match (only("transfer-encoding")?, only("content-length")?) {
        (None, None) => Ok(Body::Length(0)),
        // HTTP/1.0 knows no codings, so a server may take the chunks for something else
        (Some(coding), None) if minor > 0 && coding.eq_ignore_ascii_case(b"chunked") => Ok(Body::Chunked),
        (None, Some(length)) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            length.map(Body::Length).ok_or(Reason::AmbiguousLength)
        }
        _ => Err(Reason::AmbiguousLength),
    }?;
    if body != Body::Length(0) && BODILESS.contains(&method) {
        return Err(Reason::AmbiguousLength);
    }
    Ok(body)
}

/// The value of a header that may come once at most.
fn only<'h>(headers: &[Header<'h>], name: &str) -> Result<Option<&'h [u8]>, Reason> {
    let mut values = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value);
    match (values.next(), values.next()) {
        (value, None) => Ok(value.map(<[u8]>::trim_ascii)),
        _ => Err(Reason::AmbiguousAuthority),
    }
}

/// Writes the head anew. An upgrade to anything but WebSocket is not passed on: behind it the requests could not be read, and a
/// server that does not see the wish goes on with HTTP/1 (RFC 9110, section 7.8).
fn rewrite(method: &str, target: &str, minor: u8, headers: &[Header<'_>], websocket: bool) -> Vec<u8> {
    let kept = |header: &&Header<'_>| websocket || !DROPPED.iter().any(|dropped| header.name.eq_ignore_ascii_case(dropped));
    let mut text = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
    for header in headers.iter().filter(kept) {
        text.extend_from_slice(header.name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(header.value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}
