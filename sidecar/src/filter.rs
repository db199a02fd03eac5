//! The packet filter of a pod: one ruleset for packets and one for frames, whoever sets them.

mod frames;
mod nft;
mod routing;

pub use self::frames::Frames;
pub(crate) use self::nft::FOLDER as NFT_FOLDER;

use std::io;

use jiff::Timestamp;
use shekara_policy::packet_filter::PacketFilter;
use shekara_policy::ports::DATAGRAMS;

use crate::carve_out::CarveOut;
use crate::datagrams;

/// The ruleset, as auditors read it.
pub const RULESET: &str = include_str!("filter/ruleset.nft");

/// What is added to it in a pod that observes.
const OBSERVE: &str = include_str!("filter/observe.nft");

/// What the table must show when it is read back: every chain, that nothing passes by default, and where packets are led.
const REQUIRED: [&str; 21] = [
    "chain sidecar",
    "chain zone",
    "zone set 15006",
    "chain back",
    "type route hook output",
    "chain nat-out",
    "type nat hook output",
    "redirect to :15053",
    "redirect to :15001",
    "redirect to :15009",
    "chain out",
    "type filter hook output priority filter; policy drop",
    "oifname \"lo\" fib saddr type != local drop",
    "ct status dnat fib saddr type != local drop",
    "chain last",
    "chain wire",
    "type filter hook postrouting",
    "chain nat-in",
    "type nat hook prerouting",
    "redirect to :15006",
    "type filter hook input priority filter; policy drop",
];

/// The packet filter could not be set, so the pod must not start.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The program is not there.
    #[error("the program nft is not there, so the packet filter cannot be set")]
    NoProgram,
    /// The program could not be run or spoken to.
    #[error("the program nft cannot be run: {0}")]
    Run(#[source] io::Error),
    /// The process lacks the capability.
    #[error("the packet filter cannot be set without the capability NET_ADMIN, which the container shekara-init must have: {0}")]
    NoCapability(String),
    /// The kernel lacks something that the ruleset needs.
    #[error(
        "the kernel of this node lacks something that the packet filter needs (nf_tables with the inet family, nft_nat, nft_redir, nft_ct with zones, nft_fib_inet, nf_conntrack for IPv4 and IPv6): {0}"
    )]
    Kernel(String),
    /// The rule of routing could not be set.
    #[error(
        "the rule of routing that keeps the sidecar's connections to the application in the pod cannot be set; it needs the capability NET_ADMIN, and a kernel with rules of routing (CONFIG_IP_MULTIPLE_TABLES, CONFIG_IPV6_MULTIPLE_TABLES): {0}"
    )]
    Routing(#[source] io::Error),
    /// The program refused the ruleset for another reason.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
    /// The table is not what was asked for.
    #[error("the packet filter was set but does not read back as it should: {0:?} is missing")]
    ReadBack(&'static str),
    /// The line that lets the sidecar out is not there.
    #[error("the packet filter was set but does not read back as it should: the line {0:?} is missing")]
    CarveOut(String),
    /// The interfaces of the pod cannot be read.
    #[error("the interfaces of the pod cannot be read, so that frames that are not of IP cannot be kept in it: {0}")]
    Interfaces(#[source] io::Error),
    /// An interface has a name that the program nft would take for something else.
    #[error(
        "the interface {0:?} cannot be covered by the packet filter: name it by letters, digits and the characters - _ . @ alone"
    )]
    Interface(String),
    /// An interface is not covered.
    #[error("the packet filter was set but does not read back as it should: frames may leave by the interface {0:?}")]
    Uncovered(String),
    /// The line of an endpoint is not there.
    #[error("the packet filter was set but does not read back as it should: nothing is led to port {0}")]
    Endpoint(u16),
}

/// Sets the packet filter of the network namespace that this thread is in, a transaction for each of its two tables, and reads it back.
/// Says whether frames are kept too, which not every kernel can.
///
/// # Errors
/// When it cannot be set or is not there afterwards; the pod must not start then.
pub fn set(asked: &PacketFilter, now: Timestamp) -> Result<Frames, FilterError> {
    // first, so that nothing that the filter marks can be led elsewhere
    routing::set().map_err(FilterError::Routing)?;
    nft::run(&["-f", "-"], &ruleset(asked, now))?;
    look_at_packets(asked)?;
    frames::set()
}

