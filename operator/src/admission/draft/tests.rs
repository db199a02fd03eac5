use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::Distributed;
use super::super::tests::{answer, pod, review};
use super::*;
use crate::documents::Documents;
use crate::events;
use crate::fixtures::{ApiServer, apply, caches, config, holding, namespace, published};
use crate::keys::Keys;
use crate::metrics::Metrics;

/// Admission in a namespace with these labels and the holding `faces` of the pods `recognizer`, and an API server that has the same.
struct Fixture {
    server: Arc<ApiServer>,
    admission: Admission,
    _events: events::Events,
}

impl Fixture {
    async fn new(labels: Value) -> Self {
        let faces = holding("faces", "recognizer");
        let (server, client) = ApiServer::start(vec![(ApiServer::holding("faces"), faces.clone())]).await;
        let (config, metrics) = (Arc::new(config()), Arc::new(Metrics::new().unwrap()));
        let (notices, events) = events::channel(client.clone(), &config, Arc::clone(&metrics));
        let caches = Arc::new(caches(&[namespace("cameras", labels), faces]));
        let documents = Arc::new(Documents::default());
        documents.publish("cameras", "faces", Some(published("faces", "recognizer", "sha256:1")));
        let (learning, signing) = (Arc::clone(&caches), Arc::clone(&documents));
        server.on_creation(move |object| {
            apply(&learning.holdings, object.clone());
            let name = object["metadata"]["name"].as_str().unwrap();
            signing.publish("cameras", name, Some(published(name, "web", "sha256:2")));
        });
        let authorities = watch::channel(vec!["PEM".to_owned()]).1;
        let paths = watch::channel(vec![]).1;
        let distributed = Distributed { authorities, paths, keys: Keys::of_test(), documents };
        let admission = Admission::new(client, &config, &caches, distributed, notices, &metrics);
        Self { server, admission, _events: events }
    }
}

fn marked(app: &str, data: &str) -> Value {
    let mut pod = pod(app);
    pod["metadata"]["annotations"] = json!({"shekara.dev/data": data});
    pod
}

fn message(answer: &Value) -> &str {
    answer["response"]["status"]["message"].as_str().unwrap_or_default()
}

