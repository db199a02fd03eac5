//! The certificate authority of the moment and the one that it replaced: which of them issues, and which count. No input or
//! output.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::authority::{Authority, AuthorityError};

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
const MADE: &str = "ca.made";
const PREVIOUS_CERTIFICATE: &str = "previous.crt";
const PREVIOUS_KEY: &str = "previous.key";

/// For how long authorities are in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How old one becomes.
    pub(super) age: Duration,
    /// How long its predecessor still counts. In the first half of that time the predecessor goes on issuing, so that nobody
    /// meets a certificate of an authority that he has not heard of.
    pub(super) overlap: Duration,
}

/// One authority, and its predecessor for as long as that counts.
pub(super) struct Authorities {
    newest: Authority,
    made: Timestamp,
    previous: Option<Authority>,
}

impl Authorities {
    /// Makes one.
    pub(super) fn create(now: Timestamp) -> Result<Self, AuthorityError> {
        Ok(Self { newest: Authority::create(now)?, made: now, previous: None })
    }

    /// Reads the entries of a Secret; none in one without them. Half of them is an error: sidecars may trust what was there.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        let pair = |certificate: &str, key: &str| {
            let text = |name: &str| data.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            match (text(certificate), text(key)) {
                (None, None) => Ok(None),
                (Some(certificate), Some(key)) => Authority::from_pem(certificate, &key).map(Some),
                _ => Err(AuthorityError::Incomplete),
            }
        };
        let Some(newest) = pair(CERTIFICATE, KEY)? else { return Ok(None) };
        let made = data.get(MADE).and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
        // one that does not say when it was made begins to age now
        Ok(Some(Self { newest, made: made.unwrap_or(now), previous: pair(PREVIOUS_CERTIFICATE, PREVIOUS_KEY)? }))
    }

    /// The entries.
    pub(super) fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let mut entries = vec![
            (CERTIFICATE, self.newest.certificate_pem().to_owned()),
            (KEY, self.newest.key_pem()),
            (MADE, self.made.to_string()),
        ];
        if let Some(previous) = &self.previous {
            entries.push((PREVIOUS_CERTIFICATE, previous.certificate_pem().to_owned()));
            entries.push((PREVIOUS_KEY, previous.key_pem()));
        }
        entries.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
    }

    /// The certificates that count, in PEM, the newest first.
    pub(super) fn pems(&self) -> Vec<String> {
        let all = std::iter::once(&self.newest).chain(&self.previous);
        all.map(|authority| authority.certificate_pem().to_owned()).collect()
    }

    /// The paths at which the API server may ask the webhook, the newest first.
    pub(super) fn webhook_paths(&self) -> Vec<String> {
        std::iter::once(&self.newest).chain(&self.previous).map(Authority::webhook_path).collect()
    }

    /// Who issues serving certificates now.
    pub(super) fn issuer(&self, plan: &Plan, now: Timestamp) -> &Authority {
        self.previous.as_ref().filter(|_| !self.is_older(plan.overlap / 2, now)).unwrap_or(&self.newest)
    }

    /// Replaces what is to be replaced. Says whether anything was.
    pub(super) fn step(&mut self, plan: &Plan, asked: bool, now: Timestamp) -> Result<bool, AuthorityError> {
        let ended = self.previous.is_some() && self.is_older(plan.overlap, now);
        if ended {
            self.previous = None;
        }
        if self.previous.is_some() || !(asked || self.is_older(plan.age, now)) {
            return Ok(ended);
        }
        let successor = Authority::create(now)?;
        self.previous = Some(std::mem::replace(&mut self.newest, successor));
        self.made = now;
        Ok(true)
    }

    fn is_older(&self, limit: Duration, now: Timestamp) -> bool {
        now.duration_since(self.made) >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { age: Duration::from_secs(1000), overlap: Duration::from_secs(100) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    #[test]
    fn one_is_announced_before_it_issues_and_counts_after_it_was_replaced() {
        let mut authorities = Authorities::create(at(0)).unwrap();
        let first = authorities.pems();
        assert!(!authorities.step(&PLAN, false, at(999)).unwrap());
        assert!(authorities.step(&PLAN, false, at(1000)).unwrap());
        let both = authorities.pems();
        assert_eq!((both.len(), &both[1]), (2, &first[0]));
        let issuer = |authorities: &Authorities, second| authorities.issuer(&PLAN, at(second)).certificate_pem().to_owned();
        assert_eq!((issuer(&authorities, 1049), issuer(&authorities, 1050)), (first[0].clone(), both[0].clone()));
        assert!(!authorities.step(&PLAN, true, at(1099)).unwrap(), "not while the one before still counts");
        let mut authorities = Authorities::read(&authorities.data(), at(5)).unwrap().unwrap();
        assert_eq!(authorities.pems(), both);
        assert!(authorities.step(&PLAN, false, at(1100)).unwrap());
        assert_eq!(authorities.pems(), both[..1]);
        assert!(authorities.step(&PLAN, true, at(1101)).unwrap(), "whoever asks need not wait for its age");
    }

    #[test]
    fn the_path_of_the_webhook_is_that_of_the_key_and_outlives_its_replacement() {
        let mut authorities = Authorities::create(at(0)).unwrap();
        let [first] = &authorities.webhook_paths()[..] else { panic!() };
        let first = first.clone();
        assert!(first.starts_with("/mutate/") && first.len() == "/mutate/".len() + 64, "{first}");
        assert_eq!(Authorities::read(&authorities.data(), at(5)).unwrap().unwrap().webhook_paths()[..], [first.as_str()]);
        authorities.step(&PLAN, true, at(10)).unwrap();
        let both = authorities.webhook_paths();
        assert!(both.len() == 2 && both[0] != first && both[1] == first, "{both:?}");
        // every replica knows it before it is asked for
        assert_eq!(authorities.issuer(&PLAN, at(50)).webhook_path(), first);
        assert_eq!(authorities.issuer(&PLAN, at(60)).webhook_path(), both[0]);
    }

    #[test]
    fn half_of_one_is_an_error_and_none_is_none() {
        let mut data = Authorities::create(at(0)).unwrap().data();
        assert!(Authorities::read(&BTreeMap::new(), at(0)).unwrap().is_none());
        data.remove(KEY);
        assert!(matches!(Authorities::read(&data, at(0)), Err(AuthorityError::Incomplete)));
    }
}
