//! The sink: UDP that is not DNS ends here. It is counted and never answered.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::net::UdpSocket;

use crate::context::Context;

/// What a datagram of `shekara-verify` begins with; its nonce follows.
pub const MAGIC: &[u8] = b"SHEKARA-VERIFY ";

/// The longest nonce.
pub const LONGEST_NONCE: usize = 64;

/// Nonces that are remembered.
const NONCES: usize = 64;

/// What arrived.
#[derive(Debug, Default)]
pub struct Sink {
    datagrams: AtomicU64,
    nonces: Mutex<VecDeque<Vec<u8>>>,
    own: Mutex<Own>,
}

/// The nonce of the sidecar's own proof, which no number of others can push out.
#[derive(Debug, Default)]
struct Own {
    nonce: Vec<u8>,
    seen: bool,
}

impl Sink {
    /// Counts a datagram. One of `shekara-verify` is remembered by its nonce, and is no attempt to get out.
    pub fn take(&self, datagram: &[u8]) -> Taken {
        match datagram.strip_prefix(MAGIC).map(<[u8]>::trim_ascii_end) {
            Some(nonce) if !nonce.is_empty() && nonce.len() <= LONGEST_NONCE => {
                let mut own = self.own.lock();
                if own.nonce == nonce {
                    own.seen = true;
                    return Taken::Proof;
                }
                let mut nonces = self.nonces.lock();
                if nonces.len() == NONCES {
                    nonces.pop_front();
                }
                nonces.push_back(nonce.to_vec());
                Taken::Proof
            }
            _ => {
                self.datagrams.fetch_add(1, Ordering::Relaxed);
                Taken::Denied
            }
        }
    }

    /// The sidecar's own proof is about to send this nonce.
    pub fn expect(&self, nonce: &[u8]) {
        *self.own.lock() = Own { nonce: nonce.to_vec(), seen: false };
    }

    /// How many datagrams were denied.
    #[must_use]
    pub fn datagrams(&self) -> u64 {
        self.datagrams.load(Ordering::Relaxed)
    }

    /// Whether a datagram of `shekara-verify` with this nonce arrived.
    #[must_use]
    pub fn has_seen(&self, nonce: &[u8]) -> bool {
        let own = self.own.lock();
        (own.seen && own.nonce == nonce) || self.nonces.lock().iter().any(|seen| seen == nonce)
    }
}

/// What a datagram was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// An attempt to get out.
    Denied,
    /// A part of the proof.
    Proof,
}

/// Takes datagrams until the socket fails.
///
/// # Errors
/// When the socket fails: nobody sends through it, so no error of a single datagram can come.
pub async fn serve(socket: UdpSocket, context: Arc<Context>) -> io::Result<()> {
    // as much as a proof needs; the rest of a longer datagram is not looked at
    let mut buffer = [0; 128];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if context.sink.take(buffer.get(..length).unwrap_or_default()) == Taken::Denied {
            context.metrics.datagrams_denied.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_and_proofs_remembered() {
        let sink = Sink::default();
        assert_eq!(sink.take(b"data"), Taken::Denied);
        assert_eq!(sink.take(b""), Taken::Denied);
        assert_eq!(sink.take(b"SHEKARA-VERIFY "), Taken::Denied);
        assert_eq!(sink.take(&[MAGIC, &[b'x'; LONGEST_NONCE + 1]].concat()), Taken::Denied);
        assert_eq!(sink.take(b"SHEKARA-VERIFY abc\n"), Taken::Proof);
        assert_eq!(sink.datagrams(), 4);
        assert!(sink.has_seen(b"abc") && !sink.has_seen(b"ab"));
        (0..NONCES).for_each(|number| assert_eq!(sink.take(format!("SHEKARA-VERIFY {number}").as_bytes()), Taken::Proof));
        assert!(!sink.has_seen(b"abc") && sink.has_seen(b"0"), "only the last nonces are remembered");
        sink.expect(b"own");
        assert!(!sink.has_seen(b"own"));
        sink.take(b"SHEKARA-VERIFY own\n");
        for number in 0..NONCES {
            sink.take(format!("SHEKARA-VERIFY {number}").as_bytes());
        }
        assert!(sink.has_seen(b"own"), "nobody pushes out the sidecar's own");
    }
}
