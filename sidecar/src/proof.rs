//! The proxy's side of the proof: it answers flows to addresses where nobody is, and says where they were meant to go.

pub mod again;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sink::{LONGEST_NONCE, MAGIC, Sink};

/// The destinations of the proof. Documentation addresses (RFC 5737, RFC 3849) are nobody's, and no service has port 4.
pub const DESTINATIONS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 4),
];

/// What the answer begins with.
pub const ANSWER: &str = "SHEKARA-PROOF";

/// Proofs that are answered at once: one needs two, and whoever takes all of them keeps the pod from being proven.
pub const AT_ONCE: u32 = 16;

/// A proof is one line each way: whoever takes longer is not proving anything.
const WITHIN: Duration = Duration::from_secs(5);

/// Answers `SHEKARA-VERIFY <nonce>` with `SHEKARA-PROOF <nonce> <original destination> udp=<0|1>`, where `udp` says whether the
/// sink has seen a datagram with the nonce. Whatever else is said is not answered.
///
/// # Errors
/// When the connection breaks, or the line does not come in time or in form.
pub async fn answer(mut stream: TcpStream, destination: SocketAddr, sink: &Sink) -> io::Result<()> {
    let line = timeout(WITHIN, read_line(&mut stream)).await??;
    let nonce = line.strip_prefix(MAGIC).filter(|nonce| is_nonce(nonce)).ok_or(io::ErrorKind::InvalidData)?;
    let nonce_text = String::from_utf8_lossy(nonce);
    let udp = u8::from(sink.has_seen(nonce));
    stream.write_all(format!("{ANSWER} {nonce_text} {destination} udp={udp}\n").as_bytes()).await?;
    stream.shutdown().await
}

fn is_nonce(nonce: &[u8]) -> bool {
    (1..=LONGEST_NONCE).contains(&nonce.len()) && nonce.iter().all(u8::is_ascii_alphanumeric)
}

async fn read_line(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::with_capacity(MAGIC.len() + LONGEST_NONCE);
    while line.len() <= MAGIC.len() + LONGEST_NONCE {
        match stream.read_u8().await? {
            b'\n' => return Ok(line),
            byte => line.push(byte),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tokio::net::TcpListener;

    use super::*;

    #[rstest]
    #[case("SHEKARA-VERIFY abc\n", "SHEKARA-PROOF abc 192.0.2.1:4 udp=1\n")]
    #[case("SHEKARA-VERIFY other\n", "SHEKARA-PROOF other 192.0.2.1:4 udp=0\n")]
    #[case("SHEKARA-VERIFY \n", "")]
    #[case("SHEKARA-VERIFY a b\n", "")]
    #[case("GET / HTTP/1.1\r\n\r\n", "")]
    #[tokio::test]
    async fn a_proof_says_what_the_proxy_saw(#[case] line: &str, #[case] expected: &str) {
        let sink = Sink::default();
        sink.take(b"SHEKARA-VERIFY abc");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(line.as_bytes()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let outcome = answer(stream, DESTINATIONS[0], &sink).await;
        assert_eq!(outcome.is_ok(), !expected.is_empty());
        let mut said = String::new();
        let _ = client.read_to_string(&mut said).await;
        assert_eq!(said, expected);
    }
}
