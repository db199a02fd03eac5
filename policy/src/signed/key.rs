//! Ed25519 keys, signatures and fingerprints, written as lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::message::Message;

/// A text that is no key, signature or fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not {0} lower-case hexadecimal digits")]
pub struct KeyError(usize);

macro_rules! hexadecimal {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; $bytes]);

        impl FromStr for $name {
            type Err = KeyError;

            fn from_str(text: &str) -> Result<Self, KeyError> {
                let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
                bytes.map(Self).ok_or(KeyError(2 * $bytes))
            }
        }

        impl TryFrom<String> for $name {
            type Error = KeyError;

            fn try_from(text: String) -> Result<Self, KeyError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hexadecimal! {
    /// A public key.
    PublicKey, 32
}

hexadecimal! {
    /// A signature.
    Signature, 64
}

hexadecimal! {
    /// The SHA-256 of a public key: what a pod holds of the root, and the name of a document key.
    Fingerprint, 32
}

impl PublicKey {
    /// Its name.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(self.0).into())
    }

    /// Whether the signature over the message is of this key.
    #[must_use]
    pub fn verifies(&self, message: &Message, signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message.as_bytes(), &signature.0).is_ok()
    }
}

/// A key that signs. Its debug form does not show it.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The length of a seed, in bytes.
    pub const SEED: usize = 32;

    /// The key of a seed, which must be secret and random; none where ring takes it for none.
    #[must_use]
    pub fn from_seed(seed: &[u8; Self::SEED]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(self.0.public_key().as_ref()) {
            *to = *from;
        }
        PublicKey(bytes)
    }

    /// Signs.
    #[must_use]
    pub fn sign(&self, message: &Message) -> Signature {
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(self.0.sign(message.as_bytes()).as_ref()) {
            *to = *from;
        }
        Signature(bytes)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::Purpose;

    /// RFC 8032, section 7.1, test 1: the seed and its public key.
    #[test]
    fn a_seed_gives_the_key_that_the_standard_says() {
        let seed = HEXLOWER.decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let key = SigningKey::from_seed(&seed.try_into().unwrap()).unwrap();
        assert_eq!(key.public().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        assert!(!format!("{key:?}").contains("9d61b19d"));
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let (one, other) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let message = Message::new(Purpose::Document, &[b"body"]);
        let signature = one.sign(&message);
        assert!(one.public().verifies(&message, &signature));
        assert!(!other.public().verifies(&message, &signature));
        assert!(!one.public().verifies(&Message::new(Purpose::KeySet, &[b"body"]), &signature));
    }

    #[test]
    fn texts_are_read_as_they_are_written_and_in_no_other_spelling() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap().public();
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in [key.to_string().to_uppercase(), key.to_string()[1..].to_owned(), format!("{key}0"), String::new()] {
            assert_eq!(text.parse::<PublicKey>(), Err(KeyError(64)), "{text}");
        }
    }
}