#[rstest]
#[case(json!({"shekara.dev/protect": "true"}))]
#[case(json!({}))]
#[tokio::test]
async fn a_pod_that_nobody_claims_is_covered_by_the_draft_that_it_makes(#[case] labels: Value) {
    let Fixture { server, admission, _events } = Fixture::new(labels).await;
    let (_, answer) = answer(admission, review(marked("web", "vehicle.location"))).await;
    assert_eq!(
        (&answer["response"]["allowed"], &answer["response"]["patchType"]),
        (&json!(true), &json!("JSONPatch")),
        "{answer}"
    );
    assert_eq!(server.holdings(), ["draft-web", "faces"]);
    assert!(
        answer["response"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("makes a draft that covers the pod: the DataHolding draft-web"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_dry_run_is_answered_alike_and_makes_nothing() {
    let Fixture { server, admission, _events } = Fixture::new(json!({})).await;
    let mut review = review(marked("web", "vehicle.location"));
    review.request.as_mut().unwrap().dry_run = true;
    let (_, answer) = answer(admission, review).await;
    assert_eq!(
        (&answer["response"]["allowed"], &answer["response"]["patchType"]),
        (&json!(true), &json!("JSONPatch")),
        "{answer}"
    );
    assert_eq!(server.holdings(), ["faces"]);
}

#[rstest]
#[case("vehicle.speed", "metadata.annotations[shekara.dev/data]: \"vehicle.speed\" is not a category of data")]
#[case("", "metadata.annotations[shekara.dev/data]: it names no category")]
#[tokio::test]
async fn an_annotation_that_means_nothing_is_named(#[case] data: &str, #[case] expected: &str) {
    for app in ["web", "recognizer"] {
        let Fixture { server, admission, _events } = Fixture::new(json!({"shekara.dev/protect": "true"})).await;
        let (_, answer) = answer(admission, review(marked(app, data))).await;
        assert!(answer["response"]["allowed"] == false && message(&answer).contains(expected), "{answer}");
        assert_eq!(server.holdings(), ["faces"]);
    }
}

#[tokio::test]
async fn a_pod_that_cannot_be_covered_makes_nothing() {
    for (field, said) in [("/spec/hostNetwork", "spec.hostNetwork: "), ("/metadata/labels", "no label of their own")] {
        let Fixture { server, admission, _events } = Fixture::new(json!({})).await;
        let mut pod = marked("web", "vehicle.location");
        pod["spec"]["hostNetwork"] = json!(field == "/spec/hostNetwork");
        if field == "/metadata/labels" {
            pod["metadata"]["labels"] = json!({"pod-template-hash": "a"});
        }
        let (_, answer) = answer(admission, review(pod)).await;
        assert!(answer["response"]["allowed"] == false && message(&answer).contains(said), "{answer}");
        assert_eq!(server.holdings(), ["faces"]);
    }
}

/// Whether the namespace is protected, what the pod says that it holds, and whether it is admitted.
#[rstest]
#[case("true", "biometric.face", true)]
#[case("true", "biometric.face,vehicle.location", false)]
#[case("false", "biometric.face,vehicle.location", true)]
#[tokio::test]
async fn a_holding_that_holds_less_than_the_pod_says_does_not_cover_it_quietly(
    #[case] protect: &str,
    #[case] data: &str,
    #[case] admitted: bool,
) {
    let Fixture { server, admission, _events } = Fixture::new(json!({"shekara.dev/protect": protect})).await;
    let (_, answer) = answer(admission, review(marked("recognizer", data))).await;
    assert_eq!(answer["response"]["allowed"], admitted, "{answer}");
    assert_eq!(answer["response"]["patchType"].is_string(), admitted, "{answer}");
    let said = format!("{}{}", message(&answer), answer["response"]["warnings"]);
    let both = said.contains("vehicle.location") && said.contains("(faces)");
    assert_eq!(both, data.contains("vehicle"), "{said}");
    assert_eq!(server.holdings(), ["faces"]);
}

/// It is declared together with its holding, which the watch has not brought yet.
#[tokio::test]
async fn a_holding_that_is_about_to_be_known_is_waited_for() {
    let Fixture { server, admission, _events } = Fixture::new(json!({})).await;
    let fleet = ApiServer::start(vec![(ApiServer::holding("fleet"), holding("fleet", "web"))]).await;
    let (caches, documents) = (Arc::clone(&admission.caches), Arc::clone(&admission.distributed.documents));
    let admission = Admission { drafts: crate::drafts::Drafts::new(fleet.1, &caches, admission.notices.clone()), ..admission };
    let asked = async {
        while fleet.0.asked("dataholdings") == 0 {
            tokio::task::yield_now().await;
        }
        apply(&caches.holdings, holding("fleet", "web"));
        tokio::task::yield_now().await;
        documents.publish("cameras", "fleet", Some(published("fleet", "web", "sha256:2")));
    };
    let ((_, answer), ()) = tokio::join!(answer(admission, review(marked("web", "biometric.face"))), asked);
    assert_eq!(
        (&answer["response"]["allowed"], &answer["response"]["patchType"]),
        (&json!(true), &json!("JSONPatch")),
        "{answer}"
    );
    assert!(server.holdings() == ["faces"] && fleet.0.holdings() == ["fleet"]);
}

#[tokio::test(start_paused = true)]
async fn a_holding_that_nobody_signs_in_time_is_a_refusal_that_says_so() {
    let Fixture { admission, _events, .. } = Fixture::new(json!({})).await;
    apply(&admission.caches.holdings, holding("unsigned", "web"));
    let (_, answer) = answer(admission, review(marked("web", "biometric.face"))).await;
    assert!(answer["response"]["allowed"] == false && message(&answer).contains("try again in a moment"), "{answer}");
}
