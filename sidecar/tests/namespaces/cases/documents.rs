//! Events that cannot be obeyed.

use serde_json::{Value, json};

use crate::document::{document, document_without};
use crate::place::Place;
use crate::signing;
use crate::world::{CAMERA, CLINIC};

fn event(documents: &[shekara_policy::PolicyDocument]) -> Value {
    serde_json::to_value(signing::event(documents)).unwrap()
}

#[tokio::test]
async fn what_cannot_be_obeyed_changes_nothing_and_is_said() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut unknown = event(&[document_without("clinic")]);
    unknown["documents"][0]["allowAll"] = json!(true);
    let mut version = event(&[document_without("clinic")]);
    version["documents"][0]["version"] = json!(2);
    for (refused, words) in [(unknown, "allowAll"), (version, "unknown version"), (json!("nonsense"), "invalid type")] {
        place.api().send(refused.to_string().into_bytes());
        place.said(words).await;
        place.curl(&["-4", &format!("https://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    }
    // the stream goes on
    let without = document_without("clinic");
    place.api().set(std::slice::from_ref(&without));
    place.checkpoint(|checkpoint| checkpoint.documents == [without.digest().unwrap()]).await;
    place
        .curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &format!("https://{}/", CLINIC.name)])
        .await
        .failed();
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    assert!(metrics.contains("shekara_policy_events_total{outcome=\"rejected\"} 3"), "{metrics}");
    // an endless line ends the session, and the next one begins with what is sent then
    place.api().send(vec![b'x'; 2 * 1024 * 1024]);
    place.said("is longer than").await;
    place.api().set(&[document()]);
    place.checkpoint(|checkpoint| checkpoint.documents == [document().digest().unwrap()] && checkpoint.sequence > 1).await;
}

#[tokio::test]
async fn a_pod_in_two_holdings_may_do_only_what_both_allow() {
    let mut place = Place::open();
    let mut other = document_without("clinic");
    (other.holding.name, other.holding.uid) = ("plates".to_owned(), "2".to_owned());
    place.enforce(&[document(), other]).await;
    place
        .curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &format!("https://{}/", CLINIC.name)])
        .await
        .failed();
    let record = place.record(|record| record.name.as_deref() == Some(CLINIC.name)).await;
    assert_eq!(record.denied_by.as_deref(), Some("city/plates"));
    assert!(!place.reached(CLINIC.v4).await);
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.served_by(CAMERA.v4);
}
