//! What the operator is told.

use std::time::{Duration, Instant};

use shekara_policy::Reason;

use crate::document::{document, document_without};
use crate::place::Place;
use crate::world::{CLINIC, MAPS};

/// The interval is ten minutes here, so whatever comes has come for its own reason.
#[tokio::test]
async fn checkpoints_come_with_documents_with_the_first_denial_of_a_kind_and_at_the_end() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let first = place.checkpoint(|_| true).await;
    assert_eq!((first.sequence, first.documents.as_slice()), (1, &[document().digest().unwrap()][..]));
    assert_eq!((first.geo.as_deref(), first.totals.len()), (None, 0));

    place.curl(&["-4", &format!("https://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.curl(&["-4", &format!("https://{}/", MAPS.name)]).await.failed();
    let denied = |total: &shekara_policy::exchange::FlowTotal| total.reason == Some(Reason::CrossBorder);
    let second = place.checkpoint(|checkpoint| checkpoint.totals.iter().any(denied)).await;
    let total = second.totals.iter().find(|total| denied(total)).unwrap();
    assert_eq!((total.country.unwrap().as_str(), total.flows, total.last_destination.as_str()), ("DE", 1, MAPS.name));
    assert!(total.recipients.contains("maps"));
    let allowed = second.totals.iter().find(|total| total.recipients.contains("clinic")).unwrap();
    assert_eq!((allowed.reason, allowed.flows), (None, 1));

    // a second one of the kind is no news, and is told in the end
    place.curl(&["-4", &format!("http://{}/", MAPS.name)]).await.failed();
    place.record(|record| record.reason == Some(Reason::CrossBorder) && record.port == 80).await;
    let status = place.sidecar.as_mut().unwrap().stop().await;
    assert!(status.success(), "{status}");
    let last = place.checkpoint(|checkpoint| checkpoint.totals.iter().any(|total| denied(total) && total.flows == 2)).await;
    assert_eq!((&last.instance, last.started), (&first.instance, first.started));
    assert!(last.sequence > second.sequence && second.sequence > first.sequence);
}

#[tokio::test]
async fn documents_are_confirmed_within_a_second() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let without = document_without("clinic");
    let start = Instant::now();
    place.api().set(std::slice::from_ref(&without));
    place.checkpoint(|checkpoint| checkpoint.documents == [without.digest().unwrap()]).await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    println!("a document was confirmed {took:?} after it was sent");
}

#[tokio::test]
async fn another_start_has_another_name() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let first = place.checkpoint(|_| true).await;
    place.sidecar.as_mut().unwrap().stop().await;
    place.run();
    let second = place.checkpoint(|checkpoint| checkpoint.instance != first.instance).await;
    assert_eq!(second.sequence, 1);
    assert!(second.totals.is_empty());
}

#[tokio::test]
async fn each_start_registers_a_key_of_its_own_before_it_is_ready_and_again_where_it_was_forgotten() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let registered = place.api().registrations();
    let first = place.checkpoint(|_| true).await;
    assert_eq!(registered.len(), 1);
    assert_eq!((&registered[0].instance, registered[0].started), (&first.instance, first.started));
    place.api().forget();
    place.api().set(&[document_without("clinic")]);
    place.checkpoint(|checkpoint| checkpoint.sequence > 1 && checkpoint.documents != first.documents).await;
    assert_eq!(place.api().registrations(), registered);
    place.sidecar.as_mut().unwrap().stop().await;
    place.run();
    place.checkpoint(|checkpoint| checkpoint.instance != first.instance).await;
    let registrations = place.api().registrations();
    assert!(registrations.len() == 2 && registrations[1].key != registrations[0].key);
}
