//! Signing: which document of a holding is in force, under which serial and until when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use shekara_crds::injection::file_name;
use shekara_policy::PolicyDocument;
use shekara_policy::signed::{Bundle, Expected, SignError, SignedDocument};

use crate::caches::Caches;
use crate::keys::{Keyring, Keys};
use crate::policy_files::PolicyFile;
use crate::watch::Key;

/// How old a document may become where no standard says it.
pub(crate) const LASTS: Duration = Duration::from_secs(24 * 3600);

/// Signs documents, and remembers the newest of each holding.
pub(crate) struct Signer {
    keys: Arc<Keys>,
    caches: Arc<Caches>,
    newest: Mutex<HashMap<Key, Newest>>,
}

/// The newest document of a holding, as far as it is known.
#[derive(Default)]
struct Newest {
    signed: Option<Arc<SignedDocument>>,
    /// The file that was read last: it is read again once somebody has written it, another leader for instance, and not before.
    read: Option<Arc<PolicyFile>>,
}

/// A document that the replica that leads has signed, and what it says.
pub(crate) type Given = (Arc<SignedDocument>, PolicyDocument);

/// What is to be signed.
pub(crate) struct Wish<'a> {
    pub(crate) namespace_uid: &'a str,
    pub(crate) document: &'a PolicyDocument,
    pub(crate) digest: &'a str,
    /// How old it may become.
    pub(crate) lasts: Duration,
}

impl Signer {
    pub(crate) fn new(keys: Arc<Keys>, caches: Arc<Caches>) -> Self {
        Self { keys, caches, newest: Mutex::default() }
    }

    /// The newest key set that lies in a file of a holding and is genuine.
    pub(crate) fn newest_key_set(&self) -> u64 {
        let root = self.keys.current().root;
        let files = self.caches.policy_files.all();
        let version = |text: &str| Some(Bundle::from_json(text.as_bytes()).ok()?.keys.verify(&root).ok()?.version);
        files.iter().filter_map(|(_, file)| version(&file.text)).max().unwrap_or_default()
    }

    /// The signed document of a holding: the one that there is, as long as it says the same and is fresh, otherwise a new one. For
    /// the replica that leads: two serials for one document would look like a step back to its pods.
    pub(crate) fn sign(&self, holding: &Key, wish: &Wish<'_>, now: Timestamp) -> Result<Arc<SignedDocument>, SignError> {
        let keyring = self.keys.current();
        let uid = &wish.document.holding.uid;
        let mut all = self.newest.lock();
        let newest = all.entry(holding.clone()).or_default();
        if let Some(file) = self.unread(holding, newest) {
            let filed = self.verified(&file, wish.namespace_uid, uid).map(|(signed, _)| Arc::new(signed));
            let known = newest.signed.take().filter(|known| known.holding_uid == *uid).into_iter().chain(filed);
            *newest = Newest { signed: known.max_by_key(|known| known.serial), read: Some(file) };
        }
        let known = newest.signed.as_ref().filter(|known| known.holding_uid == *uid);
        if let Some(known) = known.filter(|known| is_fresh(known, wish, &keyring, now)) {
            return Ok(Arc::clone(known));
        }
        let serial = next_serial(known.map(|known| &**known), now);
        let lasts = lasts(wish.lasts);
        let not_after = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        let signed = SignedDocument::sign(wish.document, wish.namespace_uid, serial, now, not_after, &keyring.key)?;
        let signed = Arc::new(signed);
        newest.signed = Some(Arc::clone(&signed));
        Ok(signed)
    }

    /// The file of a holding, where it is another than the one that was read last.
    fn unread(&self, holding: &Key, newest: &Newest) -> Option<Arc<PolicyFile>> {
        let file = self.caches.policy_files.get(&file_key(holding))?;
        let known = newest.read.as_ref().is_some_and(|read| Arc::ptr_eq(read, &file));
        (!known).then_some(file)
    }

    /// Forgets a holding that is gone.
    pub(crate) fn forget(&self, holding: &Key) {
        self.newest.lock().remove(holding);
    }

    /// What the replica that leads has signed for a holding, if it has not ended: the others give it on, whatever they would say
    /// themselves. An older one than they have seen already is none: whoever may write the file has put it back there.
    pub(crate) fn given(&self, holding: &Key, namespace_uid: &str, uid: &str, now: Timestamp) -> Option<Given> {
        let (signed, document) = self.filed(holding, namespace_uid, uid)?;
        let signed = Arc::new(signed);
        let mut all = self.newest.lock();
        let newest = all.entry(holding.clone()).or_default();
        let known = newest.signed.as_ref().filter(|known| known.holding_uid == uid);
        if known.is_some_and(|known| signed.serial < known.serial) {
            return None;
        }
        newest.signed = Some(Arc::clone(&signed));
        drop(all);
        (signed.not_after > now).then_some((signed, document))
    }

    /// What lies beside the holding says what its last document was, though it may have ended meanwhile.
    pub(crate) fn last(&self, holding: &Key, namespace_uid: &str, uid: &str) -> Option<PolicyDocument> {
        self.filed(holding, namespace_uid, uid).map(|(_, document)| document)
    }

    /// What lies beside the holding, if it is genuine. A data owner may have put an older one there: its serial is then too low,
    /// and the time sees to it that the next one is not.
    fn filed(&self, holding: &Key, namespace_uid: &str, uid: &str) -> Option<(SignedDocument, PolicyDocument)> {
        let file = self.caches.policy_files.get(&file_key(holding))?;
        self.verified(&file, namespace_uid, uid)
    }

    fn verified(&self, file: &PolicyFile, namespace_uid: &str, uid: &str) -> Option<(SignedDocument, PolicyDocument)> {
        let Bundle { keys, document } = Bundle::from_json(file.text.as_bytes()).ok()?;
        // its end is looked at by whoever wants it
        let expected = Expected { namespace_uid, holding_uid: uid, serial: 0, now: Timestamp::MIN };
        let keys = keys.verify(&self.keys.current().root).ok()?;
        let said = document.verify(&keys, expected).ok()?;
        Some((document, said))
    }
}

/// The ConfigMap of a holding: not longer than a name may be, whatever the holding is called.
pub(crate) fn file_key(holding: &Key) -> Key {
    Key::new(&*holding.namespace, file_name(&holding.name))
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
