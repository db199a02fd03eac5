//! Signed documents: what a pod obeys, whoever handed it over.
//!
//! For life a pod holds one thing, the digest of the root key. The root signs a [`KeySet`]; a key of the set signs a
//! [`SignedDocument`] over the very bytes of its body, its namespace, its holding, its serial and its times. [`Trust`] is what a
//! pod knows of all that, and takes or refuses what it is given. Nothing here reads a clock or a file.
//!
//! The signatures are Ed25519 by ring: every program of the workspace has it already, as the cryptography of its TLS.

mod document;
mod key;
mod key_set;
mod message;
mod trust;

pub use document::{Expected, FORM, SignError, SignedDocument};
pub use key::{Fingerprint, KeyError, PublicKey, Signature, SigningKey};
pub use key_set::{KeySet, SignedKeySet};
pub use message::{Message, Purpose};
pub use trust::{Accepted, Held, Stamp, Trust};

use serde::{Deserialize, Serialize};

use crate::reason::Reason;

/// The longest [`Bundle`] in bytes, as its JSON form: what a ConfigMap, which takes a mebibyte, holds of one holding.
pub const LONGEST_BUNDLE: usize = 768 * 1024;

/// The longest document in bytes, as a string within JSON ([`SignedDocument::length`]): what a [`Bundle`] leaves beside the longest
/// key set, of which each byte may take two, and signatures.
pub const LONGEST_DOCUMENT: usize = LONGEST_BUNDLE - 2 * LONGEST_KEY_SET - 4096;

/// The longest body of a key set, in bytes.
pub const LONGEST_KEY_SET: usize = 32 * 1024;

/// Why something signed is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A holding of the pod has no document.
    #[error("a holding of the pod has no document")]
    Missing,
    /// Cut off, too long, or not in its form.
    #[error("the document is not in its form")]
    Unreadable,
    /// Without a signature.
    #[error("the document is not signed")]
    Unsigned,
    /// Of another form.
    #[error("the document is of an unknown version")]
    UnknownVersion,
    /// By a key that is not in the key set.
    #[error("the document is signed with a key that is not in the key set")]
    UnknownKey,
    /// The signature is over something else.
    #[error("the signature of the document is not genuine")]
    Forged,
    /// For another namespace or holding.
    #[error("the document is of another namespace or holding")]
    Foreign,
    /// Older than one that was seen.
    #[error("the document is older than one that was seen")]
    RolledBack,
    /// Past its end.
    #[error("the document is past its end")]
    Stale,
    /// The key set is cut off, too long, or not in its form.
    #[error("the key set is not in its form")]
    KeySetUnreadable,
    /// The key set is of another root.
    #[error("the key set is of another root key")]
    KeySetForeign,
    /// The key set is not what the root signed.
    #[error("the signature of the key set is not genuine")]
    KeySetForged,
    /// The key set is older than one that was seen.
    #[error("the key set is older than one that was seen")]
    KeySetRolledBack,
}

impl Refusal {
    /// The stable reason.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::DocumentMissing,
            Self::Unreadable => Reason::DocumentUnreadable,
            Self::Unsigned => Reason::DocumentUnsigned,
            Self::UnknownVersion => Reason::DocumentUnknownVersion,
            Self::UnknownKey => Reason::DocumentUnknownKey,
            Self::Forged => Reason::DocumentForged,
            Self::Foreign => Reason::DocumentForeign,
            Self::RolledBack => Reason::DocumentRolledBack,
            Self::Stale => Reason::DocumentStale,
            Self::KeySetUnreadable => Reason::KeySetUnreadable,
            Self::KeySetForeign => Reason::KeySetForeign,
            Self::KeySetForged => Reason::KeySetForged,
            Self::KeySetRolledBack => Reason::KeySetRolledBack,
        }
    }
}

/// The signed document of a holding beside the keys that it is verified with: what lies in the holding's ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bundle {
    /// The key set.
    pub keys: SignedKeySet,
    /// The document.
    pub document: SignedDocument,
}

impl Bundle {
    /// Reads the JSON form, and no other spelling of it than [`Self::to_json`] gives: whatever was touched is refused.
    ///
    /// # Errors
    /// [`Refusal::Unreadable`], [`Refusal::Unsigned`] or [`Refusal::UnknownVersion`]. Nothing is verified yet.
    pub fn from_json(json: &[u8]) -> Result<Self, Refusal> {
        if json.len() > LONGEST_BUNDLE {
            return Err(Refusal::Unreadable);
        }
        #[derive(Deserialize)]
        struct Shape {
            document: serde_json::Value,
        }
        let Shape { document } = serde_json::from_slice(json).map_err(|_| Refusal::Unreadable)?;
        SignedDocument::look(&document)?;
        let bundle: Self = serde_json::from_slice(json).map_err(|_| Refusal::Unreadable)?;
        if bundle.to_json().is_some_and(|canonical| canonical.as_bytes() == json) { Ok(bundle) } else { Err(Refusal::Unreadable) }
    }

    /// The JSON form; absent where it would be longer than [`LONGEST_BUNDLE`].
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        // no value of the type has a form that JSON lacks
        serde_json::to_string(self).ok().filter(|json| json.len() <= LONGEST_BUNDLE)
    }
}

#[cfg(test)]
mod tests;
