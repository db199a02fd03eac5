//! Private keys in the forms in which others write them. No input or output.

use rcgen::KeyPair;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

// Algorithms as PKCS#8 names them: a sequence of an identifier and its parameter.
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";

const VERSION: &[u8] = b"\x02\x01\x00";
const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;

/// The first key of a text in PEM, where it is one that the operator can sign with: RSA, ECDSA or Ed25519 in PKCS#8, RSA in PKCS#1,
/// ECDSA in SEC1. The cryptography in use reads PKCS#8 alone, so the others are wrapped into it.
pub(super) fn read(pem: &[u8]) -> Option<KeyPair> {
    let candidates = match PrivateKeyDer::from_pem_slice(pem).ok()? {
        PrivateKeyDer::Pkcs8(key) => vec![key.secret_pkcs8_der().to_vec()],
        PrivateKeyDer::Pkcs1(key) => vec![wrapped(RSA, key.secret_pkcs1_der())?],
        // the curve stands in the key as an option, and the wrong one is refused when the key is read
        PrivateKeyDer::Sec1(key) => vec![wrapped(P256, key.secret_sec1_der())?, wrapped(P384, key.secret_sec1_der())?],
        _ => return None,
    };
    candidates.into_iter().find_map(|key| KeyPair::try_from(&PrivatePkcs8KeyDer::from(key)).ok())
}

/// A key of this algorithm as PKCS#8.
fn wrapped(algorithm: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    element(SEQUENCE, &[VERSION, algorithm, &element(OCTET_STRING, key)?].concat())
}

/// An element of DER: its tag, its length and what is in it. None is longer than two bytes of length can say.
fn element(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    let head = match (high, low) {
        (0, 0..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    Some([head.as_slice(), content].concat())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, PublicKeyData as _};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(include_str!("private_key/rsa-pkcs8.pem"))]
    #[case(include_str!("private_key/rsa-pkcs1.pem"))]
    #[case(include_str!("private_key/p256-pkcs8.pem"))]
    #[case(include_str!("private_key/p256-sec1.pem"))]
    #[case(include_str!("private_key/p384-sec1.pem"))]
    #[case(include_str!("private_key/ed25519-pkcs8.pem"))]
    fn what_openssl_and_cert_manager_write_signs(#[case] pem: &str) {
        let key = read(pem.as_bytes()).unwrap();
        assert!(CertificateParams::default().self_signed(&key).is_ok());
    }

    #[test]
    fn one_key_is_the_same_in_every_form() {
        let info = |pem: &str| read(pem.as_bytes()).unwrap().subject_public_key_info();
        assert_eq!(info(include_str!("private_key/rsa-pkcs1.pem")), info(include_str!("private_key/rsa-pkcs8.pem")));
        assert_eq!(info(include_str!("private_key/p256-sec1.pem")), info(include_str!("private_key/p256-pkcs8.pem")));
    }

    #[rstest]
    #[case(include_str!("private_key/p521-sec1.pem"))]
    #[case(include_str!("private_key/encrypted.pem"))]
    #[case("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")]
    #[case("no key")]
    fn what_nobody_here_can_sign_with_is_none(#[case] pem: &str) {
        assert!(read(pem.as_bytes()).is_none());
    }

    #[test]
    fn lengths_are_those_of_der() {
        let head = |length: usize| element(4, &vec![0; length]).map(|element| element[..element.len() - length].to_vec());
        assert_eq!([head(127), head(128), head(256)], [Some(vec![4, 127]), Some(vec![4, 0x81, 128]), Some(vec![4, 0x82, 1, 0])]);
        assert_eq!(head(0x1_0000), None);
    }
}
