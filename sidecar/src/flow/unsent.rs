//! How much of what was written to a connection has not left yet, and never does where it is broken off.

use rustix::ioctl::{Getter, ioctl};
use tokio::net::TcpStream;

use crate::mark;

/// `SIOCOUTQNSD` (tcp(7)): the bytes that were written and never sent.
const SIOCOUTQNSD: rustix::ioctl::Opcode = 0x894b;

/// Lets nothing of the connection leave from now on but its reset, and gives the bytes that were written and so never leave. 0
/// where the kernel goes on sending or does not say: then all of them count.
pub fn keep_back(stream: &TcpStream) -> u64 {
    match mark::break_off(stream) {
        Ok(()) => unsent(stream),
        Err(_) => 0,
    }
}

/// The bytes that were written and not sent so far, the end of the stream among them as one; 0 where the kernel does not say.
pub fn unsent(stream: &TcpStream) -> u64 {
    count(stream).unwrap_or(0)
}

#[allow(unsafe_code, reason = "rustix has no call of its own for this request; the kernel writes one int")]
fn count(stream: &TcpStream) -> Option<u64> {
    // SAFETY: SIOCOUTQNSD is a request of TCP sockets that writes an int, and the socket is open as long as it is borrowed.
    let count = unsafe { ioctl(stream, Getter::<SIOCOUTQNSD, std::ffi::c_int>::new()) };
    count.ok().and_then(|count| u64::try_from(count).ok())
}
