//! The policy API, which sidecars speak to: the stream of a pod's documents, and the checkpoints that come back.

mod checkpoints;
mod error;
mod identity;
mod registrations;
mod stream;

use std::collections::HashMap;
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
use shekara_policy::exchange::{CHECKPOINTS_PATH, POLICY_PATH, REGISTRATIONS_PATH};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::caches::Caches;
use crate::config::Config;
use crate::controllers::Queues;
use crate::documents::Documents;
use crate::keys::Keys;
use crate::ledger::{Ledger, Recorded};
use crate::metrics::{CheckpointOutcome, Metrics};
use crate::watch::Key;
use error::ApiError;
use identity::Identities;
use stream::Stream;

/// The largest checkpoint that is read: a thousand sums of the greatest length are about half of it.
const LARGEST: usize = 1 << 20;
/// How long the body of a request may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many streams a pod may hold at once: the one in use, and some that the network has lost and nobody has noticed yet.
const STREAMS: usize = 4;

/// Answers the sidecars.
pub(crate) struct PolicyApi {
    identities: Identities,
    caches: Arc<Caches>,
    documents: Arc<Documents>,
    keys: Arc<Keys>,
    ledger: Arc<Ledger>,
    queues: Arc<Queues>,
    metrics: Arc<Metrics>,
    interval: u32,
    stop: CancellationToken,
}

impl PolicyApi {
    #[allow(clippy::too_many_arguments, reason = "each is one part that the API joins")]
    pub(crate) fn new(
        client: Client,
        config: &Config,
        caches: &Arc<Caches>,
        documents: Arc<Documents>,
        keys: Arc<Keys>,
        ledger: Arc<Ledger>,
        queues: Arc<Queues>,
        metrics: &Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            identities: Identities::new(client, Arc::clone(caches), Arc::clone(metrics)),
            caches: Arc::clone(caches),
            documents,
            keys,
            ledger,
            queues,
            metrics: Arc::clone(metrics),
            interval: config.checkpoint_interval,
            stop,
        }
    }

    /// The routes of the API.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route(POLICY_PATH, get(policy))
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

async fn checkpoint(State(api): State<Arc<PolicyApi>>, request: Request) -> Result<StatusCode, ApiError> {
    let (head, body) = request.into_parts();
    // nothing is read from somebody unknown
    let pod = api.identities.pod(&head.headers).await?;
    let body = self::body(body, LARGEST).await.map_err(ApiError::BadCheckpoint)?;
    let checkpoint = checkpoints::read(&body).inspect_err(|_| api.metrics.checkpoint(CheckpointOutcome::Invalid))?;
    registrations::check(&api, &pod, &head.headers, &body, &checkpoint)
        .inspect_err(|_| api.metrics.checkpoint(CheckpointOutcome::Unsigned))?;
    let key = Key::new(&*pod.namespace, &*pod.name);
    let present = || api.caches.pods.get(&key).is_some_and(|now| now.uid == pod.uid);
    match api.ledger.record(&pod, checkpoint, present) {
        Recorded::Accepted => {
            api.metrics.checkpoint(CheckpointOutcome::Accepted);
            for (holding, _) in stream::holdings(&pod, &api.documents.of(&pod.namespace)) {
                api.queues.holdings.push(Key::new(&*pod.namespace, holding));
            }
        }
        Recorded::Old => api.metrics.checkpoint(CheckpointOutcome::Old),
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The body of a request, within bounds of bytes and time.
async fn body(body: Body, largest: usize) -> Result<bytes::Bytes, String> {
    let read = tokio::time::timeout(PATIENCE, to_bytes(body, largest)).await;
    read.map_err(|_| "it did not come in time".to_owned())?.map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests;