/// Looks whether it is there.
///
/// # Errors
/// When it is not, or not as it was asked for.
pub fn look(asked: &PacketFilter) -> Result<(), FilterError> {
    look_at_packets(asked)?;
    frames::look()
}

fn look_at_packets(asked: &PacketFilter) -> Result<(), FilterError> {
    check(&nft::run(&["list", "table", "inet", "shekara"], "")?, asked)
}

/// The ruleset of such a pod. A second that has begun counts as over.
fn ruleset(asked: &PacketFilter, now: Timestamp) -> String {
    let carve_out = CarveOut::from(asked.user);
    let observing = asked.observe_until.filter(|until| *until > now);
    let observing = observing.map(|until| OBSERVE.replace("UNTIL", &until.as_second().to_string()));
    // the last line that is inserted comes first
    let datagrams = Some(datagrams::rules(&asked.datagrams, carve_out)).filter(|rules| !rules.is_empty());
    let parts = [Some(RULESET.to_owned()), carve_out.rules(), observing, datagrams];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Looks whether the table is what was asked for: every part, the one way out, and a port of its own for each endpoint.
fn check(table: &str, asked: &PacketFilter) -> Result<(), FilterError> {
    let line = CarveOut::from(asked.user).line();
    if !table.lines().any(|found| found.trim() == line) {
        return Err(FilterError::CarveOut(line));
    }
    for (port, _) in (DATAGRAMS..).zip(&asked.datagrams) {
        if !table.lines().any(|line| line.trim_end().ends_with(&format!("redirect to :{port}"))) {
            return Err(FilterError::Endpoint(port));
        }
    }
    REQUIRED.into_iter().find(|required| !table.contains(required)).map_or(Ok(()), |missing| Err(FilterError::ReadBack(missing)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn the_ruleset_replaces_the_table_in_one_transaction() {
        let rules: Vec<&str> = RULESET.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(rules[..3], ["add table inet shekara", "delete table inet shekara", "add table inet shekara {"]);
    }

    #[test]
    fn only_a_pod_that_observes_has_lines_with_a_time() {
        assert_eq!(ruleset(&PacketFilter::default(), NOW), RULESET);
        let until: Timestamp = "2026-12-01T00:00:00.9Z".parse().unwrap();
        let observing = PacketFilter { observe_until: Some(until), ..PacketFilter::default() };
        let text = ruleset(&observing, NOW);
        let rest = text.strip_prefix(RULESET).unwrap();
        let rules: Vec<&str> = rest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(rules.len() == 3 && rules.iter().all(|rule| rule.contains("meta time < \"1796083200\"")), "{rules:?}");
        assert_eq!(ruleset(&observing, until), RULESET);
    }

    #[test]
    fn each_part_must_read_back() {
        let by_mark = "meta mark 0x00005ba1 accept";
        let whole = format!("{}\n\t\t{by_mark}\n", REQUIRED.join("\n"));
        let plain = PacketFilter::default();
        check(&whole, &plain).unwrap();
        for part in REQUIRED.into_iter().chain([by_mark]) {
            assert!(check(&whole.replace(part, ""), &plain).is_err(), "{part}");
        }
        let datagrams = PacketFilter { datagrams: vec!["192.0.2.1:5".parse().unwrap()], ..PacketFilter::default() };
        assert!(matches!(check(&whole, &datagrams), Err(FilterError::Endpoint(15100))));
        check(&format!("{whole}\n\t\tip daddr 192.0.2.1 udp dport 5 redirect to :15100\n"), &datagrams).unwrap();
        let user = PacketFilter { user: std::num::NonZeroU32::new(1_900_000_000), ..PacketFilter::default() };
        assert!(matches!(check(&whole, &user), Err(FilterError::CarveOut(_))));
        check(&whole.replace(by_mark, "meta skuid 1900000000 accept"), &user).unwrap();
    }
}
