//! `shekara-sidecar verify`: proves, as an application would see it, that the pod has no other way out.
//!
//! It runs as an application-like user before the application's own containers and without any capability. Each way that an
//! application could try is tried, and each must be seen to be closed: led to the sidecar, which says so with a nonce and the
//! destination that it saw, or refused by the kernel. A time-out proves nothing, so it fails.

mod ask;
mod attempt;

use std::fmt;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use attempt::Outcome;
use jiff::Timestamp;

use crate::observe;

/// How long the sidecar is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The same while the pod runs: the sidecar itself asks then.
const PATIENCE_AGAIN: Duration = Duration::from_secs(2);

/// Where the kubelet looks for the last words of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// A way out is open, or nothing proves that it is closed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Ways were seen open, perhaps others beside them not seen closed.
    #[error("{}", .0.join("; "))]
    Open(Vec<String>),
    /// Ways were not seen closed, and none was seen open.
    #[error("{}", .0.join("; "))]
    Unproven(Vec<String>),
    /// The pod has no address to prove anything with.
    #[error("the pod has a route over neither IPv4 nor IPv6, so nothing was proven")]
    NothingTried,
}

/// Who is told what a proof is about to do, so that it is not taken for an application's.
pub trait Witness {
    /// A question comes from this port.
    fn asks_from(&self, port: u16);

    /// A datagram with this nonce is sent.
    fn sends(&self, nonce: &str);
}

/// Nobody.
impl Witness for () {
    fn asks_from(&self, _port: u16) {}

    fn sends(&self, _nonce: &str) {}
}

/// A way out that an application could try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A TCP connection.
    Tcp(Family),
    /// UDP other than DNS.
    Udp(Family),
    /// An IPv4 echo request from a ping socket, which no capability is needed for. (Over IPv6 the kernel drops in silence and
    /// tells the sender nothing, so only who listens outside can prove that.)
    Ping,
    /// An IPv6 address that the pod does not have as the sender's, over loopback (`IPV6_FREEBIND`, which no capability is needed
    /// for): connection tracking would take what follows for an answer. The kernel has no route for that over IPv4.
    ForeignSource,
    /// The port to which the packet filter leads what comes in: the sidecar itself must listen there, for whoever else did would be
    /// reached unjudged. That packets from outside are led there cannot be seen from inside the pod; `init` has read it back.
    Inward(Family),
    /// The sidecar's own mark on a socket of somebody else.
    Mark,
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Those first whose outcome is known at once.
const WAYS: [Way; 9] = [
    Way::Mark,
    Way::Ping,
    Way::ForeignSource,
    Way::Tcp(Family::V4),
    Way::Tcp(Family::V6),
    Way::Udp(Family::V4),
    Way::Udp(Family::V6),
    Way::Inward(Family::V4),
    Way::Inward(Family::V6),
];

/// Tries every way, prints one line for each, and leaves the outcome where the kubelet looks for it.
///
/// # Errors
/// When a way is open, or nothing proves that it is closed.
pub fn run() -> anyhow::Result<()> {
    let observing = observe::still(Timestamp::now())?;
    let outcomes = try_all(WAYS.into_iter(), PATIENCE, observing, &());
    for (way, outcome) in &outcomes {
        println!("{way}: {outcome}");
    }
    let verdict = judge(&outcomes).map_err(|error| anyhow!("the pod must not start: {error}"));
    leave_behind(&verdict.as_ref().map_or_else(ToString::to_string, |()| proven(observing)));
    verdict
}

/// Tries them again, from within the sidecar and while the application runs: all but the mark, which the sidecar may take.
///
/// # Errors
/// When a way is open, or nothing proves that it is closed.
pub fn again(witness: &impl Witness) -> Result<(), VerifyError> {
    let ways = WAYS.into_iter().filter(|way| *way != Way::Mark);
    let observing = observe::still(Timestamp::now()).map_err(|error| VerifyError::Unproven(vec![error.to_string()]))?;
    judge(&try_all(ways, PATIENCE_AGAIN, observing, witness))
}

