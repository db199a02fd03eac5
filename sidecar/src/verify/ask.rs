//! The question to the sidecar: did this connection come to you, and where was it meant to go?

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::Witness;
use crate::carve_out::as_anybody;
use crate::proof::ANSWER;
use crate::sink::MAGIC;

/// For connecting, for asking and for the answer, each. Within the pod all take less than a millisecond.
const TIME: Duration = Duration::from_secs(1);

/// Longer than every answer of the sidecar.
const MAX_ANSWER: usize = 256;

/// No proof.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody answered; a time-out proves nothing.
    #[error("nobody answered at {0}: {1}")]
    NoAnswer(SocketAddr, #[source] io::Error),
    /// Somebody answered who is not the sidecar, or the sidecar saw another destination.
    #[error("the answer was not the sidecar's proof but {0:?}")]
    Foreign(String),
}

/// Asks at the proof address and gives whether a datagram with the nonce has reached the sink.
pub(super) fn ask(destination: SocketAddr, nonce: &str, witness: &impl Witness) -> Result<bool, AskError> {
    let answer = exchange(destination, &request(nonce), witness).map_err(|error| AskError::NoAnswer(destination, error))?;
    understand(&answer, destination, nonce).ok_or(AskError::Foreign(answer))
}

/// The line that asks, over TCP and, to be found by it later, over UDP.
pub(super) fn request(nonce: &str) -> String {
    format!("{}{nonce}\n", String::from_utf8_lossy(MAGIC))
}

fn exchange(destination: SocketAddr, request: &str, witness: &impl Witness) -> io::Result<String> {
    let socket = Socket::new(Domain::for_address(destination), Type::STREAM, None)?;
    as_anybody(&socket)?;
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    socket.bind(&SocketAddr::new(any, 0).into())?;
    witness.asks_from(socket.local_addr()?.as_socket().map_or(0, |own| own.port()));
    socket.connect_timeout(&destination.into(), TIME)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIME))?;
    stream.set_write_timeout(Some(TIME))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") && answer.len() < MAX_ANSWER {
        let mut piece = [0; 64];
        match stream.read(&mut piece)? {
            0 => break,
            read => answer.extend(piece.iter().take(read)),
        }
    }
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Reads `SHEKARA-PROOF <nonce> <original destination> udp=<0|1>`; `None` unless nonce and destination are those of this attempt.
fn understand(answer: &str, destination: SocketAddr, nonce: &str) -> Option<bool> {
    let words: Vec<&str> = answer.strip_suffix('\n')?.split(' ').collect();
    let [magic, proven, seen, udp] = words.as_slice() else { return None };
    let is_proof = *magic == ANSWER && *proven == nonce && seen.parse() == Ok(destination);
    match *udp {
        "udp=1" if is_proof => Some(true),
        "udp=0" if is_proof => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("SHEKARA-PROOF n1 192.0.2.1:4 udp=1\n", Some(true))]
    #[case("SHEKARA-PROOF n1 192.0.2.1:4 udp=0\n", Some(false))]
    #[case::cut_off("SHEKARA-PROOF n1 192.0.2.1:4 udp=1", None)]
    #[case::another_nonce("SHEKARA-PROOF n2 192.0.2.1:4 udp=1\n", None)]
    #[case::the_proxy_itself("SHEKARA-PROOF n1 127.0.0.1:15001 udp=1\n", None)]
    #[case::another_port("SHEKARA-PROOF n1 192.0.2.1:5 udp=1\n", None)]
    #[case::an_echo("SHEKARA-VERIFY n1\n", None)]
    #[case::more("SHEKARA-PROOF n1 192.0.2.1:4 udp=1 and more\n", None)]
    fn only_this_nonce_and_destination_are_a_proof(#[case] answer: &str, #[case] expected: Option<bool>) {
        assert_eq!(understand(answer, "192.0.2.1:4".parse().unwrap(), "n1"), expected);
    }
}
