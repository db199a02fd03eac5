//! Signed documents, as a pod finds them in its files.

use jiff::{SignedDuration, Timestamp};

use crate::signed::{Accepted, Bundle, KeySet, Message, Purpose, SignedDocument, SignedKeySet, SigningKey, Stamp, Trust};

const NAMESPACE: &str = "namespace-1";
const HOLDING: &str = "uid-1";
const SERIAL: u64 = 10;

/// What nobody signed is never obeyed, whatever else is done to a file; and what the operator signed is obeyed or refused, never
/// guessed. A first byte of `{` begins a file; any other one, a body that the operator signs.
pub fn signed_bundle(bytes: &[u8]) {
    match bytes {
        [b'{', ..] => forged(bytes),
        [_, body @ ..] => genuine(body),
        [] => {}
    }
}

fn forged(json: &[u8]) {
    let Some((bundle, accepted)) = obeyed(json) else { return };
    assert_eq!(bundle.to_json().unwrap().as_bytes(), json, "there is a second spelling");
    // the one document that these keys ever signed outside this file is the seed's
    let seed = Bundle::from_json(include_bytes!("../../../fuzz/seeds/signed_bundle/genuine.json")).unwrap();
    assert_eq!(bundle, seed, "something else than what was signed is obeyed");
    assert_eq!(accepted.held[0].serial, SERIAL);
}

/// What a pod obeys of a file, if anything.
pub(super) fn obeyed(json: &[u8]) -> Option<(Bundle, Accepted)> {
    let bundle = Bundle::from_json(json).ok()?;
    let mut trust = trust();
    trust.take_keys(&bundle.keys).ok()?;
    let accepted = trust.take(std::slice::from_ref(&bundle.document), now()).ok()?;
    Some((bundle, accepted))
}

fn genuine(body: &[u8]) {
    let Ok(body) = std::str::from_utf8(body) else { return };
    let mut trust = trust();
    let keys = KeySet { version: 3, document_keys: vec![key().public()], authorities: vec!["PEM".into()] };
    trust.take_keys(&SignedKeySet::sign(&keys, &root()).unwrap()).unwrap();
    let signed = |serial| sign(body, serial);
    if let Ok(accepted) = trust.take(&[signed(SERIAL + 1)], now()) {
        assert_eq!(serde_json::from_str::<crate::PolicyDocument>(body).unwrap(), accepted.documents[0]);
        assert_eq!(accepted.documents[0].holding.uid, HOLDING);
        assert!(trust.take(&[signed(SERIAL)], now()).is_err(), "a serial fell");
        assert!(trust.take(&[signed(SERIAL + 2)], now() + SignedDuration::from_hours(2)).is_err(), "it is past its end");
        assert!(trust.take(&[signed(SERIAL + 2)], now()).is_ok());
    }
}

/// Signs whatever this is, as no operator would.
fn sign(body: &str, serial: u64) -> SignedDocument {
    let (issued_at, not_after, fingerprint) = (now(), now() + SignedDuration::from_hours(1), key().public().fingerprint());
    let name = fingerprint.to_string();
    let parts: [&[u8]; 8] = [
        &1u32.to_be_bytes(),
        NAMESPACE.as_bytes(),
        HOLDING.as_bytes(),
        &serial.to_be_bytes(),
        &issued_at.as_nanosecond().to_be_bytes(),
        &not_after.as_nanosecond().to_be_bytes(),
        name.as_bytes(),
        body.as_bytes(),
    ];
    let signature = key().sign(&Message::new(Purpose::Document, &parts));
    SignedDocument {
        version: 1,
        namespace_uid: NAMESPACE.into(),
        holding_uid: HOLDING.into(),
        serial,
        issued_at,
        not_after,
        key: fingerprint,
        body: body.into(),
        signature,
    }
}

fn trust() -> Trust {
    let stamp = Stamp { name: "street".into(), uid: HOLDING.into(), serial: SERIAL };
    Trust::new(root().public().fingerprint(), NAMESPACE.into(), vec![stamp], 3)
}

fn root() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[2; 32]).unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T10:00:00Z".parse().unwrap()
}