fn try_all(
    ways: impl Iterator<Item = Way>,
    patience: Duration,
    observing: Option<Timestamp>,
    witness: &impl Witness,
) -> Vec<(Way, Outcome)> {
    let mut deadline = Instant::now() + patience;
    let attempt = |way: Way| {
        let outcome = match observing {
            Some(_) if way.is_open_in_observe() => Outcome::Observed,
            _ => attempt::attempt(way, deadline, witness),
        };
        if outcome.is_failure() {
            // It has failed in any case: the other ways are tried once, for whoever reads this.
            deadline = Instant::now();
        }
        (way, outcome)
    };
    ways.map(attempt).collect()
}

fn proven(observing: Option<Timestamp>) -> String {
    let closed = "every way out that was tried is closed";
    observing
        .map_or_else(|| closed.to_owned(), |until| format!("{closed}; the pod observes until {until}, and UDP and ICMP pass"))
}

impl Way {
    /// Whether the packet filter of a pod that observes lets it pass.
    fn is_open_in_observe(self) -> bool {
        matches!(self, Self::Udp(_) | Self::Ping)
    }
}

fn judge(outcomes: &[(Way, Outcome)]) -> Result<(), VerifyError> {
    let failed = |(way, outcome): &(Way, Outcome)| outcome.is_failure().then(|| format!("{way} is {outcome}"));
    let failed: Vec<String> = outcomes.iter().filter_map(failed).collect();
    if !failed.is_empty() {
        let open = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Open(_)));
        return Err(if open { VerifyError::Open(failed) } else { VerifyError::Unproven(failed) });
    }
    let proven = |(way, outcome): &(Way, Outcome)| matches!((way, outcome), (Way::Tcp(_), Outcome::Closed(_)));
    if outcomes.iter().any(proven) { Ok(()) } else { Err(VerifyError::NothingTried) }
}

/// The last words of the container, which `kubectl describe` shows. Where there is no such file, the standard output has them.
fn leave_behind(words: &str) {
    println!("{words}");
    if let Ok(mut file) = std::fs::OpenOptions::new().write(true).truncate(true).open(TERMINATION_LOG) {
        let _ = file.write_all(words.as_bytes());
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(family) => write!(f, "TCP over {family}"),
            Self::Udp(family) => write!(f, "UDP over {family}"),
            Self::Inward(family) => write!(f, "the port for what comes in over {family}"),
            Self::Ping => f.write_str("ping over IPv4"),
            Self::ForeignSource => f.write_str("a foreign sender's address over IPv6"),
            Self::Mark => f.write_str("the sidecar's mark"),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(way: Way) -> (Way, Outcome) {
        (way, Outcome::Closed("as it must be"))
    }

    #[test]
    fn all_closed_is_a_proof_and_one_absent_family_does_not_spoil_it() {
        judge(&WAYS.map(closed)).unwrap();
        let without = |family| {
            WAYS.map(|way| match way {
                Way::Tcp(of) | Way::Udp(of) if of == family => (way, Outcome::NoRoute),
                _ => closed(way),
            })
        };
        judge(&without(Family::V4)).unwrap();
        judge(&without(Family::V6)).unwrap();
    }

    #[test]
    fn one_way_that_is_open_or_unproven_fails_and_is_named() {
        for outcome in [Outcome::Open("it went out".into()), Outcome::Unproven("time ran out".into())] {
            for at in 0..WAYS.len() {
                let mut outcomes = WAYS.map(closed);
                outcomes[at].1 = outcome.clone();
                let error = judge(&outcomes).unwrap_err().to_string();
                assert!(error.contains(&format!("{} is {outcome}", WAYS[at])), "{error}");
            }
        }
    }

    #[test]
    fn a_pod_without_any_route_proves_nothing() {
        let outcomes = WAYS.map(|way| if way == Way::Mark { closed(way) } else { (way, Outcome::NoRoute) });
        assert!(matches!(judge(&outcomes), Err(VerifyError::NothingTried)));
    }
}
