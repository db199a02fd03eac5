//! The addresses of the pod's node, and the ports at which its kubelet asks after the pod.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::ConfigError;

/// The variable with the addresses of the node, joined by commas, as the kubelet fills it in.
const NODE: &str = "SHEKARA_NODE";

/// The variable with the ports that probes and lifecycle hooks of the pod name, joined by commas, as admission stamps them.
const PORTS: &str = "SHEKARA_PROBE_PORTS";

/// The tables of routes of the kernel (proc(5)).
const ROUTES: [&str; 2] = ["/proc/net/route", "/proc/net/ipv6_route"];

/// Who probes, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Probes {
    /// The node's addresses: those of its status, and the pod's gateway, which is what many networks give the kubelet for a source.
    pub(super) node: BTreeSet<IpAddr>,
    /// The ports.
    pub(super) ports: BTreeSet<u16>,
}

impl Probes {
    /// By a function that gives the value of a variable.
    ///
    /// # Errors
    /// When a variable cannot be read.
    pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut node: BTreeSet<IpAddr> = list(NODE, variable(NODE), "it has addresses, joined by commas")?;
        let ports = list(PORTS, variable(PORTS), "it has ports, joined by commas")?;
        let [v4, v6] = ROUTES.map(|table| std::fs::read_to_string(table).unwrap_or_default());
        node.extend(gateways_v4(&v4).map(IpAddr::V4).chain(gateways_v6(&v6).map(IpAddr::V6)));
        Ok(Self { node, ports })
    }
}

fn list<T: std::str::FromStr + Ord>(
    name: &'static str,
    value: Option<String>,
    problem: &str,
) -> Result<BTreeSet<T>, ConfigError> {
    let value = value.unwrap_or_default();
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let invalid = || ConfigError::Invalid { variable: name, value: value.clone(), problem: problem.to_owned() };
    parts.map(|part| part.parse().map_err(|_| invalid())).collect()
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

    #[test]
    fn what_cannot_be_read_is_refused_and_what_is_absent_is_nobody() {
        let read = |node: &str, ports: &str| {
            let (node, ports) = (node.to_owned(), ports.to_owned());
            Probes::read(move |name| Some(if name == NODE { node.clone() } else { ports.clone() }))
        };
        let probes = read("192.0.2.1, 2001:db8::1", "8080,8081").unwrap();
        assert!(probes.node.contains(&"2001:db8::1".parse().unwrap()) && probes.ports == [8080, 8081].into());
        assert!(read("", "").unwrap().ports.is_empty());
        assert!(read("node-1", "80").is_err() && read("192.0.2.1", "http").is_err());
    }
}
