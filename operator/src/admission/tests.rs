use axum::Json;
use axum::extract::State;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use kube::core::admission::AdmissionReview;
use rstest::rstest;
use serde_json::{Value, json};

use super::webhook::mutate;
use super::*;
use crate::events;
use crate::fixtures::{ApiServer, caches, config, holding, namespace, published};

/// The path that the API server knows.
const PATH: &str = "/mutate/secret";

async fn admission() -> (Admission, events::Events) {
    let (_, client) = ApiServer::start(vec![]).await;
    let objects = [namespace("cameras", json!({"shekara.dev/protect": "true"})), holding("faces", "recognizer")];
    let (config, metrics) = (Arc::new(config()), Arc::new(Metrics::new().unwrap()));
    let (notices, events) = events::channel(client.clone(), &config, Arc::clone(&metrics));
    let documents = Arc::new(Documents::default());
    documents.publish("cameras", "faces", Some(published("faces", "recognizer", "sha256:1")));
    let authorities = watch::channel(vec!["PEM".to_owned()]).1;
    let paths = watch::channel(vec![PATH.to_owned()]).1;
    let distributed = Distributed { authorities, paths, keys: Keys::of_test(), documents };
    (Admission::new(client, &config, &Arc::new(caches(&objects)), distributed, notices, &metrics), events)
}

pub(super) fn review(pod: Value) -> AdmissionReview<DynamicObject> {
    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    serde_json::from_value(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "r1", "kind": kind, "resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": "cameras",
            "operation": "CREATE", "userInfo": {"groups": ["system:authenticated"]}, "object": pod
        }
    }))
    .unwrap()
}

pub(super) fn pod(app: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-", "labels": {"app": app}}, "spec": {"containers": [{"name": "a"}]}})
}

