//! The policy API, which sidecars speak to: the stream of a pod's documents, what is said of its peers,
//! and the checkpoints that come back.

mod checkpoints;
mod error;
mod forward;
mod identity;
mod lines;
mod peers;
mod registrations;
mod stream;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::StreamExt as _;
use kube::Client;
use shekara_policy::exchange::{CHECKPOINTS_PATH, PEERS_PATH, POLICY_PATH, REGISTRATIONS_PATH};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::caches::Caches;
use crate::config::Config;
use crate::controllers::Queues;
use crate::documents::Documents;
use crate::keys::Keys;
use crate::leadership::{Leader, Leadership};
use crate::ledger::store::Resumed;
use crate::ledger::{Ledger, Recorded};
use crate::metrics::{CheckpointOutcome, Metrics};
use crate::peers::Peers;
use crate::watch::Key;
use error::ApiError;
pub(crate) use forward::ForwardError;
use forward::Replicas;
use identity::Identities;
use peers::Conversation;
use stream::Stream;
pub(crate) use stream::holdings;

/// The largest checkpoint that is read: a thousand sums of the greatest length are about half of it.
const LARGEST: usize = 1 << 20;
/// How long the body of a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many streams of both kinds a pod may hold at once: the two in use, and some that the network has lost and nobody has noticed
/// yet.
const STREAMS: usize = 8;

/// Answers the sidecars.
pub(crate) struct PolicyApi {
    identities: Identities,
    caches: Arc<Caches>,
    documents: Arc<Documents>,
    peers: Arc<Peers>,
    keys: Arc<Keys>,
    ledger: Arc<Ledger>,
    queues: Arc<Queues>,
    metrics: Arc<Metrics>,
    interval: u32,
    leadership: Leadership,
    resumed: Resumed,
    replicas: Replicas,
    stop: CancellationToken,
}

/// What the policy API stands on.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) config: Arc<Config>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) leadership: Leadership,
    pub(crate) resumed: Resumed,
    /// The certificates of the replicas' authorities, in PEM.
    pub(crate) authorities: watch::Receiver<Vec<String>>,
    /// The port on which every replica serves it.
    pub(crate) port: u16,
    pub(crate) stop: CancellationToken,
}

#[cfg(test)]
impl Parts {
    /// Those of the one replica, which leads.
    pub(crate) fn alone(config: Config, caches: Caches, documents: Documents) -> Self {
        let (client, metrics) = (crate::fixtures::client(), Arc::new(Metrics::new().unwrap()));
        let (config, caches, documents) = (Arc::new(config), Arc::new(caches), Arc::new(documents));
        let (ledger, keys, resumed) = (Arc::new(Ledger::default()), Keys::of_test(), Resumed::always());
        Self {
            authorities: watch::channel(vec![]).1,
            peers: Arc::new(Peers::new(&config, &caches, &documents, &ledger, resumed.clone())),
            queues: Arc::default(),
            client,
            config,
            caches,
            documents,
            keys,
            ledger,
            metrics,
            leadership: Leadership::of(Leader::Here),
            resumed,
            port: 8443,
            stop: CancellationToken::new(),
        }
    }
}

impl PolicyApi {
    /// # Errors
    /// When the other replicas could not be reached in any case.
    pub(crate) fn new(parts: Parts) -> Result<Self, ForwardError> {
        let Parts {
            client,
            config,
            caches,
            documents,
            peers,
            keys,
            ledger,
            queues,
            metrics,
            leadership,
            resumed,
            authorities,
            port,
            stop,
        } = parts;
        let name = format!("{}.{}.svc", config.policy_service, config.namespace);
        Ok(Self {
            identities: Identities::new(client, Arc::clone(&caches), Arc::clone(&metrics)),
            replicas: Replicas::new(authorities, name, port)?,
            caches,
            documents,
            peers,
            keys,
            ledger,
            queues,
            metrics,
            interval: config.checkpoint_interval,
            leadership,
            resumed,
            stop,
        })
    }

