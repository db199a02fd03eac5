//! One event of the policy stream, read as strictly as documents must be.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use shekara_policy::exchange::PolicyEvent;
use shekara_policy::signed::{Accepted, Refusal, SignedDocument, Trust};

/// An event that cannot be obeyed. What was in force before stays in force.
#[derive(Debug, thiserror::Error)]
#[error("the policy event is refused: {refusal}{}", .detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default())]
pub(super) struct EventError {
    pub(super) refusal: Refusal,
    detail: Option<serde_json::Error>,
}

impl From<Refusal> for EventError {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, detail: None }
    }
}

impl From<serde_json::Error> for EventError {
    fn from(error: serde_json::Error) -> Self {
        Self { refusal: Refusal::Unreadable, detail: Some(error) }
    }
}

/// Takes a line: all its documents, or none. Gives them and how often the operator wants a checkpoint, in seconds.
pub(super) fn take(line: &[u8], trust: &mut Trust, now: Timestamp) -> Result<(Accepted, u32), EventError> {
    // a form of another version may read as this one's and mean something else, so the versions are looked at first
    let Shape { documents } = serde_json::from_slice(line)?;
    documents.iter().try_for_each(SignedDocument::look)?;
    let PolicyEvent { keys, documents, checkpoint_interval } = serde_json::from_slice(line)?;
    trust.take_keys(&keys)?;
    Ok((trust.take(&documents, now)?, checkpoint_interval))
}

#[derive(Deserialize)]
struct Shape {
    documents: Vec<Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shekara_policy::signed::{KeySet, SignedKeySet, SigningKey, Stamp};

    use super::*;

    fn trust() -> Trust {
        let stamp = Stamp { name: "street".into(), uid: "1".into(), serial: 1 };
        Trust::new(root().public().fingerprint(), "n".into(), vec![stamp], 1)
    }

    fn root() -> SigningKey {
        SigningKey::from_seed(&[1; 32]).unwrap()
    }

    fn signed(document: &shekara_policy::PolicyDocument) -> Value {
        let key = SigningKey::from_seed(&[2; 32]).unwrap();
        serde_json::to_value(SignedDocument::sign(document, "n", 1, Timestamp::UNIX_EPOCH, Timestamp::MAX, &key).unwrap())
            .unwrap()
    }

    fn event() -> Value {
        let key = SigningKey::from_seed(&[2; 32]).unwrap();
        let keys = KeySet { version: 1, document_keys: vec![key.public()], authorities: vec![] };
        let keys = SignedKeySet::sign(&keys, &root()).unwrap();
        json!({"keys": keys, "documents": [signed(&crate::flow::tests::document())], "checkpointInterval": 30})
    }

    fn read(event: &Value) -> Result<(Accepted, u32), EventError> {
        take(event.to_string().as_bytes(), &mut trust(), Timestamp::now())
    }

    #[test]
    fn an_event_has_each_document_with_its_digest() {
        let (accepted, interval) = read(&event()).unwrap();
        assert_eq!(accepted.documents, [crate::flow::tests::document()]);
        assert_eq!((accepted.held[0].digest.clone(), interval), (crate::flow::tests::document().digest().unwrap(), 30));
        let mut none = event();
        none["documents"] = json!([]);
        assert!(read(&none).unwrap().0.documents.is_empty());
    }

    #[test]
    fn another_version_is_refused_by_name_even_if_it_reads_as_this_one() {
        let mut other = event();
        other["documents"][0]["version"] = 2.into();
        assert_eq!(read(&other).unwrap_err().refusal, Refusal::UnknownVersion);
        other["documents"][0]["new"] = true.into();
        assert_eq!(read(&other).unwrap_err().refusal, Refusal::UnknownVersion);
        let mut body = crate::flow::tests::document();
        body.version = 2;
        other["documents"][0] = signed(&body);
        assert_eq!(read(&other).unwrap_err().refusal, Refusal::UnknownVersion);
    }

    #[test]
    fn unknown_fields_and_other_texts_are_refused() {
        for pointer in ["", "/documents/0", "/keys"] {
            let mut altered = event();
            altered.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("allowAll".into(), true.into());
            assert!(read(&altered).unwrap_err().to_string().contains("allowAll"), "{pointer}");
        }
        for text in ["", "{}", "null", "[]", "{\"documents\": []}"] {
            assert!(take(text.as_bytes(), &mut trust(), Timestamp::now()).is_err(), "{text}");
        }
        let mut unsigned = event();
        unsigned["documents"][0] = serde_json::to_value(crate::flow::tests::document()).unwrap();
        assert_eq!(read(&unsigned).unwrap_err().refusal, Refusal::Unsigned);
    }
}
