//! The ports at which the sidecar listens in a pod: no application can have them beside it.

use crate::datagrams::MOST;
use crate::probes;

/// Redirected TCP.
pub const FLOW: u16 = 15001;

/// TCP that comes in, led here by the packet filter.
pub const INWARD: u16 = 15006;

/// UDP that has no port of its own.
pub const SINK: u16 = 15009;

/// Redirected DNS, over UDP and TCP.
pub const DNS: u16 = 15053;

/// UDP to the first endpoint that is listed for datagrams; the others follow.
pub const DATAGRAMS: u16 = 15100;

/// Whether the sidecar listens there by TCP.
#[must_use]
pub fn is_tcp(port: u16) -> bool {
    [FLOW, INWARD, probes::PORT, DNS].contains(&port)
}

/// Whether the sidecar listens there by UDP, in a pod with so many endpoints that are listed for datagrams.
#[must_use]
pub fn is_udp(port: u16, datagrams: usize) -> bool {
    let place = port.checked_sub(DATAGRAMS).map(usize::from);
    [SINK, DNS].contains(&port) || place.is_some_and(|place| place < datagrams.min(MOST))
}
