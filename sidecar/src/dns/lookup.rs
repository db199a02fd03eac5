//! The addresses of a name, from the resolvers alone: neither a hosts file nor resolv.conf is ever read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use shekara_policy::HostName;

use super::forward::{ForwardError, Forwarder};

/// Aliases that are followed in one answer.
const ALIASES: usize = 8;

/// Addresses that are taken from one answer.
const ADDRESSES: usize = 32;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4: A records.
    V4,
    /// IPv6: AAAA records.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    fn kind(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }
}

/// The addresses of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In the order of the answer; empty when the name has none of the family, or does not exist.
    pub addresses: Vec<IpAddr>,
    /// How long they hold, by the records that led to them.
    pub ttl: Duration,
}

/// Why there are no addresses.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The name does not fit a question.
    #[error("{0} cannot be asked for")]
    Name(HostName),
    /// Nobody answered.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// The resolver could not find out.
    #[error("the resolver answered {0}")]
    Failed(ResponseCode),
}

/// Asks the resolvers for the addresses of a name.
///
/// # Errors
/// When nobody answers, or the answer is a failure. A name without addresses, or one that does not exist, is an empty answer.
pub async fn addresses(
    forwarder: &Forwarder,
    resolvers: &[SocketAddr],
    name: &HostName,
    family: Family,
) -> Result<Found, LookupError> {
    let asked = absolute(name).ok_or_else(|| LookupError::Name(name.clone()))?;
    let answer = forwarder.ask(resolvers, &asked, family.kind()).await?;
    match answer.metadata.response_code {
        ResponseCode::NoError => Ok(chain(&answer, &asked, family)),
        ResponseCode::NXDomain => Ok(Found::default()),
        failure => Err(LookupError::Failed(failure)),
    }
}

/// The name as a question has it, so that nobody adds a search domain.
#[must_use]
pub fn absolute(name: &HostName) -> Option<Name> {
    Name::from_ascii(format!("{name}.")).ok()
}

/// The addresses at the end of the chain of aliases that begins with the name. Records of other names in the answer are not its.
pub(crate) fn chain(answer: &Message, name: &Name, family: Family) -> Found {
    let mut owner = name;
    let mut ttl = u32::MAX;
    for _ in 0..=ALIASES {
        let records = || answer.answers.iter().filter(|record| record.name == *owner);
        let found: Vec<(IpAddr, u32)> =
            records().filter_map(|record| Some((address(&record.data, family)?, record.ttl))).collect();
        if let Some(least) = found.iter().map(|(_, ttl)| *ttl).min() {
            let addresses = found.into_iter().map(|(address, _)| address).take(ADDRESSES).collect();
            return Found { addresses, ttl: Duration::from_secs(ttl.min(least).into()) };
        }
        let alias = records().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some((&alias.0, record.ttl)),
            _ => None,
        });
        let Some((next, alias_ttl)) = alias else { break };
        (owner, ttl) = (next, ttl.min(alias_ttl));
    }
    Found::default()
}

/// The names that a name is an alias of, one after the other, as the answer says it.
pub(super) fn aliases(answer: &Message, name: &Name) -> Vec<HostName> {
    let mut owner = name;
    let mut aliases = Vec::new();
    for _ in 0..ALIASES {
        let alias = answer.answers.iter().filter(|record| record.name == *owner).find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(&alias.0),
            _ => None,
        });
        let Some(next) = alias else { break };
        aliases.extend(next.to_ascii().parse::<HostName>());
        owner = next;
    }
    aliases
}

fn address(data: &RData, family: Family) -> Option<IpAddr> {
    match (data, family) {
        (RData::A(address), Family::V4) => Some(address.0.into()),
        (RData::AAAA(address), Family::V6) => Some(address.0.into()),
        _ => None,
    }
}
