//! Addresses, as text and as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::address::{Address, Scope};

/// One canonical form: whichever way an IPv4 address is written inside an IPv6 address, it is judged as itself or not at all.
pub fn address(bytes: &[u8]) {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        check(octets.into());
    }
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        check(octets.into());
    }
    if let Some(ip) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()) {
        check(ip);
    }
}

fn check(ip: IpAddr) {
    let address = Address::new(ip);
    assert_eq!(Address::new(address.ip()), address, "twice is not as once");
    assert_eq!(address.to_string().parse::<IpAddr>().unwrap(), address.ip());
    match address.ip() {
        IpAddr::V4(v4) => {
            forms(v4, address);
            assert!(address.scope() != Scope::Global || !is_special_v4(v4), "{v4}");
        }
        IpAddr::V6(v6) => {
            assert!(v6.to_ipv4_mapped().is_none(), "{v6} is a mapped form");
            assert!(address.scope() != Scope::Global || !is_special_v6(v6), "{v6}");
        }
    }
    if let IpAddr::V4(v4) = ip {
        assert_eq!(address.ip(), IpAddr::V4(v4), "a plain address is another one");
    }
}

/// Every way of writing an IPv4 address inside an IPv6 address.
fn forms(v4: Ipv4Addr, plain: Address) {
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let same = [[0, 0, 0, 0, 0, 0xffff, high, low], [0, 0, 0, 0, 0xffff, 0, high, low], [0x64, 0xff9b, 0, 0, 0, 0, high, low]];
    for segments in same {
        assert_eq!(Address::new(Ipv6Addr::from(segments).into()), plain);
    }
    // without a prefix 0.0.0.0 and 0.0.0.1 are the unspecified and the loopback address of IPv6
    let compatible = Address::new(Ipv6Addr::from([0, 0, 0, 0, 0, 0, high, low]).into());
    assert!(compatible == plain || v4.to_bits() <= 1, "{v4}");
    let translated =
        [[0x2002, high, low, 0, 0, 0, 0, 1], [0x2001, 0, high, low, 0, 0, 0, 0], [0x64, 0xff9b, 1, 0, 0, 0, high, low]];
    for segments in translated {
        assert_eq!(Address::new(Ipv6Addr::from(segments).into()).scope(), Scope::Translated);
    }
}

/// As the standard library knows it.
fn is_special_v4(v4: Ipv4Addr) -> bool {
    v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.is_unspecified()
}

/// As the standard library knows it.
fn is_special_v6(v6: Ipv6Addr) -> bool {
    v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
}
