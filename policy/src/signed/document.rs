//! A signed document: the bytes of a policy document, for which holding, in which order, from when until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::key::{Fingerprint, Signature, SigningKey};
use super::key_set::KeySet;
use super::message::{Message, Purpose};
use super::{LONGEST_BUNDLE, LONGEST_DOCUMENT, Refusal};
use crate::document::{DocumentError, PolicyDocument};

/// The form of a signed document that this crate writes and reads. Another one is refused, never guessed.
pub const FORM: u32 = 1;

/// A policy document as the operator signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedDocument {
    /// The form, [`FORM`].
    pub version: u32,
    /// The UID of the namespace that it is for.
    pub namespace_uid: String,
    /// The UID of the holding that it is for.
    pub holding_uid: String,
    /// Grows with each document of the holding.
    pub serial: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// The first instant at which it is no longer obeyed.
    pub not_after: Timestamp,
    /// The name of the key that signed it.
    pub key: Fingerprint,
    /// The JSON form of a [`PolicyDocument`], exactly as it was signed.
    pub body: String,
    /// Over all the above.
    pub signature: Signature,
}

/// A document that cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It cannot be written.
    #[error("the document cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
    /// It is too long to be handed over.
    #[error("the document has {0} bytes, more than the {LONGEST_DOCUMENT} that a pod reads")]
    TooLong(usize),
}

/// What the reader of a document expects of it.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The UID of the pod's namespace.
    pub namespace_uid: &'a str,
    /// The UID of the holding.
    pub holding_uid: &'a str,
    /// The lowest serial that is accepted.
    pub serial: u64,
    /// The time.
    pub now: Timestamp,
}

impl SignedDocument {
    /// How many bytes a document takes where it is handed out: as JSON in a string of JSON. One that cannot be written takes too many.
    #[must_use]
    pub fn length(document: &PolicyDocument) -> usize {
        let body = serde_json::to_string(document);
        body.and_then(|body| serde_json::to_string(&body)).map_or(usize::MAX, |escaped| escaped.len())
    }

    /// Signs a document.
    ///
    /// # Errors
    /// When it cannot be written, or is too long to be read by anybody.
    pub fn sign(
        document: &PolicyDocument,
        namespace_uid: &str,
        serial: u64,
        issued_at: Timestamp,
        not_after: Timestamp,
        key: &SigningKey,
    ) -> Result<Self, SignError> {
        let length = Self::length(document);
        if length > LONGEST_DOCUMENT {
            return Err(SignError::TooLong(length));
        }
        let body = serde_json::to_string(document)?;
        let mut signed = Self {
            version: FORM,
            namespace_uid: namespace_uid.to_owned(),
            holding_uid: document.holding.uid.clone(),
            serial,
            issued_at,
            not_after,
            key: key.public().fingerprint(),
            body,
            // stands for nothing until the next line
            signature: key.sign(&Message::new(Purpose::Document, &[])),
        };
        signed.signature = key.sign(&signed.message());
        Ok(signed)
    }

    /// Whether JSON is a signed document at all: what is not says so by a name of its own, whatever else is wrong with it.
    ///
    /// # Errors
    /// [`Refusal::UnknownVersion`], [`Refusal::Unsigned`] or [`Refusal::Unreadable`].
    pub fn look(json: &Value) -> Result<(), Refusal> {
        let Some(fields) = json.as_object() else { return Err(Refusal::Unreadable) };
        match fields.get("version").and_then(Value::as_u64) {
            None => Err(Refusal::Unreadable),
            Some(version) if version != u64::from(FORM) => Err(Refusal::UnknownVersion),
            Some(_) if fields.get("signature").is_none_or(|signature| signature.is_null() || signature == "") => {
                Err(Refusal::Unsigned)
            }
            Some(_) => Ok(()),
        }
    }

    /// The document, if it is genuine, meant for this holding, no older than what is known, and not past its end.
    ///
    /// # Errors
    /// One of the refusals of documents.
    pub fn verify(&self, keys: &KeySet, expected: Expected<'_>) -> Result<PolicyDocument, Refusal> {
        if self.version != FORM {
            return Err(Refusal::UnknownVersion);
        }
        if self.body.len() > LONGEST_BUNDLE {
            return Err(Refusal::Unreadable);
        }
        let key = keys.document_key(&self.key).ok_or(Refusal::UnknownKey)?;
        if !key.verifies(&self.message(), &self.signature) {
            return Err(Refusal::Forged);
        }
        if self.namespace_uid != expected.namespace_uid || self.holding_uid != expected.holding_uid {
            return Err(Refusal::Foreign);
        }
        if self.serial < expected.serial {
            return Err(Refusal::RolledBack);
        }
        if expected.now >= self.not_after {
            return Err(Refusal::Stale);
        }
        let document = PolicyDocument::from_json(self.body.as_bytes()).map_err(|problem| match problem {
            DocumentError::Version(_) => Refusal::UnknownVersion,
            DocumentError::Unreadable(_) => Refusal::Unreadable,
        })?;
        if document.holding.uid == self.holding_uid { Ok(document) } else { Err(Refusal::Foreign) }
    }

    /// The digest of the body, as [`PolicyDocument::digest`] gives it.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(&self.body)))
    }

    fn message(&self) -> Message {
        let parts: [&[u8]; 8] = [
            &self.version.to_be_bytes(),
            self.namespace_uid.as_bytes(),
            self.holding_uid.as_bytes(),
            &self.serial.to_be_bytes(),
            &self.issued_at.as_nanosecond().to_be_bytes(),
            &self.not_after.as_nanosecond().to_be_bytes(),
            &self.key.to_string().into_bytes(),
            self.body.as_bytes(),
        ];
        Message::new(Purpose::Document, &parts)
    }
}
