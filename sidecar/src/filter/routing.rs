//! The rule of routing that keeps the sidecar's connections to the application, and the answers to them, within the pod: what bears
//! their mark is led to loopback, whatever address it is for. The same as
//! `ip rule add fwmark 0x5ba3 lookup 15006` and `ip route add local default dev lo table 15006`, by rtnetlink(7).

use std::io;

use socket2::{Domain, Protocol, Socket, Type};

use crate::mark::INWARD;

/// The table of routes, which nothing else uses.
const TABLE: u32 = 15006;

/// Loopback's number in every network namespace.
const LOOPBACK: u32 = 1;

/// The addresses over IPv6 of this network namespace, a line each; no such file where the kernel has no IPv6.
const IPV6: &str = "/proc/net/if_inet6";

const AF_NETLINK: i32 = 16;
const NETLINK_ROUTE: i32 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const RTM_NEWROUTE: u16 = 24;
const RTM_NEWRULE: u16 = 32;
const RTPROT_BOOT: u8 = 3;
const RT_SCOPE_HOST: u8 = 254;
const RTN_LOCAL: u8 = 2;
const RTA_OIF: u16 = 4;
const RTA_TABLE: u16 = 15;
const FR_ACT_TO_TBL: u8 = 1;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;

/// The longest answer: an error repeats the message that it is about.
const LONGEST: usize = 1024;

/// Sets rule and route, in each family that the pod has. It can be set again.
///
/// # Errors
/// The kernel's.
pub(super) fn set() -> io::Result<()> {
    let v6 = std::fs::read_to_string(IPV6).is_ok_and(|addresses| !addresses.is_empty());
    let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_ROUTE)))?;
    for family in [AF_INET].into_iter().chain(v6.then_some(AF_INET6)) {
        ask(&socket, &route(family))?;
        match ask(&socket, &rule(family)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// `local default dev lo table 15006`
fn route(family: u8) -> Vec<u8> {
    // family, lengths of destination and source, type of service, table (in an attribute), protocol, scope, type; flags
    let mut body = vec![family, 0, 0, 0, 0, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL, 0, 0, 0, 0];
    body.extend(attribute(RTA_OIF, LOOPBACK));
    body.extend(attribute(RTA_TABLE, TABLE));
    message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body)
}

/// `fwmark 0x5ba3 lookup 15006`
fn rule(family: u8) -> Vec<u8> {
    // family, lengths of destination and source, type of service, table (in an attribute), two reserved, action; flags
    let mut body = vec![family, 0, 0, 0, 0, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
    body.extend(attribute(FRA_FWMARK, INWARD));
    body.extend(attribute(FRA_TABLE, TABLE));
    message(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &body)
}

/// An attribute with a number: its length with this head, its type, the number.
fn attribute(kind: u16, number: u32) -> Vec<u8> {
    [&8u16.to_ne_bytes()[..], &kind.to_ne_bytes(), &number.to_ne_bytes()].concat()
}

/// A message: its length with this head, its type, flags, sequence number and sender, which the kernel fills in.
fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap_or(u32::MAX);
    let flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8], body].concat()
}

fn ask(socket: &Socket, message: &[u8]) -> io::Result<()> {
    use io::Read as _;

    let mut socket = socket;
    socket.send(message)?;
    let mut answer = [0; LONGEST];
    let length = socket.read(&mut answer)?;
    understand(answer.get(..length).unwrap_or_default())
}

/// An acknowledgement is an error of the number 0; others are negative.
fn understand(answer: &[u8]) -> io::Result<()> {
    let kind = answer.get(4..6).and_then(|kind| Some(u16::from_ne_bytes(kind.try_into().ok()?)));
    let number = answer.get(16..20).and_then(|number| Some(i32::from_ne_bytes(number.try_into().ok()?)));
    match (kind, number) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(number)) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_is_no_error_and_everything_else_is_one() {
        let answer = |number: i32| message(NLMSG_ERROR, 0, &number.to_ne_bytes());
        understand(&answer(0)).unwrap();
        assert_eq!(understand(&answer(-17)).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(understand(&answer(-1)).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        for other in [&[][..], &[0; 20], &answer(0)[..18]] {
            assert_eq!(understand(other).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn messages_say_how_long_they_are() {
        for message in [route(AF_INET), rule(AF_INET6)] {
            assert_eq!(message.len(), 44);
            assert_eq!(message[..4], 44u32.to_ne_bytes());
        }
    }
}
