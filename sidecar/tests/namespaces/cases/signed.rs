//! What was not signed for this pod, or is no longer to be obeyed, lets nothing out, whichever way it comes; what was signed is
//! obeyed while the operator is away.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shekara_policy::exchange::Standing;
use shekara_policy::record::End;
use shekara_policy::signed::{SignedDocument, SigningKey};
use shekara_policy::{PolicyDocument, Reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::actor::Actor;
use crate::authority::Authority;
use crate::document::{document, document_without};
use crate::place::Place;
use crate::policy_api::PolicyApi;
use crate::signing::{self, bundle, event_of, first_key_set, key, key_set, line, sign, sign_with, successor};
use crate::wait::within;
use crate::world::{CAMERA, CLINIC, ECHO};

/// The lowest serial that the pod was admitted with.
const STAMPED: &str = "faces=1:50";

/// A serial above all that the tests of this process use.
const LATER: u64 = 1 << 40;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Documents that no pod of this namespace may obey, and how each is called.
fn bad() -> Vec<(Reason, SignedDocument)> {
    let now = Timestamp::now();
    let mut tampered = sign(&document());
    tampered.body = tampered.body.replace("\"KZ\"", "\"DE\"");
    let mut unknown = sign(&document());
    unknown.version = 2;
    let mut version = document();
    version.version = 2;
    let mut other = document();
    other.holding.uid = "2".to_owned();
    let stranger = SigningKey::from_seed(&[9; 32]).unwrap();
    let foreign = SignedDocument::sign(&document(), "another-namespace", LATER, now, now + HOUR, &key()).unwrap();
    let ended = SignedDocument::sign(&document(), signing::NAMESPACE_UID, LATER, now - HOUR, now, &key()).unwrap();
    vec![
        (Reason::DocumentForged, tampered),
        (Reason::DocumentUnknownVersion, unknown),
        (Reason::DocumentUnknownVersion, sign(&version)),
        (Reason::DocumentForeign, foreign),
        (Reason::DocumentForeign, sign(&other)),
        (Reason::DocumentRolledBack, sign_with(&document(), 49, HOUR, &key())),
        (Reason::DocumentStale, ended),
        (Reason::DocumentUnknownKey, sign_with(&document(), LATER, HOUR, &stranger)),
    ]
}

/// Nothing leaves, and the record says why.
async fn closed(place: &Place, reason: Reason) {
    place.sniffer.forget(&place.pod).await;
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.failed();
    place.curl(&[&format!("http://{}/", CLINIC.name)]).await.failed();
    place.record(|record| record.reason == Some(reason) && record.name.is_some()).await;
    place.record(|record| record.reason == Some(reason) && record.destination.is_some()).await;
    assert!(!place.reached(CAMERA.v4).await && !place.reached(CLINIC.v4).await && !place.reached(CLINIC.v6).await, "{reason}");
    let ready = place.sidecar_command(Actor::Proxy, "ready").await;
    ready.failed();
    assert!(ready.error.contains(reason.sentence()), "{reason}: {ready:?}");
}

async fn open(place: &Place) {
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.served_by(CAMERA.v4);
}

async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"face").await.unwrap();
    within("an echo", stream.read_exact(&mut [0; 4])).await.unwrap();
}

#[tokio::test]
async fn what_the_operator_did_not_sign_for_this_pod_lets_nothing_out() {
    let mut place = Place::open();
    open(&place).await;
    place.stamps = STAMPED.to_owned();
    place.init().await;
    place.api = Some(PolicyApi::start(&place.world, &[]));
    place.run();
    place.live().await;
    place.checkpoint(|checkpoint| checkpoint.standing == Standing::Absent).await;
    for (reason, document) in bad() {
        place.api().send(line(&event_of(first_key_set(), vec![document])));
        place.checkpoint(|checkpoint| checkpoint.refused == Some(reason)).await;
        closed(&place, reason).await;
        place.api().set(&[]);
        place.checkpoint(|checkpoint| checkpoint.refused.is_none() && checkpoint.sequence > 1).await;
    }
    let mut unsigned = serde_json::to_value(signing::event(&[document()])).unwrap();
    unsigned["documents"][0] = serde_json::to_value(document()).unwrap();
    place.api().send(unsigned.to_string().into_bytes());
    place.checkpoint(|checkpoint| checkpoint.refused == Some(Reason::DocumentUnsigned)).await;
    closed(&place, Reason::DocumentUnsigned).await;

    place.api().set(&[document()]);
    place.ready().await;
    open(&place).await;
    // what is in force and valid stays so, whatever else comes
    for (reason, document) in bad() {
        place.api().send(line(&event_of(first_key_set(), vec![document])));
        place.checkpoint(|checkpoint| checkpoint.refused == Some(reason) && checkpoint.standing == Standing::Confirmed).await;
        open(&place).await;
    }
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    assert!(metrics.contains("shekara_policy_refusals_total{reason=\"DocumentForged\"} 2"), "{metrics}");
    assert!(metrics.contains("shekara_policy_confirmed 1"), "{metrics}");
}

