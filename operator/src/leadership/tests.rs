use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::FutureExt as _;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::fixtures::config;
use crate::serve;

fn lease(holder: Option<&str>, seconds: Option<i32>) -> Lease {
    let spec = LeaseSpec { holder_identity: holder.map(str::to_owned), lease_duration_seconds: seconds, ..LeaseSpec::default() };
    Lease { spec: Some(spec), ..Lease::default() }
}

#[test]
fn a_lease_is_taken_when_it_is_nobodys_or_up_and_kept_when_it_is_ours() {
    let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!(step(None, "a", short), Step::Create);
    assert_eq!(step(Some(&lease(None, None)), "a", short), Step::Take);
    assert_eq!(step(Some(&lease(Some(""), None)), "a", short), Step::Take);
    assert_eq!(step(Some(&lease(Some("a"), Some(15))), "a", long), Step::Renew);
    assert_eq!(step(Some(&lease(Some("b"), Some(15))), "a", short), Step::Follow);
    assert_eq!(step(Some(&lease(Some("b"), Some(15))), "a", long), Step::Take);
    assert_eq!(step(Some(&lease(Some("b"), Some(-1))), "a", short), Step::Follow);
    assert_eq!(step(Some(&lease(Some("b"), Some(120))), "a", long), Step::Follow);
}

/// An API server with one Lease, which keeps its optimistic lock.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<(u64, Option<Value>)>>);

impl Server {
    fn answer(&self, write: Option<Value>) -> Response {
        let mut state = self.0.lock();
        let Some(mut lease) = write else {
            let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not found", "reason": "NotFound", "code": 404});
            return state
                .1
                .clone()
                .map_or((StatusCode::NOT_FOUND, Json(missing)).into_response(), |lease| Json(lease).into_response());
        };
        let version =
            |lease: Option<&Value>| lease.and_then(|lease| lease["metadata"]["resourceVersion"].as_str().map(str::to_owned));
        if version(state.1.as_ref()) != version(Some(&lease)) {
            let conflict = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "conflict", "reason": "Conflict", "code": 409});
            return (StatusCode::CONFLICT, Json(conflict)).into_response();
        }
        state.0 += 1;
        lease["metadata"]["resourceVersion"] = json!(state.0.to_string());
        state.1 = Some(lease.clone());
        Json(lease).into_response()
    }

    async fn start(&self, tasks: &mut JoinSet<()>) -> Client {
        let path = "/apis/coordination.k8s.io/v1/namespaces/shekara-system/leases";
        let read = async |State(server): State<Self>| server.answer(None);
        let write = async |State(server): State<Self>, Json(lease): Json<Value>| server.answer(Some(lease));
        let router = Router::new()
            .route(path, post(write))
            .route(&format!("{path}/{LEASE}"), get(read).put(write))
            .with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tasks.spawn(serve::plain(listener, router, CancellationToken::new()).map(|_| ()));
        Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }
}

fn replica(client: &Client, name: &str) -> (Election, Leadership) {
    let mut config = config();
    config.pod_name = name.to_owned();
    config.pod_address = "10.244.0.9".parse().unwrap();
    Election::new(client.clone(), &config)
}

#[tokio::test]
async fn one_leads_the_other_follows_and_takes_over_when_the_lease_is_given_back() {
    let (server, mut tasks) = (Server::default(), JoinSet::new());
    let client = server.start(&mut tasks).await;
    let ((mut first, one), (mut second, other)) = (replica(&client, "a"), replica(&client, "b"));
    first.round().await.unwrap();
    second.round().await.unwrap();
    assert_eq!((one.leader(), other.leader()), (Leader::Here, Leader::At("10.244.0.9".parse().unwrap())));
    first.round().await.unwrap();
    first.check().unwrap();
    first.release().await;
    second.round().await.unwrap();
    assert_eq!(other.leader(), Leader::Here);
    first.round().await.unwrap();
    assert!(matches!(first.check(), Err(LeadershipLost::Taken)));
}

#[tokio::test]
async fn who_cannot_renew_in_time_ends() {
    let (server, mut tasks) = (Server::default(), JoinSet::new());
    let client = server.start(&mut tasks).await;
    let (mut first, _) = replica(&client, "a");
    first.round().await.unwrap();
    first.renewed = Instant::now().checked_sub(DEADLINE);
    assert!(matches!(first.check(), Err(LeadershipLost::NotRenewed)));
}
