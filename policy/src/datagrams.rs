//! Which endpoints of documents take datagrams.
//!
//! The kernel does not tell a proxy where a redirected datagram was meant to go, as it does for TCP. So each address and port has a
//! local port of its own, and the packet filter of a pod has a line for each; both are fixed when the pod is admitted.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ipnet::IpNet;

use crate::address::{Address, Scope};
use crate::document::{EndpointProtocol, PolicyDocument, Target};

/// Addresses of a network beyond which it is not opened for datagrams.
pub const WIDEST: u32 = 64;

/// Addresses and ports of one pod at most.
pub const MOST: usize = 256;

/// The port of DNS: questions are judged by their names, whatever a recipient lists.
const DNS: u16 = 53;

/// What a pod's packet filter can open for datagrams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datagrams {
    /// Each address and port, in their order.
    pub endpoints: Vec<SocketAddr>,
    /// Networks that are left out: of too many addresses, or beyond [`MOST`].
    pub left_out: BTreeSet<IpNet>,
}

/// What these documents list for datagrams; the flows themselves are judged by all of them.
#[must_use]
pub fn datagrams(documents: &[PolicyDocument]) -> Datagrams {
    let routes = documents.iter().flat_map(|document| &document.routes).filter(|route| route.barred.is_none());
    let listed = routes.flat_map(|route| &route.endpoints).filter(|endpoint| endpoint.protocol == EndpointProtocol::Udp);
    let networks: BTreeSet<(IpNet, u16)> = listed
        .filter_map(|endpoint| match endpoint.target {
            Target::Network(network) => Some(endpoint.ports.iter().map(move |port| (network, *port))),
            Target::Host(_) => None,
        })
        .flatten()
        .filter(|(_, port)| *port != DNS)
        .collect();
    let mut endpoints = BTreeSet::new();
    let mut left_out = BTreeSet::new();
    for (network, port) in networks {
        let narrow = u32::from(network.max_prefix_len() - network.prefix_len()) <= WIDEST.ilog2();
        let every = || addresses(network).map(|ip| SocketAddr::new(ip, port));
        if narrow && endpoints.len() + every().filter(|at| !endpoints.contains(at)).count() <= MOST {
            endpoints.extend(every());
        } else {
            left_out.insert(network);
        }
    }
    Datagrams { endpoints: endpoints.into_iter().collect(), left_out }
}

/// Every address of a network that can be a party; those that a translator writes otherwise are judged in another form.
fn addresses(network: IpNet) -> impl Iterator<Item = std::net::IpAddr> {
    let all: Box<dyn Iterator<Item = std::net::IpAddr>> = match network {
        IpNet::V4(v4) => Box::new(
            (0..1u64 << (32 - u32::from(v4.prefix_len())))
                .filter_map(move |offset| u32::try_from(u64::from(v4.network().to_bits()) + offset).ok())
                .map(|bits| std::net::Ipv4Addr::from_bits(bits).into()),
        ),
        IpNet::V6(v6) => Box::new(
            (0..=u128::MAX.checked_shr(u32::from(v6.prefix_len())).unwrap_or(0))
                .map(move |offset| std::net::Ipv6Addr::from_bits(v6.network().to_bits() | offset).into()),
        ),
    };
    all.filter(|ip| {
        let address = Address::new(*ip);
        address.ip() == *ip && matches!(address.scope(), Scope::Global | Scope::Private | Scope::LinkLocal)
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn document(network: &str, ports: &[u16]) -> PolicyDocument {
        let mut document = crate::decide::tests::document("n", "h");
        let route = &mut document.routes[0];
        route.endpoints = vec![crate::document::Endpoint {
            target: Target::Network(network.parse().unwrap()),
            ports: ports.iter().copied().collect(),
            protocol: EndpointProtocol::Udp,
            shared: false,
        }];
        document
    }

    #[rstest]
    #[case("192.0.2.40/32", &[123, 5000], &["192.0.2.40:123", "192.0.2.40:5000"], 0)]
    #[case("2001:db8::4/127", &[123], &["[2001:db8::4]:123", "[2001:db8::5]:123"], 0)]
    #[case::questions_are_not_datagrams("192.0.2.40/32", &[53], &[], 0)]
    #[case::nobodys("127.0.0.1/32", &[123], &[], 0)]
    #[case::wide("10.0.0.0/8", &[123], &[], 1)]
    #[case::everything("::/0", &[123], &[], 1)]
    fn each_address_and_port_is_named(
        #[case] network: &str,
        #[case] ports: &[u16],
        #[case] expected: &[&str],
        #[case] left_out: usize,
    ) {
        let found = datagrams(&[document(network, ports)]);
        let endpoints: Vec<String> = found.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!((endpoints, found.left_out.len()), (expected.iter().map(ToString::to_string).collect(), left_out));
    }

    #[test]
    fn there_are_no_more_than_the_filter_has_ports_for() {
        let found = datagrams(&[document("192.0.2.0/26", &[1, 2, 3, 4, 5])]);
        assert_eq!((found.endpoints.len(), found.left_out.len()), (MOST, 1));
    }
}
