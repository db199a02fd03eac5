//! Addresses in the one form that is judged.
//!
//! An IPv4 address can be written inside an IPv6 address in several ways. Each is unwrapped and the IPv4 address judged in its
//! place, so that a translated form never leads where the plain form may not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address after unwrapping, with the scope in which it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    ip: IpAddr,
    scope: Scope,
}

/// Where an address leads (RFC 6890 and the IANA special-purpose address registries).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Routable on the Internet; documentation ranges count as global, for they are nobody else's.
    Global,
    /// RFC 1918, RFC 4193 unique local, RFC 6598 shared address space: inside a network whose country only a standard can say.
    Private,
    /// RFC 3927 and RFC 4291 link-local, among them the metadata services of clouds.
    LinkLocal,
    /// The pod itself.
    Loopback,
    /// One to many: RFC 5771, RFC 4291, and the IPv4 broadcast address.
    Multicast,
    /// Unspecified, reserved, discard-only or benchmarking addresses: no party is there.
    Reserved,
    /// An IPv4 address inside an IPv6 address by a translation that a third party carries out: 6to4 and Teredo relays.
    Translated,
}

impl Address {
    /// The canonical form of an address: IPv4-mapped, IPv4-compatible and NAT64 (RFC 6052, well-known prefix) forms become the
    /// IPv4 address inside; 6to4 (RFC 3056) and Teredo (RFC 4380) stay and are marked as translated.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        let ip = match ip {
            IpAddr::V6(v6) => embedded_ipv4(v6).map_or(ip, IpAddr::V4),
            IpAddr::V4(_) => ip,
        };
        let scope = match ip {
            IpAddr::V4(v4) => scope_v4(v4),
            IpAddr::V6(v6) => scope_v6(v6),
        };
        Self { ip, scope }
    }

    /// The address to judge, and the only one to dial.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// Where it leads.
    #[must_use]
    pub fn scope(self) -> Scope {
        self.scope
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip.fmt(f)
    }
}

fn embedded_ipv4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let last = || {
        let [.., a, b, c, d] = v6.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(last()),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => Some(last()),
        _ => None,
    }
}

fn scope_v4(v4: Ipv4Addr) -> Scope {
    match v4.octets() {
        [127, ..] => Scope::Loopback,
        [169, 254, ..] => Scope::LinkLocal,
        [10, ..] | [192, 168, ..] => Scope::Private,
        [172, b, ..] if (16..32).contains(&b) => Scope::Private,
        [100, b, ..] if (64..128).contains(&b) => Scope::Private,
        [224..=239, ..] | [255, 255, 255, 255] => Scope::Multicast,
        // 192.88.99.0/24 led to 6to4 relays (RFC 7526)
        [192, 88, 99, _] => Scope::Translated,
        [0, ..] | [240..=255, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] => Scope::Reserved,
        _ => Scope::Global,
    }
}

fn scope_v6(v6: Ipv6Addr) -> Scope {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Scope::Loopback,
        [first, ..] if first & 0xff00 == 0xff00 => Scope::Multicast,
        [first, ..] if first & 0xffc0 == 0xfe80 => Scope::LinkLocal,
        [first, ..] if first & 0xfe00 == 0xfc00 => Scope::Private,
        // 6to4, Teredo, and the NAT64 prefix for local use (RFC 8215): where the inner address is, only the translator knows
        [0x2002, ..] | [0x2001, 0, ..] | [0x64, 0xff9b, 1, ..] => Scope::Translated,
        // global unicast is 2000::/3; ORCHID identifiers (RFC 4843, RFC 7343) and benchmarking (RFC 5180) name no party
        [0x2001, second, ..] if second & 0xfff0 == 0x10 || second & 0xfff0 == 0x20 || second == 2 => Scope::Reserved,
        [first, ..] if first & 0xe000 == 0x2000 => Scope::Global,
        _ => Scope::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("192.0.2.10", "192.0.2.10", Scope::Global)]
    #[case("::ffff:192.0.2.10", "192.0.2.10", Scope::Global)]
    #[case("::ffff:0:192.0.2.10", "192.0.2.10", Scope::Global)]
    #[case("64:ff9b::192.0.2.10", "192.0.2.10", Scope::Global)]
    #[case("::ffff:10.0.0.1", "10.0.0.1", Scope::Private)]
    #[case("::127.0.0.1", "127.0.0.1", Scope::Loopback)]
    #[case("::1", "::1", Scope::Loopback)]
    #[case("::", "::", Scope::Reserved)]
    #[case("2002:c000:20a::1", "2002:c000:20a::1", Scope::Translated)]
    #[case("2001:0:1::1", "2001:0:1::1", Scope::Translated)]
    #[case("64:ff9b:1::c000:20a", "64:ff9b:1::c000:20a", Scope::Translated)]
    #[case("169.254.169.254", "169.254.169.254", Scope::LinkLocal)]
    #[case("fe80::1", "fe80::1", Scope::LinkLocal)]
    #[case("fd00::1", "fd00::1", Scope::Private)]
    #[case("100.64.0.1", "100.64.0.1", Scope::Private)]
    #[case("0.0.0.0", "0.0.0.0", Scope::Reserved)]
    #[case("192.0.0.8", "192.0.0.8", Scope::Reserved)]
    #[case("100::8", "100::8", Scope::Reserved)]
    #[case("255.255.255.255", "255.255.255.255", Scope::Multicast)]
    #[case("ff02::1", "ff02::1", Scope::Multicast)]
    #[case("2001:db8::1", "2001:db8::1", Scope::Global)]
    fn forms_are_unwrapped_and_scoped(#[case] written: &str, #[case] canonical: &str, #[case] scope: Scope) {
        let address = Address::new(written.parse().unwrap());
        assert_eq!((address.ip().to_string().as_str(), address.scope()), (canonical, scope));
    }

    proptest! {
        #[test]
        fn no_mapped_form_is_left_and_twice_is_as_once(bits in any::<u128>(), v4 in any::<u32>()) {
            for ip in [IpAddr::V6(bits.into()), IpAddr::V4(v4.into()), IpAddr::V6(Ipv4Addr::from(v4).to_ipv6_mapped())] {
                let once = Address::new(ip);
                prop_assert_eq!(Address::new(once.ip()), once);
                if let IpAddr::V6(v6) = once.ip() { prop_assert!(v6.to_ipv4_mapped().is_none()); }
            }
        }
    }
}