pub(super) async fn answer(admission: Admission, review: AdmissionReview<DynamicObject>) -> (StatusCode, Value) {
    let response = mutate(State(Arc::new(admission)), Json(review)).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

#[tokio::test]
async fn a_covered_pod_is_patched_and_another_is_not() {
    let (_, covered) = answer(admission().await.0, review(pod("recognizer"))).await;
    assert_eq!((&covered["response"]["allowed"], &covered["response"]["uid"]), (&json!(true), &json!("r1")));
    assert_eq!(covered["response"]["patchType"], "JSONPatch");
    let (_, free) = answer(admission().await.0, review(pod("free"))).await;
    assert_eq!((&free["response"]["allowed"], &free["response"]["patch"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_refused_pod_is_told_why_by_field() {
    let mut pod = pod("recognizer");
    pod["spec"]["hostNetwork"] = json!(true);
    let (_, refused) = answer(admission().await.0, review(pod)).await;
    assert_eq!((&refused["response"]["allowed"], &refused["response"]["status"]["code"]), (&json!(false), &json!(403)));
    assert!(refused["response"]["status"]["message"].as_str().unwrap().contains("spec.hostNetwork: "), "{refused}");
}

#[tokio::test]
async fn a_label_that_lies_is_warned_of() {
    let mut pod = pod("free");
    pod["metadata"]["labels"]["shekara.dev/covered"] = json!("true");
    let (_, warned) = answer(admission().await.0, review(pod)).await;
    assert!(warned["response"]["warnings"][0].as_str().unwrap().contains("no DataHolding covers the pod"));
}

#[tokio::test]
async fn a_token_that_the_pod_may_not_read_is_warned_of() {
    let mut pod = pod("recognizer");
    pod["spec"]["securityContext"] = json!({"runAsUser": 1000});
    let token = json!({"defaultMode": 0o400, "sources": [{"serviceAccountToken": {"path": "token"}}]});
    pod["spec"]["volumes"] = json!([{"name": "t", "projected": token}]);
    let (_, warned) = answer(admission().await.0, review(pod)).await;
    assert!(warned["response"]["warnings"][0].as_str().unwrap().contains("fsGroup"), "{warned}");
}

/// Only a kubelet may show a pod that it runs without asking.
#[rstest]
#[case("system:nodes", false)]
#[case("system:authenticated", true)]
#[tokio::test]
async fn a_static_pod_is_left_alone_and_nobody_else_may_claim_to_be_one(#[case] group: &str, #[case] covered: bool) {
    let mut pod = pod("recognizer");
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    let mut review = review(pod);
    review.request.as_mut().unwrap().user_info.groups = Some(vec![group.into()]);
    let (_, answer) = answer(admission().await.0, review).await;
    assert_eq!(answer["response"].get("patch").is_some(), covered);
}

#[tokio::test]
async fn nothing_is_said_before_the_caches_are_read() {
    let (mut admission, _events) = admission().await;
    admission.caches = Arc::new(Caches::default());
    let (status, _) = answer(admission, review(pod("recognizer"))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_namespace_that_nobody_can_read_is_no_answer() {
    let mut review = review(pod("recognizer"));
    review.request.as_mut().unwrap().namespace = Some("elsewhere".into());
    let (status, _) = answer(admission().await.0, review).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn who_does_not_know_the_path_is_not_answered_whatever_he_sends() {
    let webhook = TowerToHyperService::new(Arc::new(admission().await.0).router());
    let ask = async |path: &str, body: String| {
        let request = axum::http::Request::post(path).header("content-type", "application/json");
        webhook.call(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap()
    };
    let good = serde_json::to_string(&review(pod("recognizer"))).unwrap();
    assert_eq!(ask(PATH, good.clone()).await.status(), StatusCode::OK);
    assert_eq!(ask(PATH, "no review".into()).await.status(), StatusCode::BAD_REQUEST);
    for path in ["/mutate", "/", "/mutate/other", "/mutate/secret/", "/mutate/secret2", "/mutate/%73ecret"] {
        assert_eq!(ask(path, good.clone()).await.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(ask(path, "no review".into()).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_resources_of_the_sidecar_fit_what_the_namespace_asks() {
    let range = json!({"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", "min": {"memory": "256Mi"}}]}});
    let list = json!({"apiVersion": "v1", "kind": "LimitRangeList", "metadata": {}, "items": [range]});
    let (mut admission, _events) = admission().await;
    let (_, client) = ApiServer::start(vec![("/api/v1/namespaces/cameras/limitranges".into(), list)]).await;
    admission.client = client;
    let review = review(pod("recognizer"));
    let response = admission.answer(&review.try_into().unwrap()).await.unwrap();
    let patch = String::from_utf8(response.patch.unwrap()).unwrap();
    assert!(patch.contains(r#""requests":{"memory":"256Mi"}"#), "{patch}");
}

#[tokio::test]
async fn where_nobody_says_what_the_namespace_asks_there_is_no_answer() {
    let (mut admission, _events) = admission().await;
    admission.client = crate::fixtures::client();
    let (status, _) = answer(admission, review(pod("recognizer"))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn what_would_become_of_the_pods_of_a_template_is_known_before() {
    let (admission, mut events) = admission().await;
    let template = |app: &str, network: bool| json!({"metadata": {"labels": {"app": app}}, "spec": {"hostNetwork": network, "containers": [{"name": "a"}]}});
    admission.foresees("cameras", "web", &template("recognizer", false)).await.unwrap();
    let refused = admission.foresees("cameras", "web", &template("recognizer", true)).await.unwrap_err();
    assert!(refused.contains("spec.hostNetwork: "), "{refused}");
    let nobodys = admission.foresees("cameras", "web", &template("free", false)).await.unwrap_err();
    assert!(nobodys.contains("no DataHolding covers"), "{nobodys}");
    assert!(admission.foresees("cameras", "web", &json!({"spec": 1})).await.is_err());
    assert_eq!(events.waiting(), [], "nobody is told of it");
}