#[tokio::test]
async fn a_file_that_somebody_touched_lets_nothing_out() {
    let good = bundle(first_key_set(), sign(&document()));
    let mut files: Vec<(Reason, Vec<u8>)> =
        bad().into_iter().map(|(reason, document)| (reason, bundle(first_key_set(), document).into_bytes())).collect();
    let mut unsigned: Value = serde_json::from_str(&good).unwrap();
    unsigned["document"] = serde_json::to_value(document()).unwrap();
    let mut stranger = first_key_set();
    stranger.root = successor().public();
    let mut forged = first_key_set();
    forged.body = forged.body.replace("\"version\":1", "\"version\":9");
    files.extend([
        (Reason::DocumentUnsigned, unsigned.to_string().into_bytes()),
        (Reason::DocumentUnreadable, good[..good.len() / 2].into()),
        (Reason::DocumentUnreadable, format!("{good} ").into_bytes()),
        (Reason::DocumentUnreadable, vec![b'x'; 300 * 1024]),
        (Reason::KeySetForeign, bundle(stranger, sign(&document())).into_bytes()),
        (Reason::KeySetForged, bundle(forged, sign(&document())).into_bytes()),
    ]);
    let mut place = Place::open();
    place.stamps = STAMPED.to_owned();
    place.init().await;
    place.run();
    place.live().await;
    place.said(Reason::DocumentMissing.code()).await;
    closed(&place, Reason::DocumentMissing).await;
    for (reason, file) in files {
        place.file(&file);
        // another could not have its ports
        place.sidecar.as_mut().unwrap().stop().await;
        place.run();
        place.live().await;
        place.said(reason.code()).await;
        closed(&place, reason).await;
    }
    place.file(good.as_bytes());
    place.ready().await;
    open(&place).await;
}

#[tokio::test]
async fn a_restart_without_the_operator_goes_on_by_the_file_and_says_so() {
    let mut place = Place::open();
    let first = sign(&document());
    place.init().await;
    place.file(bundle(first_key_set(), first.clone()).as_bytes());
    place.run();
    place.ready().await;
    open(&place).await;
    place.curl(&["-4", &format!("https://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    let record = place.record(|record| record.destination.is_some()).await;
    assert_eq!(record.serials, [first.serial]);
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    assert!(metrics.contains("shekara_policy_confirmed 0") && metrics.contains("shekara_policy_documents 1"), "{metrics}");
    // an old one was put there, which the operator does not confirm
    place.api = Some(PolicyApi::start(&place.world, &[document_without("clinic")]));
    let confirmed = place.checkpoint(|checkpoint| checkpoint.standing == Standing::Confirmed).await;
    assert_eq!(confirmed.documents, [document_without("clinic").digest().unwrap()]);
    let clinic = format!("https://{}/", CLINIC.name);
    place.curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &clinic]).await.failed();
    // and what was confirmed is not undone by the file
    place.api = None;
    place.said("the last documents stay in force").await;
    place.curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &clinic]).await.failed();
    // a newer one in the file is obeyed, for the operator may be there and the way to it not
    let newer = sign(&document());
    place.file(bundle(first_key_set(), newer.clone()).as_bytes());
    place.said(&format!("serial {} until", newer.serial)).await;
    place.curl(&["-4", &clinic]).await.served_by(CLINIC.v4);
}

#[tokio::test]
async fn with_two_holdings_the_file_of_one_is_not_enough() {
    let mut place = Place::open();
    place.stamps = "faces=1:0,plates=2:0".to_owned();
    place.init().await;
    place.file(bundle(first_key_set(), sign(&document())).as_bytes());
    place.run();
    place.live().await;
    place.said(Reason::DocumentMissing.code()).await;
    closed(&place, Reason::DocumentMissing).await;
    // the file of the wider holding in the place of the narrower one
    std::fs::copy(place.path("policy/faces.json"), place.path("policy/plates.json")).unwrap();
    place.sidecar.as_mut().unwrap().stop().await;
    place.run();
    place.live().await;
    place.said(Reason::DocumentMissing.code()).await;
    closed(&place, Reason::DocumentMissing).await;
    let mut plates: PolicyDocument = document_without("clinic");
    (plates.holding.name, plates.holding.uid) = ("plates".to_owned(), "2".to_owned());
    std::fs::write(place.path("policy/plates.json"), bundle(first_key_set(), sign(&plates))).unwrap();
    place.ready().await;
    open(&place).await;
}

