//! What is signed: a purpose, and parts that each begin with their length, so that no two lists of parts are the same bytes and
//! no signature for one purpose counts for another.

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A policy document, by a document key.
    Document,
    /// A key set, by the root key.
    KeySet,
    /// A checkpoint, by the key of a start of a sidecar.
    Checkpoint,
}

impl Purpose {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Document => b"shekara.dev/signed/document/v1\0",
            Self::KeySet => b"shekara.dev/signed/key-set/v1\0",
            Self::Checkpoint => b"shekara.dev/signed/checkpoint/v1\0",
        }
    }
}

/// The bytes that are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// Joins the parts.
    #[must_use]
    pub fn new(purpose: Purpose, parts: &[&[u8]]) -> Self {
        let mut bytes = purpose.as_bytes().to_vec();
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn purposes_differ() {
        let of = |purpose| Message::new(purpose, &[b"a"]);
        assert_ne!(of(Purpose::Document), of(Purpose::KeySet));
        assert_ne!(of(Purpose::Document), of(Purpose::Checkpoint));
    }

    proptest! {
        #[test]
        fn other_parts_are_other_bytes(one in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4),
            other in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..4)) {
            let of = |parts: &[Vec<u8>]| Message::new(Purpose::Document, &parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(of(&one) == of(&other), one == other);
        }
    }
}
