//! The certificate authority of the moment and the one that it replaced: which of them issues, and which count. No input or
//! output.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::authority::{Authority, AuthorityError};
use super::generation::{Entries, Generation};

const NEWEST: Entries = Entries { certificate: "ca.crt", key: "ca.key", path: "ca.path" };
const PREVIOUS: Entries = Entries { certificate: "previous.crt", key: "previous.key", path: "previous.path" };
const MADE: &str = "ca.made";

/// For how long authorities are in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// How old one becomes that the operator made.
    pub(super) age: Duration,
    /// How long its predecessor still counts. In the first half of that time the predecessor goes on issuing, so that nobody
    /// meets a certificate of an authority that he has not heard of.
    pub(super) overlap: Duration,
}

/// Where the authority is to come from.
pub(super) enum Wanted {
    /// The operator makes it.
    Own {
        /// Whether somebody asks that it is replaced now.
        asked: bool,
    },
    /// Somebody else gives this one.
    Given(Arc<Authority>),
    /// Somebody else gives none that can be used: what there is stays.
    Missing,
}

/// When it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// While the replica that leads runs.
    Running,
    /// When a replica starts, which may know no key but that of what is wanted.
    Starting,
}

/// One authority, and its predecessor for as long as that counts.
#[derive(Clone)]
pub(super) struct Authorities {
    newest: Generation,
    made: Timestamp,
    previous: Option<Generation>,
}

impl Authorities {
    /// The first one.
    pub(super) fn first(wanted: &Wanted, now: Timestamp) -> Result<Self, AuthorityError> {
        let newest = match wanted {
            Wanted::Own { .. } => Generation::own(Authority::create(now)?),
            Wanted::Given(authority) => Generation::given(authority),
            Wanted::Missing => return Err(AuthorityError::NoKey),
        };
        Ok(Self { newest, made: now, previous: None })
    }

    /// Reads the entries of a Secret; none in one without them. Half of them is an error: sidecars may trust what was there.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<Option<Self>, AuthorityError> {
        let Some(newest) = Generation::read(data, NEWEST)? else { return Ok(None) };
        let made = data.get(MADE).and_then(|bytes| std::str::from_utf8(bytes).ok()?.parse().ok());
        // one that does not say when it was made, or says that it is yet to be, begins to age now
        Ok(Some(Self { newest, made: made.unwrap_or(now).min(now), previous: Generation::read(data, PREVIOUS)? }))
    }

    /// The entries.
    pub(super) fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let previous = self.previous.iter().flat_map(|previous| previous.entries(PREVIOUS));
        let entries = self.newest.entries(NEWEST).into_iter().chain(previous).chain([(MADE, self.made.to_string())]);
        entries.map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
    }

    /// The certificates that count, in PEM, the newest first.
    pub(super) fn pems(&self) -> Vec<String> {
        self.all().map(|generation| generation.certificate_pem().to_owned()).collect()
    }

    /// The paths at which the API server may ask the webhook, the newest first.
    pub(super) fn webhook_paths(&self) -> Vec<String> {
        self.all().map(|generation| generation.path().to_owned()).collect()
    }

    /// The path at which the API server is to ask the webhook now. All replicas say the same, whatever keys they know.
    pub(super) fn webhook_path(&self, plan: &Plan, now: Timestamp) -> &str {
        self.heard_of(plan, now).path()
    }

    /// Who issues serving certificates now: the one that everybody has heard of, or else one whose key is known here.
    pub(super) fn issuer(&self, plan: &Plan, now: Timestamp) -> Option<&Arc<Authority>> {
        std::iter::once(self.heard_of(plan, now)).chain(self.all()).find_map(Generation::authority)
    }

    /// Whether one of them comes from elsewhere.
    pub(super) fn has_given(&self) -> bool {
        self.all().any(Generation::is_given)
    }

    /// Takes the key of what is wanted, if that counts.
    pub(super) fn learn(&mut self, wanted: &Wanted) {
        if let Wanted::Given(authority) = wanted {
            self.take_key(authority);
        }
    }

    /// Takes the keys that others know of those that count.
    pub(super) fn learn_from(&mut self, others: &Self) {
        others.all().filter_map(Generation::authority).for_each(|authority| self.take_key(authority));
    }

    fn take_key(&mut self, authority: &Arc<Authority>) {
        std::iter::once(&mut self.newest).chain(&mut self.previous).for_each(|generation| generation.learn(authority));
    }

    /// Replaces what is to be replaced. Says whether anything was.
    pub(super) fn step(&mut self, plan: &Plan, wanted: &Wanted, when: When, now: Timestamp) -> Result<bool, AuthorityError> {
        let starting = when == When::Starting;
        let due = match wanted {
            Wanted::Own { asked } => self.newest.is_given() || (!starting && (*asked || self.is_older(plan.age, now))),
            Wanted::Given(authority) => !self.newest.is(authority),
            Wanted::Missing => false,
        };
        // the end of a predecessor is for the replica that leads alone, which would else find that another one has changed something
        if starting && !due {
            return Ok(false);
        }
        let ended = self.previous.is_some() && self.is_older(plan.overlap, now);
        if ended {
            self.previous = None;
        }
        // While a predecessor still counts there is no third one, which would cut short the time of those that have heard of the
        // first alone. But whoever starts may have no other key, and one that has ended is of use to nobody.
        if !due || (self.previous.is_some() && !starting && !self.newest.has_ended(now)) {
            return Ok(ended);
        }
        let successor = match wanted {
            Wanted::Given(authority) => Generation::given(authority),
            // back to the one that the operator made before, where sidecars still know it
            _ => match self.previous.take_if(|previous| !previous.is_given() && !previous.has_ended(now)) {
                Some(own) => own,
                None => Generation::own(Authority::create(now)?),
            },
        };
        let replaced = std::mem::replace(&mut self.newest, successor);
        // one that has ended leaves its place to one that everybody has heard of and that has not
        if !replaced.has_ended(now) || self.previous.as_ref().is_none_or(|previous| previous.has_ended(now)) {
            self.previous = Some(replaced);
        }
        self.made = now;
        Ok(true)
    }

    fn all(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&self.newest).chain(&self.previous)
    }

    /// The predecessor in the first half of its time, as long as it is valid.
    fn heard_of(&self, plan: &Plan, now: Timestamp) -> &Generation {
        let previous = self.previous.as_ref().filter(|previous| !previous.has_ended(now));
        previous.filter(|_| !self.is_older(plan.overlap / 2, now)).unwrap_or(&self.newest)
    }

    fn is_older(&self, limit: Duration, now: Timestamp) -> bool {
        now.duration_since(self.made) >= SignedDuration::try_from(limit).unwrap_or(SignedDuration::MAX)
    }
}

#[cfg(test)]
mod tests;
