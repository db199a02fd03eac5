//! How much of what was written to a connection the kernel has not sent yet.

use rustix::ioctl::{Getter, ioctl};
use tokio::net::TcpStream;

/// `SIOCOUTQNSD` (tcp(7)): the bytes that were written and never sent.
const SIOCOUTQNSD: rustix::ioctl::Opcode = 0x894b;

/// The bytes that a reset of the connection now would keep from ever leaving; 0 where the kernel does not say.
pub fn unsent(stream: &TcpStream) -> u64 {
    count(stream).unwrap_or(0)
}

#[allow(unsafe_code, reason = "rustix has no call of its own for this request; the kernel writes one int")]
fn count(stream: &TcpStream) -> Option<u64> {
    // SAFETY: SIOCOUTQNSD is a request of TCP sockets that writes an int, and the socket is open as long as it is borrowed.
    let count = unsafe { ioctl(stream, Getter::<SIOCOUTQNSD, std::ffi::c_int>::new()) };
    count.ok().and_then(|count| u64::try_from(count).ok())
}
