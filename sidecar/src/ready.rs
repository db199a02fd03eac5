//! `shekara-sidecar ready`: asks the proxy of this pod whether it is ready, for the startup probe.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::Ports;

/// For connecting, and again for the answer: the kubelet asks every second.
const TIME: Duration = Duration::from_millis(500);

/// The proxy is not ready, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// It does not answer.
    #[error("the proxy does not answer on {0}: {1}")]
    NoAnswer(SocketAddr, #[source] io::Error),
    /// It says what is missing.
    #[error("the proxy is not ready: {0}")]
    NotReady(String),
}

/// Asks once.
///
/// # Errors
/// When it is not ready, or does not answer.
pub fn run() -> anyhow::Result<()> {
    // Loopback has IPv4 even in a pod whose addresses are all IPv6.
    let proxy = SocketAddr::from((Ipv4Addr::LOCALHOST, Ports::default().admin));
    let answer = ask(proxy).map_err(|error| ReadyError::NoAnswer(proxy, error))?;
    Ok(understand(&answer)?)
}

fn ask(proxy: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&proxy, TIME)?;
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}

fn understand(answer: &str) -> Result<(), ReadyError> {
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let body = answer.split_once("\r\n\r\n").map_or(answer, |(_, body)| body);
    Err(ReadyError::NotReady(body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_200_is_ready() {
        understand("HTTP/1.1 200 OK\r\n\r\nready\n").unwrap();
        let error = understand("HTTP/1.1 503 Service Unavailable\r\n\r\nthere is no policy document\n").unwrap_err();
        assert_eq!(error.to_string(), "the proxy is not ready: there is no policy document");
        assert!(understand("").is_err());
    }
}
