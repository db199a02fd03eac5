//! Signing: which document of a holding is in force, under which serial and until when.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shekara_policy::PolicyDocument;
use shekara_policy::signed::{Bundle, Expected, Fingerprint, SignError, SignedDocument};

use crate::caches::Caches;
use crate::keys::{Keyring, Keys};
use crate::ledger::store::Resumed;
use crate::watch::Key;

/// How old a document may become where no standard says less.
pub(crate) const LASTS: Duration = Duration::from_secs(24 * 3600);

/// Signs documents, and remembers the newest of each holding.
pub(crate) struct Signer {
    keys: Arc<Keys>,
    caches: Arc<Caches>,
    newest: Mutex<HashMap<Key, Arc<SignedDocument>>>,
    resumed: Resumed,
}

/// A document that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignerError {
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The replica that leads signs, and what it has signed is not in the holding's file yet.
    #[error("the replica that leads has not signed it yet")]
    NotSigned,
}

/// What is to be signed.
pub(crate) struct Wish<'a> {
    pub(crate) namespace_uid: &'a str,
    pub(crate) document: &'a PolicyDocument,
    pub(crate) digest: &'a str,
    /// How old it may become.
    pub(crate) lasts: Duration,
}

impl Signer {
    pub(crate) fn new(keys: Arc<Keys>, caches: Arc<Caches>, resumed: Resumed) -> Self {
        Self { keys, caches, newest: Mutex::default(), resumed }
    }

    /// The newest key set that lies in a file of a holding and is genuine.
    pub(crate) fn newest_key_set(&self) -> u64 {
        let root = self.keys.current().root;
        let files = self.caches.policy_files.all();
        let version = |text: &str| Some(Bundle::from_json(text.as_bytes()).ok()?.keys.verify(&root).ok()?.version);
        files.iter().filter_map(|(_, file)| version(&file.text)).max().unwrap_or_default()
    }

    /// The signed document of a holding: the one that there is, as long as it says the same and is fresh, otherwise a new one.
    /// Replicas that do not lead sign nothing: two serials for one document would look like a step back to its pods.
    pub(crate) fn sign(&self, holding: &Key, wish: &Wish<'_>, now: Timestamp) -> Result<Arc<SignedDocument>, SignerError> {
        let keyring = self.keys.current();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let remembered = newest.get(holding).filter(|_| self.resumed.is_so()).cloned();
        let filed = self.filed(holding, wish, keyring.root).map(Arc::new);
        let known = remembered.into_iter().chain(filed).max_by_key(|known| known.serial);
        let known = known.filter(|known| known.holding_uid == wish.document.holding.uid);
        if let Some(known) = known.as_ref().filter(|known| is_fresh(known, wish, &keyring, now)) {
            newest.insert(holding.clone(), Arc::clone(known));
            return Ok(Arc::clone(known));
        }
        if !self.resumed.is_so() {
            return Err(SignerError::NotSigned);
        }
        let serial = next_serial(known.as_deref(), now);
        let lasts = lasts(wish.lasts);
        let not_after = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        let signed = SignedDocument::sign(wish.document, wish.namespace_uid, serial, now, not_after, &keyring.key)?;
        let signed = Arc::new(signed);
        newest.insert(holding.clone(), Arc::clone(&signed));
        Ok(signed)
    }

    /// Forgets a holding that is gone.
    pub(crate) fn forget(&self, holding: &Key) {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).remove(holding);
    }

    /// What lies beside the holding since an earlier start, if it is genuine. A data owner may have put an older one there: its
    /// serial is then too low, and the time sees to it that the next one is not.
    fn filed(&self, holding: &Key, wish: &Wish<'_>, root: Fingerprint) -> Option<SignedDocument> {
        let file = self.caches.policy_files.get(&file_key(holding))?;
        let Bundle { keys, document } = Bundle::from_json(file.text.as_bytes()).ok()?;
        let expected = Expected {
            namespace_uid: wish.namespace_uid,
            holding_uid: &wish.document.holding.uid,
            serial: 0,
            // its end is looked at when it is asked whether it is fresh
            now: Timestamp::MIN,
        };
        document.verify(&keys.verify(&root).ok()?, expected).ok()?;
        Some(document)
    }
}

/// The ConfigMap of a holding: not longer than a name may be, whatever the holding is called.
pub(crate) fn file_key(holding: &Key) -> Key {
    Key::new(&*holding.namespace, file_name(&holding.name))
}

/// Its name.
pub(crate) fn file_name(holding: &str) -> String {
    const LONGEST: usize = 253;
    let name = format!("shekara-policy-{holding}");
    if name.len() <= LONGEST {
        return name;
    }
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(holding);
    digest.iter().fold(String::from("shekara-policy-"), |text, byte| text + &format!("{byte:02x}"))
}

fn lasts(lasts: Duration) -> SignedDuration {
    SignedDuration::try_from(lasts).unwrap_or(SignedDuration::MAX)
}

/// Whether a document can stay: it says the same for as long, is signed with the present key, and half of its time is still to
/// come, so that an operator that is away for a while finds no pod without one.
fn is_fresh(known: &SignedDocument, wish: &Wish<'_>, keyring: &Keyring, now: Timestamp) -> bool {
    let life = known.not_after.duration_since(known.issued_at);
    known.digest() == wish.digest
        && known.namespace_uid == wish.namespace_uid
        && known.key == keyring.key.public().fingerprint()
        && life == lasts(wish.lasts)
        && known.issued_at <= now
        && !is_half_over(known, now)
}

/// Whether half of a document's time is over.
pub(crate) fn is_half_over(known: &SignedDocument, now: Timestamp) -> bool {
    now.duration_since(known.issued_at) >= known.not_after.duration_since(known.issued_at) / 2
}

/// Above every serial that any pod has seen: above the newest that is known, and never below the time in milliseconds, so that
/// no loss of a file leads back to numbers that were used.
fn next_serial(known: Option<&SignedDocument>, now: Timestamp) -> u64 {
    let time = u64::try_from(now.as_millisecond()).unwrap_or_default();
    known.map_or(time, |known| known.serial.saturating_add(1).max(time))
}

#[cfg(test)]
mod tests;
