//! One attempt for each way out.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use shekara_policy::ports::INWARD;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::ask::{AskError, ask, request};
use super::{Family, Way, Witness};
use crate::carve_out::as_anybody;
use crate::mark;
use crate::proof::DESTINATIONS;
use crate::random;

/// Between two tries while the sidecar is waited for.
const PAUSE: Duration = Duration::from_millis(50);

/// The error number of "operation not permitted", which the packet filter's drop gives to the sender (errno(3)).
const EPERM: i32 = 1;

/// The port of the discard service (RFC 863), where nobody listens.
const DISCARD: u16 = 9;

/// An ICMP echo request (RFC 792); the kernel fills in identifier and checksum.
const ECHO_REQUEST: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 1];

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The way is seen to be closed, and how.
    Closed(&'static str),
    /// The pod has no route of this family, so there is no way.
    NoRoute,
    /// The pod observes, so the way is open until it does no more.
    Observed,
    /// The way is open.
    Open(String),
    /// Nothing shows that the way is closed.
    Unproven(String),
}

impl Outcome {
    /// Whether the pod must not start.
    pub(super) fn is_failure(&self) -> bool {
        match self {
            Self::Open(_) | Self::Unproven(_) => true,
            Self::Closed(_) | Self::NoRoute | Self::Observed => false,
        }
    }
}

/// Tries a way; what needs the sidecar's answer is tried again until the deadline, and at least once.
pub(super) fn attempt(way: Way, deadline: Instant, witness: &impl Witness) -> Outcome {
    match way {
        Way::Tcp(family) => with_route(family, |destination| tcp(destination, deadline, witness)),
        Way::Udp(family) => with_route(family, |destination| udp(destination, deadline, witness)),
        Way::Inward(family) => with_route(family, |_| inward(family, deadline, witness)),
        Way::Ping => with_route(Family::V4, ping),
        Way::ForeignSource => send_from_a_foreign_address(),
        Way::Mark => take_the_mark(),
    }
}

/// The kernel looks for a route when a datagram socket is connected, and sends nothing.
fn with_route(family: Family, attempt: impl FnOnce(SocketAddr) -> Outcome) -> Outcome {
    let [v4, v6] = DESTINATIONS;
    let destination = if family == Family::V4 { v4 } else { v6 };
    match datagram_socket(destination).and_then(|socket| socket.connect(destination)) {
        Ok(()) => attempt(destination),
        Err(error) if is_without_route(&error) => Outcome::NoRoute,
        Err(error) => Outcome::Unproven(format!("no socket can be had: {error}")),
    }
}

fn datagram_socket(destination: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    as_anybody(&socket)?;
    Ok(socket)
}

fn is_without_route(error: &io::Error) -> bool {
    let kinds = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable, ErrorKind::AddrNotAvailable, ErrorKind::Unsupported];
    // The kernel was booted without the family.
    const EAFNOSUPPORT: i32 = 97;
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn tcp(destination: SocketAddr, deadline: Instant, witness: &impl Witness) -> Outcome {
    let Ok(nonce) = random::name() else { return Outcome::Unproven("no random numbers can be had".to_owned()) };
    let closed = |_udp| Some(Outcome::Closed("the sidecar answered, and saw where the connection was meant to go"));
    until(deadline, || conclude(ask(destination, &nonce, witness), closed))
}

fn inward(family: Family, deadline: Instant, witness: &impl Witness) -> Outcome {
    let Ok(nonce) = random::name() else { return Outcome::Unproven("no random numbers can be had".to_owned()) };
    let loopback = if family == Family::V4 { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) };
    let closed = |_udp| Some(Outcome::Closed("the sidecar answered there"));
    until(deadline, || conclude(ask(SocketAddr::new(loopback, INWARD), &nonce, witness), closed))
}

