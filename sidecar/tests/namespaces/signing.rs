//! The keys of the test operator, and documents as it signs them.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::{SignedDuration, Timestamp};
use shekara_policy::PolicyDocument;
use shekara_policy::exchange::PolicyEvent;
use shekara_policy::signed::{Bundle, KeySet, SignedDocument, SignedKeySet, SigningKey};

use crate::authority::authority;
use crate::policy_api::INTERVAL;

/// The UID of the test pod's namespace.
pub(crate) const NAMESPACE_UID: &str = "namespace-of-city";

/// The root key.
pub(crate) fn root() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).unwrap()
}

/// The document key at first.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[2; 32]).unwrap()
}

/// The one that comes after it.
pub(crate) fn successor() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

/// A key set.
pub(crate) fn key_set(version: u64, keys: &[&SigningKey], authorities: &[&str]) -> SignedKeySet {
    let document_keys = keys.iter().map(|key| key.public()).collect();
    let authorities = authorities.iter().map(ToString::to_string).collect();
    SignedKeySet::sign(&KeySet { version, document_keys, authorities }, &root()).unwrap()
}

/// The key set at first.
pub(crate) fn first_key_set() -> SignedKeySet {
    key_set(1, &[&key()], &[&authority().pem])
}

/// A document under a serial that was never used, for an hour.
pub(crate) fn sign(document: &PolicyDocument) -> SignedDocument {
    static SERIAL: AtomicU64 = AtomicU64::new(100);
    sign_with(document, SERIAL.fetch_add(1, Ordering::Relaxed), SignedDuration::from_hours(1), &key())
}

/// A document under this serial, for this long.
pub(crate) fn sign_with(document: &PolicyDocument, serial: u64, lasts: SignedDuration, key: &SigningKey) -> SignedDocument {
    let now = Timestamp::now();
    SignedDocument::sign(document, NAMESPACE_UID, serial, now, now + lasts, key).unwrap()
}

/// An event with the first key set.
pub(crate) fn event(documents: &[PolicyDocument]) -> PolicyEvent {
    event_of(first_key_set(), documents.iter().map(sign).collect())
}

/// An event.
pub(crate) fn event_of(keys: SignedKeySet, documents: Vec<SignedDocument>) -> PolicyEvent {
    PolicyEvent { keys, documents, checkpoint_interval: INTERVAL }
}

/// The line of an event, without its end.
pub(crate) fn line(event: &PolicyEvent) -> Vec<u8> {
    serde_json::to_vec(event).unwrap()
}

/// What lies in the file of a holding.
pub(crate) fn bundle(keys: SignedKeySet, document: SignedDocument) -> String {
    Bundle { keys, document }.to_json().unwrap()
}
