//! The first bytes of a connection: what they say about where it wants to go.

pub mod http;
pub mod tls;

use std::io;
use std::time::Duration;

use shekara_policy::flow::TlsVersion;
use shekara_policy::{HostName, Limits, Protocol, Reason};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use self::http::{Connect, Head};

/// How long it may while the pod observes: where the server speaks first the client waits for it meanwhile.
pub const WITHIN_OBSERVED: Duration = Duration::from_secs(1);

/// How much a client may say until it has named its destination, whatever is configured: what a record of TLS can hold.
pub const LIMIT: usize = 16 * 1024;

/// What the first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// A whole ClientHello.
    Tls {
        /// The server name, if it has one.
        name: Option<HostName>,
        /// The highest version that it offers; absent for versions that are older than any that a standard can ask for.
        version: Option<TlsVersion>,
        /// It has the extension in which another name may be hidden (RFC 9849).
        ech: bool,
    },
    /// The whole head of a request.
    Http(Head),
}

impl Hello {
    /// The protocol that the client speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Tls { .. } => Protocol::Tls,
            Self::Http(_) => Protocol::Http,
        }
    }
}

/// How far the bytes can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// So far nothing is wrong, and something is missing.
    More,
    /// All of it.
    Whole(T),
    /// More bytes would not help.
    Refused(Reason),
}

/// Why there is no hello.
#[derive(Debug)]
pub struct Unread {
    /// The reason for the denial.
    pub reason: Reason,
    /// The protocol, as far as the first byte says it.
    pub protocol: Protocol,
    /// The client is gone, so there is nobody to tell.
    pub gone: bool,
}

/// Reads the hello of bytes that may have come in any pieces.
#[must_use]
pub fn read(bytes: &[u8]) -> Progress<Hello> {
    match protocol(bytes) {
        None if bytes.is_empty() => Progress::More,
        Some(Protocol::Tls) => tls::read(bytes),
        Some(Protocol::Http) => match http::head(bytes) {
            Progress::More => Progress::More,
            Progress::Whole(head) => Progress::Whole(Hello::Http(head)),
            Progress::Refused(reason) => Progress::Refused(reason),
        },
        _ => Progress::Refused(Reason::UnreadableHello),
    }
}

/// The protocol by the first byte: a handshake record of TLS, or the method of a request.
fn protocol(bytes: &[u8]) -> Option<Protocol> {
    match bytes.first() {
        Some(&tls::HANDSHAKE) => Some(Protocol::Tls),
        Some(byte) if byte.is_ascii_uppercase() => Some(Protocol::Http),
        _ => None,
    }
}

/// Within what a client must have named its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Within {
    /// Bytes; one that says as many and has not named it is refused.
    pub bytes: usize,
    /// Time.
    pub time: Duration,
}

impl Within {
    /// As the platform bounds it.
    #[must_use]
    pub fn limits(limits: Limits) -> Self {
        let bytes = usize::try_from(limits.hello_bytes).unwrap_or(LIMIT).min(LIMIT);
        Self { bytes, time: Duration::from_secs(limits.hello_seconds.into()) }
    }

    /// The same while the pod observes.
    #[must_use]
    pub fn observing(self) -> Self {
        Self { time: self.time.min(WITHIN_OBSERVED), ..self }
    }
}

/// Reads the hello of a connection into `bytes`, which keep all that was read.
///
/// # Errors
/// When the bytes are no hello, are too many, or do not come in time.
pub async fn await_hello(stream: &TcpStream, bytes: &mut Vec<u8>, within: Within) -> Result<Hello, Unread> {
    let outcome = timeout(within.time, gather(stream, bytes, within.bytes, read)).await;
    told(outcome, bytes)
}

/// Reads the request of a client that speaks with an egress proxy, as [`await_hello`] does.
///
/// # Errors
/// As [`await_hello`].
pub async fn await_connect(stream: &TcpStream, bytes: &mut Vec<u8>, within: Within) -> Result<Connect, Unread> {
    let outcome = timeout(within.time, gather(stream, bytes, within.bytes, http::connect)).await;
    told(outcome, bytes)
}

/// What came of reading, in the words of a denial.
fn told<T>(outcome: Result<io::Result<Result<T, Reason>>, Elapsed>, bytes: &[u8]) -> Result<T, Unread> {
    let (reason, gone) = match outcome {
        Ok(Ok(Ok(read))) => return Ok(read),
        Ok(Ok(Err(reason))) => (reason, false),
        Ok(Err(_)) => (if bytes.is_empty() { Reason::NoName } else { Reason::UnreadableHello }, true),
        Err(_) => (Reason::NameTimeout, false),
    };
    Err(Unread { reason, protocol: protocol(bytes).unwrap_or(Protocol::Tcp), gone })
}

async fn gather<T>(
    stream: &TcpStream,
    bytes: &mut Vec<u8>,
    most: usize,
    read: impl Fn(&[u8]) -> Progress<T>,
) -> io::Result<Result<T, Reason>> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => match read(bytes) {
                Progress::More if bytes.len() >= most => return Ok(Err(Reason::HelloTooLong)),
                Progress::More => bytes.reserve(1024),
                Progress::Whole(hello) => return Ok(Ok(hello)),
                Progress::Refused(reason) => return Ok(Err(reason)),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
