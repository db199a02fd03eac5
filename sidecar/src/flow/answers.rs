//! The server's first answer on a connection whose first request wishes for WebSocket.

use httparse::{EMPTY_HEADER, Response, Status};

use super::hello::LIMIT;

/// Headers of an answer that are read; one with more counts as no WebSocket.
const HEADERS: usize = 100;

/// Reads until the wish is answered. The bytes are passed on as they are; only their meaning is looked for.
#[derive(Debug, Default)]
pub struct FirstAnswer {
    begun: Vec<u8>,
}

impl FirstAnswer {
    /// Takes bytes from the server: whether WebSocket was accepted, once that is known. What cannot be read has accepted nothing.
    pub fn take(&mut self, bytes: &[u8]) -> Option<bool> {
        self.begun.extend_from_slice(bytes);
        loop {
            let mut headers = [EMPTY_HEADER; HEADERS];
            let mut response = Response::new(&mut headers);
            match response.parse(&self.begun) {
                Ok(Status::Complete(length)) => match response.code {
                    Some(101) => return Some(true),
                    // an interim answer (RFC 9110, section 15.2): the real one follows
                    Some(100..=199) => drop(self.begun.drain(..length)),
                    _ => return Some(false),
                },
                Ok(Status::Partial) if self.begun.len() < LIMIT => return None,
                _ => return Some(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframe", Some(true))]
    #[case("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n", Some(true))]
    #[case("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n101", Some(false))]
    #[case("HTTP/1.1 426 Upgrade Required\r\n\r\n", Some(false))]
    #[case("nonsense\r\n\r\n", Some(false))]
    #[case("HTTP/1.1 101 Switching", None)]
    fn only_101_accepts(#[case] answer: &str, #[case] expected: Option<bool>) {
        assert_eq!(FirstAnswer::default().take(answer.as_bytes()), expected);
        let mut slowly = FirstAnswer::default();
        assert_eq!(answer.bytes().find_map(|byte| slowly.take(&[byte])), expected);
    }
}
