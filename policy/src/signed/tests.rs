use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::document::{InClusterRoute, PolicyDocument};
use jiff::{SignedDuration, Timestamp};

const NAMESPACE: &str = "namespace-1";

fn root() -> SigningKey {
    SigningKey::from_seed(&[1; 32]).unwrap()
}

fn document_key() -> SigningKey {
    SigningKey::from_seed(&[2; 32]).unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T10:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

fn keys(version: u64, document_keys: &[&SigningKey]) -> SignedKeySet {
    let document_keys = document_keys.iter().map(|key| key.public()).collect();
    SignedKeySet::sign(&KeySet { version, document_keys, authorities: vec!["PEM".into()] }, &root()).unwrap()
}

fn body(name: &str) -> PolicyDocument {
    let mut document = crate::decide::tests::document("cameras", name);
    document.holding.uid = format!("uid-of-{name}");
    document
}

fn signed(name: &str, serial: u64) -> SignedDocument {
    SignedDocument::sign(&body(name), NAMESPACE, serial, now(), later(3600), &document_key()).unwrap()
}

fn trust(stamps: &[(&str, u64)]) -> Trust {
    let stamp = |(name, serial): &(&str, u64)| Stamp { name: (*name).into(), uid: format!("uid-of-{name}"), serial: *serial };
    Trust::new(root().public().fingerprint(), NAMESPACE.into(), stamps.iter().map(stamp).collect(), 3)
}

/// A pod in `street` that knows the key set 5.
fn knowing() -> Trust {
    let mut trust = trust(&[("street", 10)]);
    assert_eq!(trust.take_keys(&keys(5, &[&document_key()])), Ok(true));
    trust
}

fn bundle() -> Bundle {
    Bundle { keys: keys(5, &[&document_key()]), document: signed("street", 10) }
}

/// What a pod makes of a file.
fn read(json: &[u8], trust: &mut Trust, at: Timestamp) -> Result<Accepted, Refusal> {
    let bundle = Bundle::from_json(json)?;
    trust.take_keys(&bundle.keys)?;
    trust.take(&[bundle.document], at)
}

#[test]
fn what_was_signed_is_obeyed_byte_for_byte() {
    let json = bundle().to_json().unwrap();
    let accepted = read(json.as_bytes(), &mut trust(&[("street", 10)]), now()).unwrap();
    assert_eq!(accepted.documents, [body("street")]);
    assert_eq!((accepted.held[0].serial, accepted.held[0].not_after), (10, later(3600)));
    assert_eq!(accepted.held[0].digest, body("street").digest().unwrap());
}

#[test]
fn each_fault_has_a_name_of_its_own() {
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap();
    let of = |document: SignedDocument| knowing().take(&[document], now());
    let with = |change: &dyn Fn(&mut SignedDocument)| {
        let mut document = signed("street", 10);
        change(&mut document);
        of(document)
    };
    let sign = |namespace: &str, document: &PolicyDocument, key: &SigningKey| {
        of(SignedDocument::sign(document, namespace, 10, now(), later(3600), key).unwrap())
    };
    assert_eq!(with(&|document| document.version = 2), Err(Refusal::UnknownVersion));
    assert_eq!(with(&|document| document.serial = 11), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.not_after = later(7200)), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.issued_at = later(1)), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.body.push(' ')), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.namespace_uid = "other".into()), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.holding_uid = "other".into()), Err(Refusal::Forged));
    assert_eq!(with(&|document| document.key = stranger.public().fingerprint()), Err(Refusal::UnknownKey));
    assert_eq!(sign(NAMESPACE, &body("street"), &stranger), Err(Refusal::UnknownKey));
    assert_eq!(sign("other", &body("street"), &document_key()), Err(Refusal::Foreign));
    assert_eq!(sign(NAMESPACE, &body("other"), &document_key()), Err(Refusal::Missing));
    let mut again = body("street");
    again.holding.uid = "made again".into();
    assert_eq!(sign(NAMESPACE, &again, &document_key()), Err(Refusal::Foreign));
    let mut unknown = body("street");
    unknown.version = 2;
    assert_eq!(sign(NAMESPACE, &unknown, &document_key()), Err(Refusal::UnknownVersion));
    assert_eq!(of(signed("street", 9)), Err(Refusal::RolledBack));
    assert_eq!(knowing().take(&[signed("street", 10)], later(3600)), Err(Refusal::Stale));
    knowing().take(&[signed("street", 10)], later(3599)).unwrap();
}