    /// Where what sidecars say is known: none where it is here.
    fn elsewhere(&self, headers: &HeaderMap) -> Result<Option<IpAddr>, ApiError> {
        match self.leadership.leader() {
            _ if self.resumed.is_so() => Ok(None),
            Leader::At(address) if !headers.contains_key(forward::FORWARDED) => Ok(Some(address)),
            _ => Err(ApiError::NoLeader),
        }
    }

    /// The routes of the API.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(POLICY_PATH, get(policy))
            .route(PEERS_PATH, get(converse))
            .route(REGISTRATIONS_PATH, post(registrations::register))
            .route(CHECKPOINTS_PATH, post(checkpoint))
            .fallback(async || ApiError::NoSuchPath)
            .with_state(Arc::new(self))
    }
}

/// The documents of the pod as one event a line: once, or with `watch` at once and whenever they change.
async fn policy(
    State(api): State<Arc<PolicyApi>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let pod = api.identities.pod(&headers).await?;
    let key = Key::new(&*pod.namespace, &*pod.name);
    let pod_changes = api.documents.follow_pod(&key, STREAMS).ok_or(ApiError::TooManyStreams)?;
    debug!(pod = %key, "a policy stream begins");
    let stream = Stream::new(&api, key, pod.uid.clone(), pod_changes);
    let count = if query.contains_key("watch") { usize::MAX } else { 1 };
    let body = Body::from_stream(stream.into_events().take(count));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Who is at the addresses that the body names, an event a line: at once and whenever it is another.
async fn converse(State(api): State<Arc<PolicyApi>>, request: Request) -> Result<Response, ApiError> {
    let pod = api.identities.pod(request.headers()).await?;
    if let Some(leader) = api.elsewhere(request.headers())? {
        return api.replicas.hand_on(leader, request).await;
    }
    let body = request.into_body();
    let key = Key::new(&*pod.namespace, &*pod.name);
    let pod_changes = api.documents.follow_pod(&key, STREAMS).ok_or(ApiError::TooManyStreams)?;
    debug!(pod = %key, "a conversation about peers begins");
    let conversation = Conversation::new(&api, key, pod.uid.clone(), pod_changes, body);
    let body = Body::from_stream(conversation.into_events());
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

async fn checkpoint(State(api): State<Arc<PolicyApi>>, request: Request) -> Result<Response, ApiError> {
    // nothing is read from somebody unknown
    let pod = api.identities.pod(request.headers()).await?;
    if let Some(leader) = api.elsewhere(request.headers())? {
        return api.replicas.hand_on(leader, request).await;
    }
    let (head, body) = request.into_parts();
    let body = self::body(body, LARGEST).await.map_err(ApiError::BadCheckpoint)?;
    let checkpoint = checkpoints::read(&body).inspect_err(|_| api.metrics.checkpoint(CheckpointOutcome::Invalid))?;
    registrations::check(&api, &pod, &head.headers, &body, &checkpoint)
        .inspect_err(|_| api.metrics.checkpoint(CheckpointOutcome::Unsigned))?;
    let key = Key::new(&*pod.namespace, &*pod.name);
    let present = || api.caches.pods.get(&key).is_some_and(|now| now.uid == pod.uid);
    let before = api.ledger.heard(&pod);
    match api.ledger.record(&pod, checkpoint, present) {
        Recorded::Accepted => {
            api.metrics.checkpoint(CheckpointOutcome::Accepted);
            if api.ledger.heard(&pod) != before {
                api.peers.pod_heard(&key);
            }
            for (holding, _) in stream::holdings(&pod, &api.documents.of(&pod.namespace)) {
                api.queues.holdings.push(Key::new(&*pod.namespace, holding));
            }
        }
        Recorded::Old => api.metrics.checkpoint(CheckpointOutcome::Old),
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The body of a request, within bounds of bytes and time.
async fn body(body: Body, largest: usize) -> Result<bytes::Bytes, String> {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, largest)).await;
    read.map_err(|_| "it did not come in time".to_owned())?.map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests;
