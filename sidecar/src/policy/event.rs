//! One event of the policy stream, read as strictly as documents must be.

use serde::Deserialize;
use shekara_policy::PolicyDocument;
use shekara_policy::document::{DocumentError, VERSION};
use shekara_policy::exchange::PolicyEvent;

/// The documents of an event, each with its digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) documents: Vec<PolicyDocument>,
    pub(super) digests: Vec<String>,
    /// In seconds.
    pub(super) checkpoint_interval: u32,
}

/// An event that cannot be obeyed. What was in force before stays in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventError {
    /// Not the JSON form of an event, or one with a field that this version does not know.
    #[error("the policy event cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A document that cannot be obeyed.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Event {
    /// Reads a line: all documents, or none.
    pub(super) fn read(line: &[u8]) -> Result<Self, EventError> {
        // A form of another version may read as this one's and mean something else, so the versions are looked at first.
        let Versions { documents } = serde_json::from_slice(line)?;
        if let Some(Version { version }) = documents.into_iter().find(|document| document.version != VERSION) {
            return Err(DocumentError::Version(version).into());
        }
        let PolicyEvent { documents, checkpoint_interval } = serde_json::from_slice(line)?;
        let digests = documents.iter().map(PolicyDocument::digest).collect::<Result<_, _>>()?;
        Ok(Self { documents, digests, checkpoint_interval })
    }
}

#[derive(Deserialize)]
struct Versions {
    documents: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({"documents": [crate::flow::tests::document()], "checkpointInterval": 30})
    }

    fn read(event: &Value) -> Result<Event, EventError> {
        Event::read(event.to_string().as_bytes())
    }

    #[test]
    fn an_event_has_each_document_with_its_digest() {
        let event = read(&event()).unwrap();
        assert_eq!(event.documents, [crate::flow::tests::document()]);
        assert_eq!(event.digests, [crate::flow::tests::document().digest().unwrap()]);
        assert_eq!(event.checkpoint_interval, 30);
        assert!(read(&json!({"documents": [], "checkpointInterval": 30})).unwrap().documents.is_empty());
    }

    #[test]
    fn another_version_is_refused_by_name_even_if_it_reads_as_this_one() {
        let mut other = event();
        other["documents"][0]["version"] = 2.into();
        assert!(matches!(read(&other), Err(EventError::Document(DocumentError::Version(2)))));
        other["documents"][0]["new"] = true.into();
        assert!(matches!(read(&other), Err(EventError::Document(DocumentError::Version(2)))));
    }

    #[test]
    fn unknown_fields_and_other_texts_are_refused() {
        for pointer in ["", "/documents/0", "/documents/0/cluster"] {
            let mut altered = event();
            altered.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("allowAll".into(), true.into());
            assert!(read(&altered).unwrap_err().to_string().contains("allowAll"), "{pointer}");
        }
        for text in ["", "{}", "null", "[]", "{\"documents\": []}"] {
            assert!(Event::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