#[test]
fn a_document_that_is_not_signed_says_so() {
    let mut json = serde_json::to_value(bundle()).unwrap();
    json["document"] = serde_json::to_value(body("street")).unwrap();
    assert_eq!(Bundle::from_json(json.to_string().as_bytes()), Err(Refusal::Unsigned));
    json["document"]["version"] = 2.into();
    assert_eq!(Bundle::from_json(json.to_string().as_bytes()), Err(Refusal::UnknownVersion));
    assert_eq!(Bundle::from_json(&vec![b' '; LONGEST_BUNDLE + 1]), Err(Refusal::Unreadable));
}

#[test]
fn the_longest_document_fits_into_a_bundle_and_a_longer_one_is_not_signed() {
    let listing = |count: u32| {
        let mut document = body("street");
        let service = InClusterRoute { namespace: "archive".into(), service: "vectors".into(), data: [].into(), covered: false };
        document.in_cluster =
            (0..count).map(|n| InClusterRoute { service: format!("vectors-{n:06}"), ..service.clone() }).collect();
        document
    };
    let sign = |document: &PolicyDocument| SignedDocument::sign(document, NAMESPACE, 9, now(), later(3600), &document_key());
    let each = SignedDocument::length(&listing(2)) - SignedDocument::length(&listing(1));
    let most = u32::try_from((LONGEST_DOCUMENT - SignedDocument::length(&listing(0))) / each).unwrap();
    let bundle = Bundle { document: sign(&listing(most)).unwrap(), ..bundle() };
    assert_eq!(Bundle::from_json(bundle.to_json().unwrap().as_bytes()), Ok(bundle));
    assert!(matches!(sign(&listing(most + 2)), Err(SignError::TooLong(_))));
}

#[test]
fn key_sets_grow_and_are_of_the_one_root() {
    let mut trust = knowing();
    let successor = SigningKey::from_seed(&[3; 32]).unwrap();
    assert_eq!(trust.take_keys(&keys(5, &[&document_key()])), Ok(false));
    assert_eq!(trust.take_keys(&keys(5, &[&successor])), Err(Refusal::KeySetRolledBack));
    assert_eq!(trust.take_keys(&keys(4, &[&document_key()])), Err(Refusal::KeySetRolledBack));
    let mut foreign = keys(9, &[&document_key()]);
    foreign.root = successor.public();
    assert_eq!(trust.take_keys(&foreign), Err(Refusal::KeySetForeign));
    let mut forged = keys(9, &[&document_key()]);
    forged.body = forged.body.replace("\"version\":9", "\"version\":8");
    assert_eq!(trust.take_keys(&forged), Err(Refusal::KeySetForged));
    let set = KeySet { version: 9, document_keys: vec![successor.public()], authorities: vec![] };
    let impostor = SignedKeySet::sign(&set, &successor).unwrap();
    assert_eq!(trust.take_keys(&impostor), Err(Refusal::KeySetForeign));
    assert_eq!(trust.keys().unwrap().version, 5);
    let mut fresh = super::tests::trust(&[("street", 10)]);
    assert_eq!(
        fresh.take_keys(&keys(2, &[&document_key()])),
        Err(Refusal::KeySetRolledBack),
        "older than the one it was admitted with"
    );
    // while a key is replaced, documents of both count, and afterwards those of the new one alone
    assert_eq!(trust.take_keys(&keys(6, &[&document_key(), &successor])), Ok(true));
    trust.take(&[signed("street", 10)], now()).unwrap();
    let by_successor = SignedDocument::sign(&body("street"), NAMESPACE, 11, now(), later(60), &successor).unwrap();
    trust.take(std::slice::from_ref(&by_successor), now()).unwrap();
    assert_eq!(trust.take_keys(&keys(7, &[&successor])), Ok(true));
    trust.take(&[by_successor], now()).unwrap();
    assert_eq!(trust.take(&[signed("street", 12)], now()), Err(Refusal::UnknownKey));
}

