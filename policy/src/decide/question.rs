//! DNS questions: judged before anything leaves the pod.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use super::{Judge, can_be_listed, closed, is_inside};
use crate::address::Address;
use crate::document::{PolicyDocument, Route, Target};
use crate::host_name::{HostName, HostPattern};
use crate::reason::Reason;

/// What becomes of a DNS question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A name of the cluster, or an address of the cluster in reverse: the cluster's DNS answers it itself.
    InCluster,
    /// A name that every document lists: it may be asked outside.
    Listed,
    /// Not asked.
    Denied(Reason),
}

/// Decides a question by its name, at this time: a name whose route is closed is not asked either.
#[must_use]
pub fn decide_question(documents: &[PolicyDocument], name: &HostName, now: Timestamp) -> Question {
    if documents.is_empty() {
        return Question::Denied(Reason::NoDocument);
    }
    if documents.iter().all(|document| is_of_cluster(document, name)) {
        return Question::InCluster;
    }
    let refused = documents.iter().find_map(|document| lists(document, name, now).err());
    refused.map_or(Question::Listed, Question::Denied)
}

/// Whether a route lists the name that is open; else why not.
fn lists(document: &PolicyDocument, name: &HostName, now: Timestamp) -> Result<(), Reason> {
    let is_there = |route: &&Route| patterns(route).any(|pattern| pattern.matches(name));
    let mut reason = Reason::UnlistedQuestion;
    for route in document.routes.iter().filter(is_there) {
        match closed(route, now) {
            None => return Ok(()),
            Some(closed) => reason = closed,
        }
    }
    Err(reason)
}

/// The name below a wildcard of which an application has chosen the first label: none where a document lists the whole name.
/// Such labels are what an application can say to whoever serves the names.
#[must_use]
pub fn chosen_below<'d>(documents: &'d [PolicyDocument], name: &HostName) -> Option<&'d HostName> {
    let mut parent = None;
    for pattern in
        documents.iter().flat_map(|document| &document.routes).flat_map(patterns).filter(|pattern| pattern.matches(name))
    {
        match pattern {
            HostPattern::Exact(_) => return None,
            HostPattern::Wildcard(below) => parent = Some(below),
        }
    }
    parent
}

/// What an application has said in a name of the cluster: the name without the cluster's domain, or a whole reverse one. None for
/// a name outside, and for that of a Service that a document lists or of the API server, which are not of the application's choice.
///
/// The cluster's DNS does not answer all of them itself: a Service may be another name for one outside (`ExternalName`), and what
/// nobody has in a reverse zone may be asked of others.
#[must_use]
pub fn chosen_in_cluster<'n>(documents: &[PolicyDocument], name: &'n HostName) -> Option<&'n str> {
    let domain = &documents.first()?.cluster.domain;
    let chosen = name.as_str().strip_suffix(domain.as_str()).filter(|_| name.is_within(domain));
    let chosen = chosen.map_or(name.as_str(), |said| said.trim_end_matches('.'));
    let written = |namespace: &str, service: &str| {
        let rest = chosen.strip_prefix(service).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.strip_suffix(".svc")) == Some(namespace)
    };
    let mut listed = documents.iter().flat_map(|document| &document.in_cluster);
    let is_written = written("default", "kubernetes") || listed.any(|route| written(&route.namespace, &route.service));
    (!is_written && documents.iter().all(|document| is_of_cluster(document, name))).then_some(chosen)
}

/// Whether an address can be where a listed name leads: one of the Internet or of the cluster, or one that some route lists as a
/// network. Whatever else a name is answered with would turn the application against its own pod or its surroundings.
#[must_use]
pub fn can_be_answer(judge: Judge<'_>, address: Address) -> bool {
    let listed = |target: &Target| matches!(target, Target::Network(network) if network.contains(&address.ip()));
    let routes = || judge.documents.iter().flat_map(|document| &document.routes);
    can_be_listed(address.scope(), false)
        || is_inside(judge, address)
        || (can_be_listed(address.scope(), true)
            && routes().flat_map(|route| &route.endpoints).any(|endpoint| listed(&endpoint.target)))
}

fn patterns(route: &Route) -> impl Iterator<Item = &HostPattern> {
    route.endpoints.iter().filter_map(|endpoint| match &endpoint.target {
        Target::Host(pattern) => Some(pattern),
        Target::Network(_) => None,
    })
}

/// Whether it is a name of the cluster, or of one of its addresses in reverse.
fn is_of_cluster(document: &PolicyDocument, name: &HostName) -> bool {
    name.is_within(&document.cluster.domain) || reverses_cluster_address(document, name)
}

fn reverses_cluster_address(document: &PolicyDocument, name: &HostName) -> bool {
    reversed(name.as_str()).is_some_and(|address| document.cluster.networks.iter().any(|network| network.contains(&address)))
}

/// The address that a whole name of in-addr.arpa (RFC 1035, section 3.5) or ip6.arpa (RFC 3596, section 2.5) stands for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(octets) = name.strip_suffix(".in-addr.arpa") {
        let parsed: Vec<u8> = octets.rsplit('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        return <[u8; 4]>::try_from(parsed).ok().map(|octets| Ipv4Addr::from(octets).into());
    }
    let nibbles: Vec<&str> = name.strip_suffix(".ip6.arpa")?.rsplit('.').collect();
    if nibbles.len() != 32 {
        return None;
    }
    let bits = nibbles.iter().try_fold(0u128, |bits, nibble| {
        let value = u128::from(u8::from_str_radix(nibble, 16).ok()?);
        (nibble.len() == 1).then_some(bits << 4 | value)
    })?;
    Some(Ipv6Addr::from(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_reverse_names_are_read_and_nothing_else() {
        assert_eq!(reversed("4.3.2.10.in-addr.arpa"), Some("10.2.3.4".parse().unwrap()));
        let v6 = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        assert_eq!(reversed(&v6), Some("2001:db8::1".parse().unwrap()));
        for wrong in [
            "3.2.10.in-addr.arpa",
            "5.4.3.2.10.in-addr.arpa",
            "x.3.2.10.in-addr.arpa",
            "secret.4.3.2.10.in-addr.arpa",
            "1.ip6.arpa",
        ] {
            assert_eq!(reversed(wrong), None, "{wrong}");
        }
    }
}
