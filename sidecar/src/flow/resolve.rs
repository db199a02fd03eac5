//! The addresses of a name that a client has given, by the resolvers that the documents name.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use shekara_policy::HostName;
use tokio::time::Instant;

use crate::context::Context;
use crate::dns::lookup::{Family, Found, LookupError, addresses};

/// An answer is used at least this long: what a burst of connections asks is asked once.
const FLOOR: Duration = Duration::from_secs(1);

/// An answer is used at most this long, whatever it says.
const CEILING: Duration = Duration::from_secs(300);

/// Answers that are kept.
const MOST: usize = 512;

/// What was answered lately. Addresses alone are kept: each flow is judged anew.
#[derive(Debug, Default)]
pub struct Resolved {
    answers: Mutex<BTreeMap<(HostName, Family), Answer>>,
}

#[derive(Clone, Debug)]
struct Answer {
    addresses: Vec<IpAddr>,
    end: Instant,
}

impl Resolved {
    fn get(&self, name: &HostName, family: Family, now: Instant) -> Option<Vec<IpAddr>> {
        let answers = self.answers.lock();
        answers.get(&(name.clone(), family)).filter(|answer| answer.end > now).map(|answer| answer.addresses.clone())
    }

    fn put(&self, name: &HostName, family: Family, found: &Found, now: Instant) {
        if found.addresses.is_empty() {
            return;
        }
        let mut answers = self.answers.lock();
        if answers.len() >= MOST {
            answers.retain(|_, answer| answer.end > now);
        }
        if answers.len() < MOST {
            let answer = Answer { addresses: found.addresses.clone(), end: now + found.ttl.clamp(FLOOR, CEILING) };
            answers.insert((name.clone(), family), answer);
        }
    }
}

/// The addresses of a name; none if it has none or does not exist.
///
/// # Errors
/// When the resolvers do not answer, or cannot find out.
pub async fn resolve(context: &Context, name: &HostName, family: Family) -> Result<Vec<IpAddr>, LookupError> {
    if let Some(addresses) = context.resolved.get(name, family, Instant::now()) {
        return Ok(addresses);
    }
    let found = addresses(&context.forwarder, &context.enforced().resolvers(), name, family).await?;
    context.resolved.put(name, family, &found, Instant::now());
    Ok(found.addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_used_for_their_time_within_bounds() {
        let (resolved, now) = (Resolved::default(), Instant::now());
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let put = |name: &str, ttl| {
            let name: HostName = name.parse().unwrap();
            resolved.put(&name, Family::V4, &Found { addresses: vec![address], ttl: Duration::from_secs(ttl) }, now);
            name
        };
        let (short, long) = (put("short.example.kz", 0), put("long.example.kz", 86_400));
        let lives = |name: &HostName, after| resolved.get(name, Family::V4, now + Duration::from_millis(after)).is_some();
        assert!(lives(&short, 900) && !lives(&short, 1000));
        assert!(lives(&long, 299_000) && !lives(&long, 300_000));
        assert!(resolved.get(&long, Family::V6, now).is_none());
    }

    #[test]
    fn no_more_than_the_bound_is_kept_and_nothing_that_is_empty() {
        let (resolved, now) = (Resolved::default(), Instant::now());
        let found = Found { addresses: vec!["192.0.2.1".parse().unwrap()], ttl: Duration::from_secs(60) };
        for number in 0..MOST + 10 {
            resolved.put(&format!("n{number}.example.kz").parse().unwrap(), Family::V4, &found, now);
        }
        assert_eq!(resolved.answers.lock().len(), MOST);
        resolved.put(&"late.example.kz".parse().unwrap(), Family::V4, &found, now + Duration::from_secs(61));
        assert_eq!(resolved.answers.lock().len(), 1);
        resolved.put(&"none.example.kz".parse().unwrap(), Family::V4, &Found::default(), now);
        assert_eq!(resolved.answers.lock().len(), 1);
    }
}