#[test]
fn what_was_seen_is_not_undone_and_a_refusal_changes_nothing() {
    let mut trust = knowing();
    trust.take(&[signed("street", 20)], now()).unwrap();
    assert_eq!(trust.take(&[signed("street", 19)], now()), Err(Refusal::RolledBack));
    trust.take(&[signed("street", 20)], now()).unwrap();
    let mut other = body("street");
    other.routes.clear();
    let other = SignedDocument::sign(&other, NAMESPACE, 20, now(), later(60), &document_key()).unwrap();
    assert_eq!(trust.take(&[other], now()), Err(Refusal::RolledBack), "two documents with one serial");
    // the first of these is newer and the second forged: neither counts
    let mut forged = signed("cars", 1);
    forged.serial = 2;
    assert_eq!(trust.take(&[signed("street", 30), forged], now()), Err(Refusal::Forged));
    trust.take(&[signed("street", 21)], now()).unwrap();
}

#[test]
fn every_stamped_holding_has_a_document_or_none_has() {
    let mut trust = trust(&[("street", 1), ("cars", 1)]);
    assert_eq!(trust.take(&[signed("street", 1)], now()), Err(Refusal::UnknownKey), "without a key set there is no document");
    trust.take_keys(&keys(5, &[&document_key()])).unwrap();
    assert_eq!(trust.take(&[signed("street", 1)], now()), Err(Refusal::Missing));
    assert_eq!(trust.take(&[signed("street", 1), signed("cars", 1), signed("later", 1)], now()).unwrap().documents.len(), 3);
    assert_eq!(trust.take(&[], now()).unwrap().documents.len(), 0);
}

#[rstest]
#[case("street=u1:7", Some(("street", "u1", 7)))]
#[case("=u1:7", None)]
#[case("street=:7", None)]
#[case("street=u1", None)]
#[case("street=u1:-1", None)]
#[case("", None)]
fn stamps_are_read_as_they_are_written(#[case] text: &str, #[case] read: Option<(&str, &str, u64)>) {
    let expected = read.map(|(name, uid, serial)| Stamp { name: name.into(), uid: uid.into(), serial });
    assert_eq!(text.parse().ok(), expected);
    assert!(expected.is_none_or(|stamp: Stamp| stamp.to_string() == text));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_changed_byte_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut json = bundle().to_json().unwrap().into_bytes();
        let at = at.index(json.len());
        json[at] ^= 1 << bit;
        prop_assert!(read(&json, &mut trust(&[("street", 10)]), now()).is_err(), "{}", String::from_utf8_lossy(&json));
    }

    #[test]
    fn whatever_is_cut_off_or_added_is_refused(at in any::<prop::sample::Index>(), added in "[ \n{}a]{1,3}") {
        let json = bundle().to_json().unwrap();
        let cut = &json[..at.index(json.len())];
        prop_assert!(read(cut.as_bytes(), &mut trust(&[("street", 10)]), now()).is_err());
        let longer = format!("{json}{added}");
        prop_assert!(read(longer.as_bytes(), &mut trust(&[("street", 10)]), now()).is_err());
    }

    #[test]
    fn arbitrary_bytes_and_texts_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        for json in [bytes.as_slice(), text.as_bytes()] {
            prop_assert!(read(json, &mut trust(&[("street", 10)]), now()).is_err());
        }
    }

    #[test]
    fn serials_never_fall_and_ends_are_kept(serials in prop::collection::vec(0u64..30, 1..20), at in prop::collection::vec(0i64..5000, 20)) {
        let mut trust = knowing();
        let mut highest = 10;
        for (serial, seconds) in serials.into_iter().zip(at) {
            let taken = trust.take(&[signed("street", serial)], later(seconds));
            let expected = if serial < highest { Err(Refusal::RolledBack) } else if seconds >= 3600 { Err(Refusal::Stale) } else { Ok(serial) };
            prop_assert_eq!(taken.map(|accepted| accepted.held[0].serial), expected);
            if expected.is_ok() {
                highest = serial;
            }
        }
    }
}
