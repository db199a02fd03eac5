//! What a pod knows of the operator's signatures: what admission stamped into it, and the newest that it has accepted since.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use super::Refusal;
use super::document::{Expected, SignedDocument};
use super::key::Fingerprint;
use super::key_set::{KeySet, SignedKeySet};
use crate::document::PolicyDocument;

/// A holding of the pod, as admission stamped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The name of the holding.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The lowest serial that the pod accepts.
    pub serial: u64,
}

/// A stamp that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not written name=uid:serial")]
pub struct StampError(String);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.name, self.uid, self.serial)
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let read = || {
            let (name, rest) = text.split_once('=')?;
            let (uid, serial) = rest.split_once(':')?;
            let serial = serial.parse().ok()?;
            (!name.is_empty() && !uid.is_empty()).then(|| Self { name: name.to_owned(), uid: uid.to_owned(), serial })
        };
        read().ok_or_else(|| StampError(text.to_owned()))
    }
}

/// A document that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The UID of its holding.
    pub holding_uid: String,
    /// Its serial.
    pub serial: u64,
    /// The digest of its body.
    pub digest: String,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer obeyed.
    pub not_after: Timestamp,
}

/// All documents of a pod, each verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The documents.
    pub documents: Vec<PolicyDocument>,
    /// What is known of each, in their order.
    pub held: Vec<Held>,
}

/// What a pod trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    root: Fingerprint,
    namespace_uid: String,
    stamps: Vec<Stamp>,
    /// The lowest version of a key set that is accepted.
    lowest_key_set: u64,
    keys: Option<KeySet>,
    /// The newest document of each holding, by the holding's UID.
    seen: BTreeMap<String, (u64, String)>,
}

impl Trust {
    /// What admission stamps into a pod.
    #[must_use]
    pub fn new(root: Fingerprint, namespace_uid: String, stamps: Vec<Stamp>, lowest_key_set: u64) -> Self {
        Self { root, namespace_uid, stamps, lowest_key_set, keys: None, seen: BTreeMap::new() }
    }

    /// The newest key set.
    #[must_use]
    pub fn keys(&self) -> Option<&KeySet> {
        self.keys.as_ref()
    }

    /// The holdings that admission stamped.
    #[must_use]
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// Takes a key set, or refuses it and keeps the one it knows. Says whether it is a newer one.
    ///
    /// # Errors
    /// One of the refusals of key sets.
    pub fn take_keys(&mut self, keys: &SignedKeySet) -> Result<bool, Refusal> {
        let keys = keys.verify(&self.root)?;
        let known = self.keys.as_ref();
        if keys.version < self.lowest_key_set.max(known.map_or(0, |known| known.version)) {
            return Err(Refusal::KeySetRolledBack);
        }
        match known {
            Some(known) if known.version == keys.version && *known != keys => Err(Refusal::KeySetRolledBack),
            Some(known) if known.version == keys.version => Ok(false),
            _ => {
                self.keys = Some(keys);
                Ok(true)
            }
        }
    }

    /// Takes all documents of the pod, or refuses all of them and knows what it knew before. None at all is what the operator
    /// says of a pod whose holding is gone; some, without one of a holding that admission stamped, is an omission.
    ///
    /// # Errors
    /// One of the refusals of documents: the first that applies.
    pub fn take(&mut self, documents: &[SignedDocument], now: Timestamp) -> Result<Accepted, Refusal> {
        let mut seen = self.seen.clone();
        let mut accepted = Accepted { documents: Vec::with_capacity(documents.len()), held: Vec::with_capacity(documents.len()) };
        for signed in documents {
            let document = self.verify(signed, now)?;
            let digest = signed.digest();
            // two documents with one serial: one of them is not what the operator distributes
            if seen.get(&signed.holding_uid).is_some_and(|(serial, known)| *serial == signed.serial && *known != digest) {
                return Err(Refusal::RolledBack);
            }
            seen.insert(signed.holding_uid.clone(), (signed.serial, digest.clone()));
            accepted.documents.push(document);
            accepted.held.push(Held {
                holding_uid: signed.holding_uid.clone(),
                serial: signed.serial,
                digest,
                issued_at: signed.issued_at,
                not_after: signed.not_after,
            });
        }
        let given = |stamp: &Stamp| accepted.held.iter().any(|held| held.holding_uid == stamp.uid);
        if !documents.is_empty() && !self.stamps.iter().all(given) {
            return Err(Refusal::Missing);
        }
        self.seen = seen;
        Ok(accepted)
    }

    fn verify(&self, signed: &SignedDocument, now: Timestamp) -> Result<PolicyDocument, Refusal> {
        let keys = self.keys.as_ref().ok_or(Refusal::UnknownKey)?;
        let seen = self.seen.get(&signed.holding_uid).map_or(0, |(serial, _)| *serial);
        let stamped = self.stamps.iter().find(|stamp| stamp.uid == signed.holding_uid).map_or(0, |stamp| stamp.serial);
        let expected =
            Expected { namespace_uid: &self.namespace_uid, holding_uid: &signed.holding_uid, serial: seen.max(stamped), now };
        let document = signed.verify(keys, expected)?;
        // a holding that was made again under the name is another one
        let other = |stamp: &Stamp| stamp.name == document.holding.name && stamp.uid != document.holding.uid;
        if self.stamps.iter().any(other) { Err(Refusal::Foreign) } else { Ok(document) }
    }
}
