//! Whether somebody is the node of the pod, by the address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The tables of routes of the kernel (proc(5)).
const ROUTES: [&str; 2] = ["/proc/net/route", "/proc/net/ipv6_route"];

/// Whether the address is one of the node's: one of its status, or the pod's gateway, which is what many networks give the kubelet
/// for a source.
pub(super) fn is_node(address: IpAddr, known: &BTreeSet<IpAddr>) -> bool {
    known.contains(&address) || gateways().any(|gateway| gateway == address)
}

fn gateways() -> impl Iterator<Item = IpAddr> {
    let [v4, v6] = ROUTES.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let gateways: Vec<IpAddr> = gateways_v4(&v4).map(IpAddr::V4).chain(gateways_v6(&v6).map(IpAddr::V6)).collect();
    gateways.into_iter()
}

/// The gateways of the default routes: the third column of those whose destination and mask, the second and eighth, are zero.
/// Each is a number in the byte order of the machine.
fn gateways_v4(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    let gateway = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, destination, gateway, _, _, _, _, mask, ..] = columns.as_slice() else { return None };
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        let is_default = number(destination) == Some(0) && number(mask) == Some(0);
        number(gateway).filter(|gateway| is_default && *gateway != 0).map(|gateway| Ipv4Addr::from(gateway.to_ne_bytes()))
    };
    table.lines().skip(1).filter_map(gateway)
}

/// The same over IPv6: the fifth column of those whose destination and prefix, the first two, are zero.
fn gateways_v6(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    let gateway = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [destination, prefix, _, _, gateway, ..] = columns.as_slice() else { return None };
        let number = |text: &str| u128::from_str_radix(text, 16).ok();
        let is_default = number(destination) == Some(0) && *prefix == "00";
        number(gateway).filter(|gateway| is_default && *gateway != 0).map(Ipv6Addr::from)
    };
    table.lines().filter_map(gateway)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_those_of_the_default_routes() {
        let gateway = u32::from_ne_bytes([10, 244, 1, 1]);
        let v4 = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             eth0\t00000000\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t0001F40A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(gateways_v4(&v4).collect::<Vec<_>>(), ["10.244.1.1".parse::<Ipv4Addr>().unwrap()]);
        let v6 = "fd000010024400010000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n\
                  00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000010024400010000000000000001 00000400 00000001 00000000 00000003 eth0\n\
                  00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        assert_eq!(gateways_v6(v6).collect::<Vec<_>>(), ["fd00:10:244:1::1".parse::<Ipv6Addr>().unwrap()]);
        assert_eq!((gateways_v4("").count(), gateways_v6("x\n").count()), (0, 0));
    }
}
