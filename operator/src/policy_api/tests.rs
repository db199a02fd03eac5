use axum::Json;
use axum::body::to_bytes;
use futures::FutureExt as _;
use serde_json::{Value, json};
use shekara_policy::exchange::{PolicyEvent, Registration, SIGNATURE_HEADER};
use shekara_policy::signed::{Message, Purpose, SigningKey};
use tokio::net::TcpListener;

use super::*;
use crate::certificates::Certificates;
use crate::fixtures::{caches, client, config, covered_pod, published};
use crate::serve;

/// The API with the pods `web`, which has a sidecar, and `bare`, which has none; an API server that takes `token-of-POD` for the
/// token of that pod, and counts how often it is asked.
struct Fixture {
    api: Arc<PolicyApi>,
    asked: Arc<std::sync::atomic::AtomicUsize>,
    stop: CancellationToken,
    server: tokio::task::JoinSet<()>,
}

impl Fixture {
    /// The one replica, which leads.
    async fn new() -> Self {
        let certificates = Certificates::of_a_test(client(), &config());
        Self::replica(Leader::Here, Resumed::always(), &certificates, 8443).await
    }

    async fn replica(leader: Leader, resumed: Resumed, certificates: &Certificates, port: u16) -> Self {
        let stop = CancellationToken::new();
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let review = move |Json(review): Json<Value>| {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            std::future::ready(Json(answer(&review)))
        };
        let router = Router::new().route("/apis/authentication.k8s.io/v1/tokenreviews", post(review));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = tokio::task::JoinSet::new();
        server.spawn(serve::plain(listener, router, stop.clone()).map(|_| ()));
        let api_server = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();

        let mut bare = covered_pod("bare", "a", "faces");
        bare["spec"]["initContainers"] = json!([]);
        let documents = Documents::default();
        documents.publish("cameras", "faces", Some(published("faces", "a", "sha256:1")));
        documents.set_complete();
        let alone = Parts::alone(config(), caches(&[covered_pod("web", "a", "faces"), bare]), documents);
        alone.peers.everything();
        let (leadership, authorities) = (Leadership::of(leader), certificates.authorities());
        let parts = Parts { client: api_server, leadership, resumed, authorities, port, stop: stop.clone(), ..alone };
        let api = PolicyApi::new(parts).unwrap();
        Self { api: Arc::new(api), asked, stop, server }
    }

    async fn policy(&self, token: Option<&str>) -> Response {
        let query = Query(HashMap::from([("watch".to_owned(), String::new())]));
        match policy(State(Arc::clone(&self.api)), query, headers(token)).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    }

    async fn register(&self, token: &str, registration: &Registration) -> Response {
        let mut request = to(REGISTRATIONS_PATH, serde_json::to_vec(registration).unwrap());
        *request.headers_mut() = headers(Some(token));
        match registrations::register(State(Arc::clone(&self.api)), request).await {
            Ok(answer) => answer,
            Err(problem) => problem.into_response(),
        }
    }

    /// Posts a checkpoint that the key of a start has signed.
    async fn checkpoint(&self, token: &str, body: impl Into<String>) -> Response {
        let body = body.into();
        let signature = key(1).sign(&Message::new(Purpose::Checkpoint, &[body.as_bytes()]));
        self.signed(token, body, Some(&signature.to_string())).await
    }

