//! The key of a start of a sidecar: taken once, and asked for with every checkpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use shekara_policy::exchange::{Checkpoint, Registration, SIGNATURE_HEADER};
use shekara_policy::signed::{Message, Purpose, Signature};
use tracing::warn;

use super::error::ApiError;
use super::{PolicyApi, body};
use crate::ledger::Registering;
use crate::watch::{Key, PodSummary};

/// The largest registration that is read.
const LARGEST: usize = 4096;
/// The longest name of a start.
const NAME: usize = 64;
/// How long the kubelet may take to say that it has started a sidecar again.
const RESTART: Duration = Duration::from_secs(8);

/// Takes the key of a start. Another one than the key that counts is refused, unless the kubelet says in time that the sidecar was
/// started again.
pub(super) async fn register(State(api): State<Arc<PolicyApi>>, request: Request) -> Result<Response, ApiError> {
    let mut pod = api.identities.pod(request.headers()).await?;
    if let Some(leader) = api.elsewhere(request.headers())? {
        return api.replicas.hand_on(leader, request).await;
    }
    let bytes = self::body(request.into_body(), LARGEST).await.map_err(ApiError::BadRegistration)?;
    let registration: Registration =
        serde_json::from_slice(&bytes).map_err(|problem| ApiError::BadRegistration(problem.to_string()))?;
    if registration.instance.is_empty() || registration.instance.len() > NAME {
        return Err(ApiError::BadRegistration("instance is out of bounds".into()));
    }
    let key = Key::new(&*pod.namespace, &*pod.name);
    loop {
        let known = match api.ledger.register(&pod, &registration) {
            Registering::Accepted | Registering::Known => return Ok(StatusCode::NO_CONTENT.into_response()),
            Registering::Taken(restarts) => restarts,
        };
        let again = |now: &PodSummary| now.uid == pod.uid && now.restarts > known;
        let Some(started_again) = api.caches.pods.wait_for(&key, again, RESTART).await else {
            warn!(pod = %key, "a second key was to be registered for one start of a sidecar");
            return Err(ApiError::AlreadyRegistered);
        };
        pod = started_again;
    }
}

/// Whether a checkpoint comes from the start whose key is registered.
pub(super) fn check(
    api: &PolicyApi,
    pod: &PodSummary,
    headers: &HeaderMap,
    body: &[u8],
    checkpoint: &Checkpoint,
) -> Result<(), ApiError> {
    let registered = api.ledger.registered(pod).ok_or(ApiError::NotRegistered)?;
    let signature: Option<Signature> = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
    let message = Message::new(Purpose::Checkpoint, &[body]);
    let genuine = signature.is_some_and(|signature| registered.key.verifies(&message, &signature));
    let same = checkpoint.instance == registered.instance && checkpoint.started == registered.started;
    if genuine && same { Ok(()) } else { Err(ApiError::BadSignature) }
}
