//! A recipient with its fields read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_policy::document::{Endpoint, HoldingReference, PermitWindow, Target};
use shekara_policy::{Country, HostPattern};

use super::problem::{Problem, Problems, categories};
use super::route::network;
use crate::recipient::{self as api, Ground, Recipient, Role, Tenancy};

/// A recipient whose fields can be used.
pub(super) struct Parsed {
    pub(super) country: Country,
    pub(super) parent_country: Option<Country>,
    pub(super) needs_permit: bool,
    pub(super) emergency: bool,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) permits: Vec<Permit>,
}

/// A permit whose fields can be used.
pub(super) struct Permit {
    pub(super) window: PermitWindow,
    pub(super) ground: Ground,
    holders: Vec<String>,
    purposes: Vec<String>,
}

/// What is wrong with a recipient by itself.
#[must_use]
pub fn problems(recipient: &Recipient) -> Vec<Problem> {
    let mut problems = Problems::default();
    Parsed::read(recipient, "", &mut problems);
    problems.into_vec()
}

impl Parsed {
    /// Reads a recipient that a holding names; its problems carry its name. An endpoint or permit that cannot be read is left
    /// out, which only ever closes something.
    pub(super) fn parse(recipient: &Recipient, problems: &mut Problems) -> Self {
        Self::read(recipient, &format!("Recipient/{} ", recipient.name_any()), problems)
    }

    fn read(recipient: &Recipient, prefix: &str, problems: &mut Problems) -> Self {
        let spec = &recipient.spec;
        let endpoints = spec.endpoints.iter().enumerate();
        let permits = spec.permits.iter().enumerate();
        Self {
            country: problems.check(&format!("{prefix}spec.country"), spec.country.parse()).unwrap_or(Country::UNKNOWN),
            parent_country: spec
                .parent_country
                .as_ref()
                .and_then(|country| problems.check(&format!("{prefix}spec.parentCountry"), country.parse())),
            needs_permit: spec.role != Role::Own,
            emergency: spec.role == Role::Emergency,
            endpoints: endpoints
                .filter_map(|(index, endpoint)| self::endpoint(endpoint, &format!("{prefix}spec.endpoints[{index}]"), problems))
                .collect(),
            permits: permits
                .filter_map(|(index, permit)| self::permit(index, permit, &format!("{prefix}spec.permits[{index}]"), problems))
                .collect(),
        }
    }
}

impl Permit {
    /// Whether a holding may use the permit.
    pub(super) fn is_for(&self, holding: &HoldingReference) -> bool {
        let matches = |holder: &String| match holder.split_once('/') {
            Some((namespace, "*")) => namespace == holding.namespace,
            Some((namespace, name)) => namespace == holding.namespace && name == holding.name,
            None => holder == "*",
        };
        self.holders.is_empty() || self.holders.iter().any(matches)
    }

    /// Whether the permit may be used for a purpose. Purposes are words of a document, so case and the width of white space say
    /// nothing and everything else does: one that begins like a permitted one may be quite another.
    pub(super) fn is_for_purpose(&self, purpose: Option<&str>) -> bool {
        self.purposes.is_empty() || purpose.is_some_and(|purpose| self.purposes.contains(&folded(purpose)))
    }
}

/// A purpose in the form in which purposes are compared.
fn folded(purpose: &str) -> String {
    purpose.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn endpoint(endpoint: &api::Endpoint, field: &str, problems: &mut Problems) -> Option<Endpoint> {
    let target = match (&endpoint.host, &endpoint.network) {
        (Some(host), None) => Target::Host(problems.check(&format!("{field}.host"), host.parse::<HostPattern>())?),
        (None, Some(cidr)) => Target::Network(problems.check(&format!("{field}.network"), network(cidr))?),
        _ => return problems.check(field, Err("an endpoint has either a host or a network")),
    };
    let ports = ports(&endpoint.ports, field, problems)?;
    Some(Endpoint { target, ports, protocol: endpoint.protocol, shared: endpoint.tenancy == Tenancy::Shared })
}

/// The ports of a list; none where one of them is no port.
pub(super) fn ports(numbers: &[i32], field: &str, problems: &mut Problems) -> Option<BTreeSet<u16>> {
    let mut ports = BTreeSet::new();
    for (index, port) in numbers.iter().enumerate() {
        let port = u16::try_from(*port).ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535");
        ports.insert(problems.check(&format!("{field}.ports[{index}]"), port)?);
    }
    Some(ports)
}

fn permit(index: usize, permit: &api::Permit, field: &str, problems: &mut Problems) -> Option<Permit> {
    let data = categories(&permit.data, &format!("{field}.data"), problems);
    let mut time = |name: &str, text: &Option<String>| match text {
        Some(text) => problems.check(&format!("{field}.{name}"), text.parse::<Timestamp>()).map(Some),
        None => Some(None),
    };
    let valid_from = time("validFrom", &permit.valid_from)?;
    let valid_until = time("validUntil", &permit.valid_until)?;
    Some(Permit {
        window: PermitWindow { data, valid_from, valid_until, permit: u32::try_from(index).unwrap_or(u32::MAX) },
        ground: permit.ground,
        holders: permit.holders.clone(),
        purposes: permit.purposes.iter().map(|purpose| folded(purpose)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_are_compared_by_their_words() {
        assert_eq!(folded("  Search for\u{a0}\n missing  PEOPLE "), "search for missing people");
        assert_eq!(folded("Поиск ЛЮДЕЙ"), "поиск людей");
        assert_ne!(folded("identification of patients"), folded("identification"));
    }
}
