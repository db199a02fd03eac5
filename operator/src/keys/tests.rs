use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::FutureExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::kept::ROTATE;

/// What an API server does with one Secret.
#[derive(Default)]
struct Server {
    secret: Mutex<Option<Value>>,
    writes: AtomicU64,
}

impl Server {
    fn write(&self, mut secret: Value) -> Json<Value> {
        let version = self.writes.fetch_add(1, Ordering::Relaxed) + 1;
        secret["metadata"]["resourceVersion"] = json!(version.to_string());
        *self.secret.lock() = Some(secret.clone());
        Json(secret)
    }

    fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The Secret, taken away.
    fn take(&self) -> Value {
        self.secret.lock().take().unwrap()
    }

    fn put(&self, secret: Value) {
        *self.secret.lock() = Some(secret);
    }

    fn annotate(&self) {
        let mut secret = self.take();
        secret["metadata"]["annotations"] = json!({ROTATE: "now"});
        self.put(secret);
    }
}

fn failure(code: u16, reason: &str) -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason, "reason": reason, "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(status)).into_response()
}

async fn read(Shared(server): Shared<Arc<Server>>) -> Response {
    let secret = server.secret.lock().clone();
    secret.map_or_else(|| failure(404, "NotFound"), |secret| Json(secret).into_response())
}

async fn create(Shared(server): Shared<Arc<Server>>, Json(secret): Json<Value>) -> Response {
    if server.secret.lock().is_some() { failure(409, "AlreadyExists") } else { server.write(secret).into_response() }
}

async fn replace(Shared(server): Shared<Arc<Server>>, Json(secret): Json<Value>) -> Response {
    let present = server.secret.lock().as_ref().map(|secret| secret["metadata"]["resourceVersion"].clone());
    if present == Some(secret["metadata"]["resourceVersion"].clone()) {
        server.write(secret).into_response()
    } else {
        failure(409, "Conflict")
    }
}

struct Fixture {
    server: Arc<Server>,
    client: Client,
    authorities: watch::Sender<Vec<String>>,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Fixture {
    async fn new() -> Self {
        let (server, stop) = (Arc::new(Server::default()), CancellationToken::new());
        let folder = "/api/v1/namespaces/shekara-system/secrets";
        let router = Router::new()
            .route(folder, post(create))
            .route(&format!("{folder}/shekara-keys"), get(read).put(replace))
            .with_state(Arc::clone(&server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(crate::serve::plain(listener, router, stop.clone()).map(|_| ()));
        let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        Self { server, client, authorities: watch::Sender::new(vec!["PEM".into()]), stop, tasks }
    }

    /// The operator starts.
    async fn establish(&self) -> (Arc<Keys>, Keeper) {
        let config = crate::fixtures::config();
        Keeper::establish(self.client.clone(), &config, self.authorities.subscribe()).await.unwrap()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

#[tokio::test]
async fn keys_that_are_kept_are_the_same_after_a_restart_and_nothing_is_written_without_a_change() {
    let fixture = Fixture::new().await;
    let (first, mut keeper) = fixture.establish().await;
    assert_eq!(fixture.server.writes(), 1);
    keeper.round(true).await.unwrap();
    let (second, mut keeper) = fixture.establish().await;
    keeper.round(true).await.unwrap();
    assert_eq!((first.current().root, &first.current().signed), (second.current().root, &second.current().signed));
    assert_eq!(fixture.server.writes(), 1);
    fixture.end().await;
}

#[tokio::test]
async fn a_secret_that_is_deleted_is_put_back_and_another_root_ends_the_process() {
    let fixture = Fixture::new().await;
    let (keys, mut keeper) = fixture.establish().await;
    let kept = fixture.server.take();
    keeper.round(true).await.unwrap();
    let back = fixture.server.take();
    assert_eq!(back["data"], kept["data"]);
    // an administrator restores it while the operator is away
    fixture.server.put(kept);
    assert_eq!(fixture.establish().await.0.current().root, keys.current().root);
    // lost for good: another root, which the process of before does not write over
    fixture.server.take();
    let (other, _) = fixture.establish().await;
    assert_ne!(other.current().root, keys.current().root);
    assert!(matches!(keeper.round(true).await, Err(KeysError::OtherRoot(_))));
    fixture.end().await;
}

#[tokio::test]
async fn who_asks_for_another_key_gets_it_once_and_a_newer_set_in_the_cluster_is_outlived() {
    let fixture = Fixture::new().await;
    let (keys, mut keeper) = fixture.establish().await;
    let before = keys.current();
    let mut follower = keys.subscribe();
    follower.borrow_and_update();
    fixture.server.annotate();
    keeper.round(true).await.unwrap();
    assert!(follower.has_changed().unwrap());
    let after = keys.current();
    assert!(after.key.public() != before.key.public() && after.version == before.version + 1 && after.root == before.root);
    let writes = fixture.server.writes();
    keeper.round(true).await.unwrap();
    assert_eq!(fixture.server.writes(), writes, "the wish is taken away with the key that it asked for");
    keys.outlive(40);
    keeper.round(true).await.unwrap();
    assert_eq!((keys.current().version, keys.current().key.public()), (41, after.key.public()));
    // another authority is said in the key set
    fixture.authorities.send_replace(vec!["PEM".into(), "NEW".into()]);
    keeper.round(true).await.unwrap();
    let set = keys.current().signed.verify(&after.root).unwrap();
    assert_eq!((set.version, set.authorities.len(), set.document_keys.len()), (42, 2, 2));
    fixture.end().await;
}
