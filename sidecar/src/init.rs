//! `shekara-sidecar init`: sets the packet filter of the pod.

mod routing;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use jiff::Timestamp;

use crate::{datagrams, observe};

/// The ruleset, as auditors read it.
pub const RULESET: &str = include_str!("init/ruleset.nft");

/// What is added to it in a pod that observes.
const OBSERVE: &str = include_str!("init/observe.nft");

/// What the table must show when it is read back: every chain, that nothing passes by default, and where packets are led.
const REQUIRED: [&str; 19] = [
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
    "fib saddr type != local drop",
    "chain last",
    "chain wire",
    "type filter hook postrouting",
    "chain nat-in",
    "type nat hook prerouting",
    "redirect to :15006",
    "type filter hook input priority filter; policy drop",
];

/// The bit of `CAP_NET_ADMIN` in a capability set (capabilities(7)).
const NET_ADMIN: u64 = 1 << 12;

/// The packet filter could not be set, so the pod must not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The program is not there.
    #[error("the program nft is not in this image, so the packet filter cannot be set")]
    NoProgram,
    /// The program could not be run or spoken to.
    #[error("the program nft cannot be run: {0}")]
    Run(#[source] io::Error),
    /// The container lacks the capability.
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
    /// The line of an endpoint is not there.
    #[error("the packet filter was set but does not read back as it should: nothing is led to port {0}")]
    Endpoint(u16),
}

/// Sets the packet filter, in one transaction, and reads it back.
///
/// # Errors
/// When it cannot be set or is not there afterwards; the pod must not start then.
pub fn run() -> anyhow::Result<()> {
    let observing = observe::still(Timestamp::now())?;
    let endpoints = datagrams::endpoints(|name| std::env::var(name).ok())?;
    // first, so that nothing that the filter marks can be led elsewhere
    routing::set().map_err(InitError::Routing)?;
    nft(&["-f", "-"], &ruleset(observing, &endpoints))?;
    let table = nft(&["list", "table", "inet", "shekara"], "")?;
    check(&table, endpoints.len())?;
    match observing {
        None => println!("the packet filter is set: what leaves this pod and what comes in passes the sidecar, or not at all"),
        Some(until) => println!("the packet filter is set: TCP and DNS pass the sidecar; the rest passes until {until}"),
    }
    Ok(())
}

/// The ruleset of a pod that observes until then, or of one that enforces, with these endpoints for datagrams. A second that has begun
/// counts as over.
fn ruleset(observing: Option<Timestamp>, endpoints: &[SocketAddr]) -> String {
    let observing = observing.map(|until| OBSERVE.replace("UNTIL", &until.as_second().to_string()));
    // the last line that is inserted comes first
    let datagrams = Some(datagrams::rules(endpoints)).filter(|rules| !rules.is_empty());
    let parts = [Some(RULESET.to_owned()), observing, datagrams];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Looks whether the table is what was asked for, with a port of its own for each of so many endpoints.
fn check(table: &str, endpoints: usize) -> Result<(), InitError> {
    for (port, _) in (datagrams::FIRST_PORT..).zip(0..endpoints) {
        if !table.lines().any(|line| line.trim_end().ends_with(&format!("redirect to :{port}"))) {
            return Err(InitError::Endpoint(port));
        }
    }
    REQUIRED.into_iter().find(|required| !table.contains(required)).map_or(Ok(()), |missing| Err(InitError::ReadBack(missing)))
}

/// Runs nft with this input and gives what it prints.
fn nft(arguments: &[&str], input: &str) -> Result<String, InitError> {
    let mut child =
        Command::new("nft").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
            |error| if error.kind() == io::ErrorKind::NotFound { InitError::NoProgram } else { InitError::Run(error) },
        )?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that fails before it has read everything closes the pipe; what it says is more telling than that.
        match stdin.write_all(input.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(InitError::Run(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(InitError::Run)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let capable = std::fs::read_to_string("/proc/self/status").is_ok_and(|status| has_net_admin(&status));
    Err(explain(&said, capable))
}

/// Why nft failed, from what it said and whether this process has the capability.
fn explain(said: &str, capable: bool) -> InitError {
    let first = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
    let kernel = ["No such file or directory", "not supported", "Invalid argument", "Unknown error"];
    if !capable {
        InitError::NoCapability(first)
    } else if kernel.iter().any(|text| said.contains(text)) {
        InitError::Kernel(first)
    } else {
        InitError::Refused(first)
    }
}

/// Whether a `/proc/PID/status` shows the capability as effective.
fn has_net_admin(status: &str) -> bool {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).is_some_and(|set| set & NET_ADMIN != 0)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_ruleset_replaces_the_table_in_one_transaction() {
        let rules: Vec<&str> = RULESET.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert_eq!(rules[..3], ["add table inet shekara", "delete table inet shekara", "add table inet shekara {"]);
    }

    #[test]
    fn only_a_pod_that_observes_has_lines_with_a_time() {
        assert_eq!(ruleset(None, &[]), RULESET);
        let observing = ruleset(Some("2026-12-01T00:00:00.9Z".parse().unwrap()), &[]);
        let rest = observing.strip_prefix(RULESET).unwrap();
        let rules: Vec<&str> = rest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        assert!(rules.len() == 3 && rules.iter().all(|rule| rule.contains("meta time < \"1796083200\"")), "{rules:?}");
    }

    #[test]
    fn each_part_must_read_back() {
        let whole = REQUIRED.join("\n");
        check(&whole, 0).unwrap();
        for part in REQUIRED {
            assert!(check(&whole.replace(part, ""), 0).is_err(), "{part}");
        }
        assert!(matches!(check(&whole, 1), Err(InitError::Endpoint(15100))));
        check(&format!("{whole}\n\t\tip daddr 192.0.2.1 udp dport 5 redirect to :15100\n"), 1).unwrap();
    }

    #[rstest]
    #[case("netlink: Error: cache initialization failed: Operation not permitted", false, "NET_ADMIN")]
    #[case("/dev/stdin:12:1-2: Error: Could not process rule: No such file or directory", true, "kernel")]
    #[case("netlink: Error: Protocol not supported", true, "kernel")]
    #[case("Error: syntax error, unexpected newline", true, "refused")]
    #[case("", true, "it said nothing")]
    fn a_failure_names_its_cause(#[case] said: &str, #[case] capable: bool, #[case] expected: &str) {
        let sentence = explain(said, capable).to_string();
        assert!(sentence.contains(expected), "{sentence}");
    }

    #[test]
    fn the_capability_is_read_from_the_effective_set() {
        assert!(has_net_admin("CapPrm:\t0000000000001000\nCapEff:\t0000000000001000\n"));
        assert!(!has_net_admin("CapPrm:\t0000000000001000\nCapEff:\t0000000000002000\n"));
        assert!(!has_net_admin(""));
    }
}
