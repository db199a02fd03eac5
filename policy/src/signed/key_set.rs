//! The key set: by which keys documents are signed, and by which authorities the policy API is recognised. The root signs it.

use serde::{Deserialize, Serialize};

use super::key::{Fingerprint, PublicKey, Signature, SigningKey};
use super::message::{Message, Purpose};
use super::{LONGEST_KEY_SET, Refusal};

/// The form of a signed key set that this crate writes and reads.
const FORM: u32 = 1;

/// The keys of the operator at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeySet {
    /// Grows with each change; an older set than the one known is refused.
    pub version: u64,
    /// The keys that sign documents: one, and while it is replaced, its successor too.
    pub document_keys: Vec<PublicKey>,
    /// The authorities that sign the policy API's certificate, in PEM: one, and while it is replaced, its successor too.
    pub authorities: Vec<String>,
}

impl KeySet {
    /// The document key of this name.
    #[must_use]
    pub fn document_key(&self, name: &Fingerprint) -> Option<&PublicKey> {
        self.document_keys.iter().find(|key| key.fingerprint() == *name)
    }
}

/// A key set as the root signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedKeySet {
    /// The form, 1.
    pub version: u32,
    /// The root key. A pod knows its fingerprint.
    pub root: PublicKey,
    /// The JSON form of a [`KeySet`], exactly as it was signed.
    pub body: String,
    /// Over all the above.
    pub signature: Signature,
}

impl SignedKeySet {
    /// Signs a key set; none where it cannot be written or is too long.
    #[must_use]
    pub fn sign(keys: &KeySet, root: &SigningKey) -> Option<Self> {
        let body = serde_json::to_string(keys).ok().filter(|body| body.len() <= LONGEST_KEY_SET)?;
        let signature = root.sign(&message(FORM, &root.public(), &body));
        Some(Self { version: FORM, root: root.public(), body, signature })
    }

    /// The key set, if the root of this fingerprint signed it.
    ///
    /// # Errors
    /// One of the refusals of key sets.
    pub fn verify(&self, root: &Fingerprint) -> Result<KeySet, Refusal> {
        if self.version != FORM || self.body.len() > LONGEST_KEY_SET {
            return Err(Refusal::KeySetUnreadable);
        }
        if self.root.fingerprint() != *root {
            return Err(Refusal::KeySetForeign);
        }
        if !self.root.verifies(&message(self.version, &self.root, &self.body), &self.signature) {
            return Err(Refusal::KeySetForged);
        }
        serde_json::from_str(&self.body).map_err(|_| Refusal::KeySetUnreadable)
    }
}

fn message(version: u32, root: &PublicKey, body: &str) -> Message {
    Message::new(Purpose::KeySet, &[&version.to_be_bytes(), root.to_string().as_bytes(), body.as_bytes()])
}