fn udp(destination: SocketAddr, deadline: Instant, witness: &impl Witness) -> Outcome {
    let Ok(nonce) = random::name() else { return Outcome::Unproven("no random numbers can be had".to_owned()) };
    witness.sends(&nonce);
    let closed = |udp: bool| udp.then_some(Outcome::Closed("the datagram reached the sidecar's sink"));
    until(deadline, || match send(destination, &request(&nonce)) {
        Ok(()) => conclude(ask(destination, &nonce, witness), closed),
        Err(error) => Err(Outcome::Unproven(format!("the datagram could not be sent: {error}"))),
    })
}

fn send(destination: SocketAddr, datagram: &str) -> io::Result<()> {
    datagram_socket(destination)?.send_to(datagram.as_bytes(), destination).map(|_| ())
}

/// What an answer shows: `Ok` ends the attempt, `Err` is the outcome if nothing better comes before the deadline.
fn conclude(answer: Result<bool, AskError>, closed: impl Fn(bool) -> Option<Outcome>) -> Result<Outcome, Outcome> {
    match answer {
        Ok(udp) => closed(udp).ok_or_else(|| Outcome::Unproven("the datagram did not reach the sidecar's sink".to_owned())),
        Err(error @ AskError::Foreign(_)) => Ok(Outcome::Open(error.to_string())),
        Err(error) => Err(Outcome::Unproven(error.to_string())),
    }
}

fn until(deadline: Instant, mut attempt: impl FnMut() -> Result<Outcome, Outcome>) -> Outcome {
    loop {
        match attempt() {
            Ok(outcome) => return outcome,
            Err(outcome) if Instant::now() >= deadline => return outcome,
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn ping(destination: SocketAddr) -> Outcome {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4));
    match socket.and_then(|socket| as_anybody(&socket).map(|()| socket)) {
        Ok(socket) => sent("an echo request", socket.send_to(&ECHO_REQUEST, &SockAddr::from(destination))),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Outcome::Closed("the kernel refused the socket"),
        Err(error) => Outcome::Unproven(format!("no ping socket can be had: {error}")),
    }
}

/// A datagram to the pod itself, whose sender's address is that of a host outside.
fn send_from_a_foreign_address() -> Outcome {
    let loopback: SocketAddr = (Ipv6Addr::LOCALHOST, DISCARD).into();
    let bound = || {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
        socket.set_freebind_v6(true)?;
        socket.bind(&SocketAddr::new(DESTINATIONS[1].ip(), 0).into())?;
        Ok(socket)
    };
    match datagram_socket(loopback).and_then(|socket| socket.connect(loopback)).and_then(|()| bound()) {
        Ok(socket) => sent("a datagram", socket.send_to(&[], &loopback.into())),
        Err(error) if is_without_route(&error) => Outcome::NoRoute,
        Err(error) => Outcome::Unproven(format!("no socket can be had: {error}")),
    }
}

fn sent(what: &str, result: io::Result<usize>) -> Outcome {
    match result {
        Ok(_) => Outcome::Open(format!("{what} was let out")),
        Err(error) if error.raw_os_error() == Some(EPERM) => Outcome::Closed("the packet filter dropped it"),
        Err(error) => Outcome::Unproven(format!("{what} could not be sent, for another reason: {error}")),
    }
}

fn take_the_mark() -> Outcome {
    match mark::probe() {
        Ok(()) => {
            Outcome::Open("this process could take it; no container but the sidecar may have NET_RAW or NET_ADMIN".to_owned())
        }
        Err(mark::MarkError::Refused) => Outcome::Closed("the kernel refused it"),
        Err(error) => Outcome::Unproven(error.to_string()),
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(how) => write!(f, "closed ({how})"),
            Self::NoRoute => f.write_str("skipped (the pod has no route of this family)"),
            Self::Observed => f.write_str("skipped (open while the pod observes)"),
            Self::Open(why) => write!(f, "open ({why})"),
            Self::Unproven(why) => write!(f, "not proven closed ({why})"),
        }
    }
}
