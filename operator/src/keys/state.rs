//! The keys as they lie in the Secret. No input or output.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shekara_policy::signed::{Fingerprint, KeySet, Refusal, SignedKeySet, SigningKey};

use super::Keyring;

const ROOT: &str = "root.key";
const KEY: &str = "document.key";
const MADE: &str = "document.made";
const PREVIOUS: &str = "previous.key";
const KEY_SET: &str = "key-set.json";

/// Keys that cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// An entry is absent or means nothing.
    #[error("the entry {0} of the Secret of the keys is absent or cannot be read")]
    Entry(&'static str),
    /// The key set is not of the root key beside it.
    #[error("the key set in the Secret of the keys is not of its root key: {0}")]
    KeySet(Refusal),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The key set cannot be written.
    #[error("the key set is too long to be signed")]
    TooLong,
}

/// A seed, with the key that it gives.
pub(super) type Seed = [u8; SigningKey::SEED];

/// What lies in the Secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    root: Seed,
    /// The key that signs documents.
    pub(super) key: Seed,
    /// Since when.
    pub(super) made: Timestamp,
    /// The key that it replaced, as long as documents of it may still be in force.
    pub(super) previous: Option<Seed>,
    signed: SignedKeySet,
    set: KeySet,
}

impl State {
    /// Makes every key.
    pub(super) fn create(
        now: Timestamp,
        authorities: &[String],
        seed: impl Fn() -> Result<Seed, StateError>,
    ) -> Result<Self, StateError> {
        let (root, key) = (seed()?, seed()?);
        let set = KeySet { version: 1, document_keys: vec![signing(&key, KEY)?.public()], authorities: authorities.to_vec() };
        let signed = SignedKeySet::sign(&set, &signing(&root, ROOT)?).ok_or(StateError::TooLong)?;
        Ok(Self { root, key, made: now, previous: None, signed, set })
    }

    /// Reads the entries of a Secret; none in one without them. Half of them is an error: pods may trust what was there.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>) -> Result<Option<Self>, StateError> {
        if [ROOT, KEY, MADE, PREVIOUS, KEY_SET].iter().all(|entry| !data.contains_key(*entry)) {
            return Ok(None);
        }
        let bytes = |entry: &'static str| data.get(entry).ok_or(StateError::Entry(entry));
        let seed = |entry| bytes(entry)?.as_slice().try_into().map_err(|_| StateError::Entry(entry));
        let (root, key) = (seed(ROOT)?, seed(KEY)?);
        let made = std::str::from_utf8(bytes(MADE)?).ok().and_then(|text| text.parse().ok()).ok_or(StateError::Entry(MADE))?;
        let previous = data.contains_key(PREVIOUS).then(|| seed(PREVIOUS)).transpose()?;
        let signed: SignedKeySet = serde_json::from_slice(bytes(KEY_SET)?).map_err(|_| StateError::Entry(KEY_SET))?;
        let set = signed.verify(&signing(&root, ROOT)?.public().fingerprint()).map_err(StateError::KeySet)?;
        Ok(Some(Self { root, key, made, previous, signed, set }))
    }

    /// The entries.
    pub(super) fn data(&self) -> BTreeMap<String, Vec<u8>> {
        // no value of the type has a form that JSON lacks
        let key_set = serde_json::to_vec(&self.signed).unwrap_or_default();
        let entries = [
            (ROOT, Some(self.root.to_vec())),
            (KEY, Some(self.key.to_vec())),
            (MADE, Some(self.made.to_string().into_bytes())),
            (PREVIOUS, self.previous.map(|seed| seed.to_vec())),
            (KEY_SET, Some(key_set)),
        ];
        entries.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), bytes?))).collect()
    }

    /// What pods hold of the root.
    pub(super) fn root(&self) -> Result<Fingerprint, StateError> {
        Ok(signing(&self.root, ROOT)?.public().fingerprint())
    }

    /// The version of the key set.
    pub(super) fn version(&self) -> u64 {
        self.set.version
    }

    /// The same with a key set that names these authorities and the keys of the moment, its version above `lowest`. The key set
    /// that there is, where it says so already.
    pub(super) fn signed(mut self, authorities: &[String], lowest: u64) -> Result<Self, StateError> {
        let keys = std::iter::once(&self.key).chain(&self.previous);
        let document_keys = keys.map(|seed| Ok(signing(seed, KEY)?.public())).collect::<Result<Vec<_>, StateError>>()?;
        let same = self.set.document_keys == document_keys && self.set.authorities == authorities;
        if !same || self.set.version < lowest {
            let version = self.set.version.max(lowest).saturating_add(1);
            self.set = KeySet { version, document_keys, authorities: authorities.to_vec() };
            self.signed = SignedKeySet::sign(&self.set, &signing(&self.root, ROOT)?).ok_or(StateError::TooLong)?;
        }
        Ok(self)
    }

    /// The keys as the rest of the operator uses them.
    pub(super) fn keyring(&self) -> Result<Keyring, StateError> {
        let (root, key) = (self.root()?, signing(&self.key, KEY)?);
        Ok(Keyring { root, key, version: self.set.version, signed: self.signed.clone() })
    }
}

fn signing(seed: &Seed, entry: &'static str) -> Result<SigningKey, StateError> {
    SigningKey::from_seed(seed).ok_or(StateError::Entry(entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::seed;

    #[test]
    fn what_is_kept_is_the_same_keys_again_and_half_of_it_is_an_error() {
        let state = State::create(Timestamp::now(), &["PEM".into()], seed).unwrap();
        let data = state.data();
        assert!(State::read(&data).unwrap().unwrap() == state);
        assert!(State::read(&BTreeMap::new()).unwrap().is_none());
        for entry in data.keys() {
            let mut half = data.clone();
            half.remove(entry);
            assert!(matches!(State::read(&half), Err(StateError::Entry(name)) if name == entry), "{entry}");
        }
        let mut mixed = data;
        mixed.insert(ROOT.into(), vec![7; 32]);
        assert!(matches!(State::read(&mixed), Err(StateError::KeySet(Refusal::KeySetForeign))));
    }
}