#[tokio::test]
async fn a_file_neither_leaves_out_a_holding_that_the_operator_gave_nor_brings_back_one_that_is_gone() {
    let mut place = Place::open();
    place.stamps = STAMPED.to_owned();
    place.init().await;
    let wide = sign(&document());
    place.file(bundle(first_key_set(), wide.clone()).as_bytes());
    // a holding that came later and selects the pod
    let mut later = document_without("clinic");
    (later.holding.name, later.holding.uid) = ("later".to_owned(), "3".to_owned());
    place.api = Some(PolicyApi::start(&place.world, &[]));
    place.api().send(line(&event_of(first_key_set(), vec![wide.clone(), sign(&later)])));
    place.run();
    place.ready().await;
    place.checkpoint(|checkpoint| checkpoint.documents.len() == 2).await;
    let clinic = format!("https://{}/", CLINIC.name);
    let refused = async |place: &Place| {
        place.curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &clinic]).await.failed();
    };
    refused(&place).await;
    place.api = None;
    place.said("the last documents stay in force").await;
    refused(&place).await;
    open(&place).await;
    // the operator says that the pod's holding is gone, and goes
    place.api = Some(PolicyApi::start(&place.world, &[]));
    place.checkpoint(|checkpoint| checkpoint.standing == Standing::Absent).await;
    place.api = None;
    place.said("there is no document, so nothing leaves until it is back").await;
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.failed();
    place.file(bundle(first_key_set(), sign(&document())).as_bytes());
    place.sidecar().record(|record| record.reason == Some(Reason::NoDocument)).await;
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.failed();
}

#[tokio::test]
async fn at_the_end_of_a_document_nothing_leaves_and_living_flows_are_closed() {
    let mut place = Place::open();
    place.init().await;
    let lasts = SignedDuration::from_secs(3);
    let end = Timestamp::now() + lasts;
    let document = document();
    let short = event_of(first_key_set(), vec![sign_with(&document, 100, lasts, &key())]);
    place.api = Some(PolicyApi::start(&place.world, &[]));
    place.api().send(line(&short));
    place.run();
    place.ready().await;
    let mut live = place.dial(CAMERA.v6, ECHO).await.unwrap();
    echoes(&mut live).await;
    assert!(Timestamp::now() < end, "the machine is too busy to see anything");
    assert!(matches!(within("the end", live.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    let late = Timestamp::now().duration_since(end);
    assert!((SignedDuration::ZERO..SignedDuration::from_secs(1)).contains(&late), "{late:#}");
    let record = place.record(|record| record.port == ECHO).await;
    assert_eq!((record.reason, record.end), (Some(Reason::DocumentStale), End::PolicyChanged));
    closed(&place, Reason::DocumentStale).await;
    // issued anew, it is in force again
    place.api().set(std::slice::from_ref(&document));
    place.ready().await;
    open(&place).await;
}

#[tokio::test]
async fn keys_and_authorities_change_under_living_flows() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut live = place.dial(CAMERA.v6, ECHO).await.unwrap();
    echoes(&mut live).await;
    let (other, pem) = (Authority::new(), crate::authority::authority().pem.clone());
    let digest = document().digest().unwrap();
    let is_at = |serial: u64| move |checkpoint: &shekara_policy::exchange::Checkpoint| checkpoint.serials == [serial];
    // both keys and both authorities, then the new ones alone
    let both = key_set(2, &[&successor(), &key()], &[&pem, &other.pem]);
    place.api().send(line(&event_of(both, vec![sign_with(&document(), 1000, HOUR, &successor())])));
    assert_eq!(place.checkpoint(is_at(1000)).await.documents, [digest]);
    echoes(&mut live).await;
    let alone = key_set(3, &[&successor()], &[&other.pem]);
    place.api().send(line(&event_of(alone.clone(), vec![sign_with(&document(), 1001, HOUR, &successor())])));
    place.checkpoint(is_at(1001)).await;
    echoes(&mut live).await;
    // the old key and the old set count no more
    place.api().send(line(&event_of(alone.clone(), vec![sign_with(&document(), 1002, HOUR, &key())])));
    place.checkpoint(|checkpoint| checkpoint.refused == Some(Reason::DocumentUnknownKey)).await;
    place.api().send(line(&event_of(first_key_set(), vec![sign_with(&document(), 1002, HOUR, &key())])));
    place.checkpoint(|checkpoint| checkpoint.refused == Some(Reason::KeySetRolledBack)).await;
    // the operator comes back with a certificate of the new authority
    place.api = None;
    place.said("the last documents stay in force").await;
    place.api = Some(PolicyApi::with(&other, &place.world, &[]));
    place.api().send(line(&event_of(alone.clone(), vec![sign_with(&document(), 1003, HOUR, &successor())])));
    place.checkpoint(is_at(1003)).await;
    echoes(&mut live).await;
    // and a pod that was admitted with the old authority finds it by its file
    place.api().send(line(&event_of(alone.clone(), vec![sign_with(&document(), 1005, HOUR, &successor())])));
    place.checkpoint(is_at(1005)).await;
    place.file(bundle(alone, sign_with(&document(), 1004, HOUR, &successor())).as_bytes());
    place.sidecar.as_mut().unwrap().stop().await;
    place.run();
    place.said("\"Confirmed\"").await;
    open(&place).await;
}
