//! Which pod a request comes from: its projected token is verified with the cluster's keys, or reviewed by the API server where
//! they do not tell, and the pod that the token is bound to must be in the cache under the same UID.

mod tokens;
mod verifier;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use kube::api::{Api, PostParams};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use shekara_policy::exchange::AUDIENCE;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::error::ApiError;
use crate::caches::Caches;
use crate::metrics::{self, Metrics};
use crate::watch::{Key, PodSummary};
use tokens::{Token, Tokens};

/// How long the answer of a review holds. A pod that goes is known by the cache at once.
const ACCEPTED: Duration = Duration::from_secs(60);
/// How long a refused token stays refused without asking again.
const REJECTED: Duration = Duration::from_secs(10);
/// How many answers are remembered at most.
const REMEMBERED: usize = 50_000;
/// How many reviews are asked at once.
const REVIEWS: usize = 32;
/// The longest token that is looked at.
const LONGEST: usize = 16 * 1024;
/// How long a pod may take to reach the cache after its sidecar has started.
const ARRIVAL: Duration = Duration::from_secs(5);

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Finds pods by their tokens.
pub(super) struct Identities {
    client: Client,
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    tokens: Tokens,
    known: Mutex<HashMap<[u8; 32], Known>>,
    reviews: Semaphore,
}

/// The answer of a review and how long it holds.
struct Known {
    identity: Result<Identity, Rejected>,
    until: Instant,
}

/// The pod that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    namespace: String,
    service_account: String,
    pod: String,
    uid: String,
}

/// Why a reviewed token counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rejected {
    NotAuthentic,
    NotBound,
}

impl From<Rejected> for ApiError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::NotAuthentic => Self::BadToken,
            Rejected::NotBound => Self::NotBound,
        }
    }
}

impl Identities {
    pub(super) fn new(client: Client, caches: Arc<Caches>, metrics: Arc<Metrics>) -> Self {
        let tokens = Tokens::new(client.clone());
        Self { client, caches, metrics, tokens, known: Mutex::default(), reviews: Semaphore::new(REVIEWS) }
    }

    /// The pod that sent a request with these headers.
    pub(super) async fn pod(&self, headers: &HeaderMap) -> Result<Arc<PodSummary>, ApiError> {
        let token = bearer(headers).ok_or(ApiError::NoToken)?;
        let identity = self.identity(token).await?;
        let key = Key::new(&*identity.namespace, &*identity.pod);
        let same = |pod: &PodSummary| pod.uid == identity.uid && pod.service_account == identity.service_account;
        let pod = self.caches.pods.wait_for(&key, same, ARRIVAL).await.ok_or_else(|| ApiError::NoSuchPod(key.to_string()))?;
        if pod.injected { Ok(pod) } else { Err(ApiError::NotCovered(key.to_string())) }
    }

    async fn identity(&self, token: &str) -> Result<Identity, ApiError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        if let Some(identity) = self.recall(&digest) {
            return Ok(identity?);
        }
        match self.tokens.look(token).await {
            Token::Of(identity, until) => {
                let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
                let until = Instant::now() + left.min(ACCEPTED);
                self.remember(digest, Known { identity: Ok(identity.clone()), until });
                return Ok(identity);
            }
            Token::Rejected(rejected) => return Err(rejected.into()),
            Token::Unknown => {}
        }
        // fails only for a closed semaphore, which this one never is
        let _turn = self.reviews.acquire().await.map_err(|_| ApiError::ReviewFailed)?;
        if let Some(identity) = self.recall(&digest) {
            return Ok(identity?);
        }
        let identity = identity(&self.review(token).await?);
        let (outcome, lasts) = match &identity {
            Ok(_) => (metrics::TokenReview::Accepted, ACCEPTED),
            Err(rejected) => {
                debug!(?rejected, "a token was refused");
                (metrics::TokenReview::Rejected, REJECTED)
            }
        };
        self.remember(digest, Known { identity: identity.clone(), until: Instant::now() + lasts });
        self.metrics.token_review(outcome);
        Ok(identity?)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, ApiError> {
        let spec = TokenReviewSpec { audiences: Some(vec![AUDIENCE.into()]), token: Some(token.into()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|problem| {
            self.metrics.token_review(metrics::TokenReview::Failed);
            warn!(%problem, "a token could not be reviewed");
            ApiError::ReviewFailed
        })?;
        Ok(answer.status.unwrap_or_default())
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Result<Identity, Rejected>> {
        let known = self.known.lock();
        known.get(digest).filter(|known| Instant::now() < known.until).map(|known| known.identity.clone())
    }

    fn remember(&self, digest: [u8; 32], answer: Known) {
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED {
            let now = Instant::now();
            known.retain(|_, known| now < known.until);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(digest, answer);
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST).then_some(token)
}

/// The pod that a reviewed token is bound to.
fn identity(status: &TokenReviewStatus) -> Result<Identity, Rejected> {
    let audience = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
    if status.authenticated != Some(true) || !audience {
        return Err(Rejected::NotAuthentic);
    }
    let bound = || {
        let user = status.user.as_ref()?;
        let (namespace, service_account) = user.username.as_ref()?.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        let extra = |name: &str| user.extra.as_ref()?.get(name)?.first().cloned();
        Some(Identity {
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
            pod: extra(POD_NAME)?,
            uid: extra(POD_UID)?,
        })
    };
    bound().ok_or(Rejected::NotBound)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn sound() -> Value {
        json!({
            "authenticated": true, "audiences": ["shekara"],
            "user": {"username": "system:serviceaccount:cameras:default", "extra": {POD_NAME: ["recognizer-1"], POD_UID: ["u1"]}}
        })
    }

    fn read(status: Value) -> Result<Identity, Rejected> {
        identity(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_bound_token_names_its_pod() {
        let identity = read(sound()).unwrap();
        assert_eq!(
            (identity.namespace.as_str(), identity.pod.as_str(), identity.uid.as_str()),
            ("cameras", "recognizer-1", "u1")
        );
    }

    #[rstest]
    #[case("/authenticated", json!(false), Rejected::NotAuthentic)]
    #[case("/authenticated", json!(null), Rejected::NotAuthentic)]
    #[case("/audiences", json!(["https://kubernetes.default.svc"]), Rejected::NotAuthentic)]
    #[case("/audiences", json!(null), Rejected::NotAuthentic)]
    #[case("/user/username", json!("admin"), Rejected::NotBound)]
    #[case("/user/extra", json!({POD_NAME: ["recognizer-1"]}), Rejected::NotBound)]
    #[case("/user/extra", json!({POD_UID: ["u1"]}), Rejected::NotBound)]
    #[case("/user", json!(null), Rejected::NotBound)]
    fn whatever_is_missing_makes_it_nothing(#[case] pointer: &str, #[case] value: Value, #[case] rejected: Rejected) {
        let mut status = sound();
        *status.pointer_mut(pointer).unwrap() = value;
        assert_eq!(read(status), Err(rejected));
    }

    #[rstest]
    #[case(Some("Bearer abc"), Some("abc"))]
    #[case(Some("bearer  abc"), Some("abc"))]
    #[case(Some("Basic abc"), None)]
    #[case(Some("Bearer "), None)]
    #[case(None, None)]
    fn only_a_bearer_token_is_one(#[case] value: Option<&str>, #[case] token: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        assert_eq!(bearer(&headers), token);
    }
}
