//! How connections end: by a reset, unless both sides have said that they are done.

use std::time::Duration;

use shekara_policy::Protocol;
use shekara_policy::verdict::Denial;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hello::tls::ACCESS_DENIED;

/// How long a refused client may take to read why, and how much it may still say meanwhile.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Reads of what a refused client still says; it goes nowhere.
const UNHEARD: usize = 64;

/// A connection that is reset when it is dropped. A flow that is cut off never looks like one that is complete.
#[derive(Debug)]
pub struct Abrupt {
    stream: TcpStream,
    done: bool,
}

impl Abrupt {
    /// Takes a connection over.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, done: false }
    }

    /// The connection.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Both sides are done: closes without a reset.
    pub fn done(mut self) {
        self.done = true;
    }

    /// Tells the client why, where its protocol has words for it, and closes. Where it has none, a reset is all.
    pub async fn refuse(self, protocol: Protocol, denial: &Denial) {
        let words = match protocol {
            Protocol::Tls => ACCESS_DENIED.to_vec(),
            Protocol::Http => forbidden(denial),
            _ => return,
        };
        let said = self.stream.try_write(&words).is_ok_and(|length| length == words.len());
        if said && SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write).is_ok() {
            // A reset at once could overtake the words.
            let _ = timeout(LAST_WORDS, self.hear_out()).await;
        }
    }

    async fn hear_out(&self) {
        let mut unheard = [0; 1024];
        for _ in 0..UNHEARD {
            if self.stream.readable().await.is_err() {
                return;
            }
            match self.stream.try_read(&mut unheard) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    }
}

impl Drop for Abrupt {
    fn drop(&mut self) {
        if !self.done {
            // If the kernel refuses, the connection is closed all the same.
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

fn forbidden(denial: &Denial) -> Vec<u8> {
    let (code, sentence) = (denial.reason.code(), denial.reason.sentence());
    let length = sentence.len() + 1;
    format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\nShekara-Reason: {code}\r\n\r\n{sentence}\n"
    )
    .into_bytes()
}