    async fn signed(&self, token: &str, body: String, signature: Option<&str>) -> Response {
        let mut request = to(CHECKPOINTS_PATH, body);
        *request.headers_mut() = headers(Some(token));
        if let Some(signature) = signature {
            request.headers_mut().insert(SIGNATURE_HEADER, signature.parse().unwrap());
        }
        match checkpoint(State(Arc::clone(&self.api)), request).await {
            Ok(answer) => answer,
            Err(problem) => problem.into_response(),
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.server.join_next().await.is_some() {}
    }
}

fn answer(review: &Value) -> Value {
    let pod = review["spec"]["token"].as_str().unwrap().strip_prefix("token-of-");
    let status = pod.map_or(json!({"authenticated": false}), |pod| {
        let extra = json!({"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [format!("uid-of-{pod}")]});
        json!({"authenticated": true, "audiences": review["spec"]["audiences"], "user": {"username": "system:serviceaccount:cameras:default", "extra": extra}})
    });
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": review["spec"], "status": status})
}

fn to(path: &str, body: impl Into<Body>) -> Request {
    let mut request = Request::new(body.into());
    *request.method_mut() = axum::http::Method::POST;
    *request.uri_mut() = path.parse().unwrap();
    request
}

fn headers(token: Option<&str>) -> HeaderMap {
    let value = token.map(|token| (header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap()));
    value.into_iter().collect()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn registration(seed: u8) -> Registration {
    let started = "2026-06-01T10:00:00Z".parse().unwrap();
    Registration { instance: if seed == 1 { "i".into() } else { seed.to_string() }, started, key: key(seed).public() }
}

async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&to_bytes(response.into_body(), 4096).await.unwrap()).unwrap();
    assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
    (status, body["code"].as_str().unwrap().to_owned())
}

fn sound() -> Value {
    json!({
        "instance": "i", "started": "2026-06-01T10:00:00Z", "sequence": 1, "documents": ["sha256:1"], "serials": [1], "standing": "Confirmed", "refused": null, "geo": null, "datagramsDenied": 0,
        "totals": [{"recipients": ["clinic"], "country": "KZ", "data": [], "reason": null, "flows": 3, "bytesOut": 1, "bytesIn": 1, "last": "2026-06-01T10:00:00Z", "lastDestination": "a.kz"}]
    })
}

#[tokio::test]
async fn a_sidecar_gets_its_documents_and_its_token_is_reviewed_once() {
    let fixture = Fixture::new().await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        let response = fixture.policy(Some("token-of-web")).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
        let mut lines = response.into_body().into_data_stream();
        let event: PolicyEvent = serde_json::from_slice(&lines.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(event.documents[0].holding_uid, "uid-of-faces");
        streams.push(lines);
    }
    assert_eq!(refused(fixture.policy(Some("token-of-web")).await).await, (429, "TooManyStreams".into()));
    streams.pop();
    assert_eq!(fixture.policy(Some("token-of-web")).await.status(), StatusCode::OK);
    assert_eq!(fixture.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(streams);
    fixture.end().await;
}

#[tokio::test]
async fn whoever_is_not_a_sidecar_gets_a_code_and_a_sentence() {
    let fixture = Fixture::new().await;
    assert_eq!(refused(fixture.policy(None).await).await, (401, "NoToken".into()));
    assert_eq!(refused(fixture.policy(Some("forged")).await).await, (401, "BadToken".into()));
    assert_eq!(refused(fixture.policy(Some("token-of-bare")).await).await, (403, "NotCovered".into()));
    fixture.end().await;
}

#[tokio::test]
async fn a_pod_that_is_not_known_is_waited_for_and_then_refused() {
    let fixture = Fixture::new().await;
    let reviewed = || String::from_utf8(fixture.api.metrics.text().unwrap()).unwrap().contains("{outcome=\"accepted\"} 1");
    {
        let mut waiting = std::pin::pin!(fixture.policy(Some("token-of-nobody")));
        while !reviewed() {
            assert!(futures::poll!(&mut waiting).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    // the token is known by now, so that only time passes
    tokio::time::pause();
    assert_eq!(refused(fixture.policy(Some("token-of-nobody")).await).await, (403, "NoSuchPod".into()));
    fixture.end().await;
}

#[tokio::test]
async fn a_checkpoint_is_counted_and_its_holdings_are_looked_at() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.register("token-of-web", &registration(1)).await.status(), StatusCode::NO_CONTENT);
    let response = fixture.checkpoint("token-of-web", sound().to_string()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let again = fixture.checkpoint("token-of-web", sound().to_string()).await;
    assert_eq!(again.status(), StatusCode::NO_CONTENT, "one that comes twice changes nothing");
    let totals = fixture.api.ledger.totals(&Key::new("cameras", "faces"));
    assert_eq!(totals.iter().map(|(_, counted)| counted.flows).sum::<u64>(), 3);
    assert_eq!(fixture.api.queues.holdings.next().await, Key::new("cameras", "faces"));
    let pod = fixture.api.caches.pods.get(&Key::new("cameras", "web")).unwrap();
    let heard = fixture.api.ledger.heard(&pod).unwrap();
    assert_eq!((heard.documents, heard.filter.holds()), (vec!["sha256:1".to_owned()], true));
    fixture.end().await;
}

#[tokio::test]
async fn a_checkpoint_that_means_nothing_or_too_much_is_refused() {
    let fixture = Fixture::new().await;
    let code = async |token: &str, body: String| refused(fixture.checkpoint(token, body).await).await;
    assert_eq!(code("forged", sound().to_string()).await, (401, "BadToken".into()));
    assert_eq!(code("token-of-web", "{}".into()).await, (422, "BadCheckpoint".into()));
    assert_eq!(code("token-of-web", " ".repeat(LARGEST + 1)).await, (422, "BadCheckpoint".into()));
    fixture.end().await;
}

#[tokio::test]
async fn a_checkpoint_counts_with_the_signature_of_the_registered_key_alone() {
    let fixture = Fixture::new().await;
    let flows = || {
        let totals = fixture.api.ledger.totals(&Key::new("cameras", "faces"));
        totals.iter().map(|(_, counted)| counted.flows).sum::<u64>()
    };
    let post = async |body: &Value, signature: Option<String>| {
        refused(fixture.signed("token-of-web", body.to_string(), signature.as_deref()).await).await
    };
    let sign = |key: &SigningKey, body: &Value, purpose| {
        Some(key.sign(&Message::new(purpose, &[body.to_string().as_bytes()])).to_string())
    };
    assert_eq!(post(&sound(), sign(&key(1), &sound(), Purpose::Checkpoint)).await, (428, "NotRegistered".into()));
    assert_eq!(fixture.register("token-of-web", &registration(1)).await.status(), StatusCode::NO_CONTENT);
    let bad = (403, "BadSignature".to_owned());
    assert_eq!(post(&sound(), None).await, bad);
    assert_eq!(post(&sound(), Some("00".into())).await, bad);
    assert_eq!(post(&sound(), sign(&key(2), &sound(), Purpose::Checkpoint)).await, bad);
    assert_eq!(post(&sound(), sign(&key(1), &sound(), Purpose::Document)).await, bad);
    let mut more = sound();
    more["totals"][0]["flows"] = json!(1000);
    assert_eq!(post(&more, sign(&key(1), &sound(), Purpose::Checkpoint)).await, bad);
    let mut other = sound();
    other["instance"] = json!("another start");
    assert_eq!(post(&other, sign(&key(1), &other, Purpose::Checkpoint)).await, bad);
    assert_eq!(flows(), 0);
    assert_eq!(fixture.checkpoint("token-of-web", sound().to_string()).await.status(), StatusCode::NO_CONTENT);
    // an earlier one that is replayed changes nothing
    let mut next = sound();
    (next["sequence"], next["totals"][0]["flows"]) = (json!(2), json!(5));
    assert_eq!(fixture.checkpoint("token-of-web", next.to_string()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(fixture.checkpoint("token-of-web", sound().to_string()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(flows(), 5);
    fixture.end().await;
}

#[tokio::test]
async fn a_second_key_of_one_start_is_refused_and_one_after_a_restart_is_taken() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.register("token-of-web", &registration(1)).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(fixture.register("token-of-web", &registration(1)).await.status(), StatusCode::NO_CONTENT);
    let mut long = registration(1);
    long.instance = "i".repeat(65);
    assert_eq!(refused(fixture.register("token-of-web", &long).await).await, (422, "BadRegistration".into()));
    tokio::time::pause();
    assert_eq!(refused(fixture.register("token-of-web", &registration(2)).await).await, (409, "AlreadyRegistered".into()));
    let mut again = covered_pod("web", "a", "faces");
    again["status"]["initContainerStatuses"][0]["restartCount"] = json!(1);
    let second = registration(2);
    {
        let mut waiting = std::pin::pin!(fixture.register("token-of-web", &second));
        assert!(futures::poll!(&mut waiting).is_pending());
        crate::fixtures::apply(&fixture.api.caches.pods, again);
        assert_eq!(waiting.await.status(), StatusCode::NO_CONTENT);
    }
    // what the start before has signed counts no more
    assert_eq!(refused(fixture.checkpoint("token-of-web", sound().to_string()).await).await, (403, "BadSignature".into()));
    fixture.end().await;
}

#[tokio::test]
async fn a_checkpoint_that_reaches_another_replica_is_handed_on_to_the_one_that_leads() {
    let certificates = Certificates::of_a_test(client(), &config());
    let leader = Fixture::replica(Leader::Here, Resumed::always(), &certificates, 8443).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let routes = Router::new().route(CHECKPOINTS_PATH, post(checkpoint)).route(REGISTRATIONS_PATH, post(registrations::register));
    let router = routes.with_state(Arc::clone(&leader.api));
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(serve::tls(listener, router, certificates.server_config(), leader.stop.clone()));
    let at = Leader::At("127.0.0.1".parse().unwrap());

    let other = Fixture::replica(at, Resumed::never(), &certificates, port).await;
    assert_eq!(other.register("token-of-web", &registration(1)).await.status(), StatusCode::NO_CONTENT);
    let answer = other.checkpoint("token-of-web", sound().to_string()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let flows = |fixture: &Fixture| -> u64 {
        fixture.api.ledger.totals(&Key::new("cameras", "faces")).iter().map(|(_, counted)| counted.flows).sum()
    };
    assert_eq!((flows(&leader), flows(&other)), (3, 0));
    assert_eq!(other.checkpoint("token-of-web", "{}").await.status(), StatusCode::UNPROCESSABLE_ENTITY, "its answer is given on");

    // somebody else at that address gets nothing
    let stranger = Certificates::of_a_test(client(), &config());
    let deceived = Fixture::replica(at, Resumed::never(), &stranger, port).await;
    assert_eq!(refused(deceived.checkpoint("token-of-web", sound().to_string()).await).await, (503, "NoLeader".into()));
    let alone = Fixture::replica(Leader::Nobody, Resumed::never(), &certificates, port).await;
    assert_eq!(refused(alone.checkpoint("token-of-web", sound().to_string()).await).await, (503, "NoLeader".into()));
    for fixture in [leader, other, deceived, alone] {
        fixture.end().await;
    }
    serving.join_next().await.unwrap().unwrap().unwrap();
}
