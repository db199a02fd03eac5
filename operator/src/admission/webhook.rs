//! The webhook as a server: reads the reviews of the API server and of nobody else, as many at once as memory bears.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::Admission;
use crate::metrics;

/// The largest review that is read. The API server takes requests of 3 MiB, and may write each of their bytes as an escape of six;
/// a review that was cut off would leave a pod to the policies of the API server alone.
const LARGEST: u32 = 20 << 20;

/// Bytes of reviews that are read and judged at once. The next wait, for as long as the API server does.
pub(super) const AT_ONCE: usize = 64 << 20;

impl Admission {
    /// The routes of the server.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let admission = self;
        Router::new()
            .route("/mutate/{secret}", post(mutate))
            .layer(DefaultBodyLimit::max(LARGEST as usize))
            .layer(from_fn_with_state(Arc::clone(&admission), for_the_api_server))
            .with_state(admission)
    }

    /// Whether a path is one that the API server was told. Digests are compared, so that how long it takes says nothing of the path.
    fn is_of_api_server(&self, path: &str) -> bool {
        let digest = |path: &str| Sha256::digest(path);
        let asked = digest(path);
        self.distributed.paths.borrow().iter().any(|path| digest(path) == asked)
    }
}

/// A review of somebody else would have drafts made and events written in his name: it is not even read.
async fn for_the_api_server(State(admission): State<Arc<Admission>>, request: Request, next: Next) -> Response {
    if !admission.is_of_api_server(request.uri().path()) {
        let sentence = "the API server alone is answered, at the path of the webhook's configuration\n";
        return (StatusCode::NOT_FOUND, sentence).into_response();
    }
    // a body without a length may be of any
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let _place = admission.reviews.acquire_many(length.unwrap_or(LARGEST).min(LARGEST)).await;
    next.run(request).await
}

pub(super) async fn mutate(
    State(admission): State<Arc<Admission>>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> Response {
    let request: AdmissionRequest<DynamicObject> = match review.try_into() {
        Ok(request) => request,
        Err(problem) => return (StatusCode::BAD_REQUEST, format!("{problem}\n")).into_response(),
    };
    match admission.answer(&request).await {
        Ok(response) => Json(response.into_review()).into_response(),
        Err(problem) => {
            warn!(%problem, namespace = request.namespace, "a pod could not be judged");
            admission.metrics.admission(metrics::Admission::Failed);
            (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response()
        }
    }
}
