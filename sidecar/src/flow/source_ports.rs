//! The local ports of the sidecar's UDP sockets: none that the kernel would give to an application.
//!
//! Connection tracking knows a flow by its addresses and ports, not by its mark, and remembers UDP for minutes after the socket
//! is gone. If an application got a port from which the sidecar has lately asked the same resolver, its question would count as
//! part of that flow: it would not be redirected, and the filter would drop it. The other way round the sidecar's question would
//! be redirected to itself. TCP has no such trouble, since a new connection there makes the kernel forget the old one.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use tokio::net::UdpSocket;

use crate::random;

/// The ports that the kernel gives to sockets that ask for none (ip(7)).
const GIVEN: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// Ports that are enough: with the number of a question they make 27 bits that a forger would have to guess.
const ENOUGH: usize = 2048;

/// Ports that are tried before the kernel is asked for one.
const TRIES: usize = 8;

/// Where ports are taken from; the kernel's own choice where nothing else is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourcePorts(Option<RangeInclusive<u16>>);

impl SourcePorts {
    /// As this network namespace is set up.
    pub(super) fn read() -> Self {
        let text = fs::read_to_string(GIVEN).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(last))) => Self::beside(&(first..=last)),
            // the range that the kernel has by default
            _ => Self::beside(&(32_768..=60_999)),
        }
    }

    /// Above the range, where the fewest services listen; below it, where there is no room above.
    fn beside(given: &RangeInclusive<u16>) -> Self {
        let above = given.end().checked_add(1).map(|first| first..=u16::MAX);
        let below = given.start().checked_sub(1).map(|last| 1024..=last);
        Self(above.into_iter().chain(below).find(|range| range.len() >= ENOUGH))
    }

    /// Binds a socket to a port that nobody can guess.
    pub(super) async fn bind(&self, ip: IpAddr) -> io::Result<UdpSocket> {
        if let Self(Some(range)) = self {
            for _ in 0..TRIES {
                let width = u16::try_from(range.len()).unwrap_or(u16::MAX);
                match UdpSocket::bind((ip, range.start().saturating_add(random::below(width)))).await {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    bound => return bound,
                }
            }
        }
        UdpSocket::bind((ip, 0)).await
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::default(32_768..=60_999, Some(61_000..=65_535))]
    #[case::high(32_768..=65_000, Some(1024..=32_767))]
    #[case::to_the_end(10_000..=65_535, Some(1024..=9999))]
    #[case::all(1024..=65_535, None)]
    #[case::nearly_all(1500..=64_000, None)]
    fn ports_are_taken_beside_those_that_the_kernel_gives(
        #[case] given: RangeInclusive<u16>,
        #[case] taken: Option<RangeInclusive<u16>>,
    ) {
        assert_eq!(SourcePorts::beside(&given), SourcePorts(taken));
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_passed_over() {
        let first = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = first.local_addr().unwrap().port();
        let ip = "127.0.0.1".parse().unwrap();
        let second = SourcePorts(Some(port..=port)).bind(ip).await.unwrap();
        assert_ne!(second.local_addr().unwrap().port(), port);
        drop(first);
        let third = SourcePorts(Some(port..=port)).bind(ip).await.unwrap();
        assert_eq!(third.local_addr().unwrap().port(), port);
    }
}
