//! The administration port: metrics, readiness and liveness, reads only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// The routes of the administration port.
pub(crate) fn router(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    Router::new().route("/metrics", get(metrics_text)).with_state(metrics).merge(health(readiness))
}

/// Readiness and liveness alone.
pub(crate) fn health(readiness: Readiness) -> Router {
    Router::new().route("/ready", get(ready)).route("/live", get(async || "ok\n")).with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let waiting = readiness.waiting_for();
    if waiting.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", waiting.join(", "))).into_response()
}

async fn metrics_text(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(problem) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{problem}\n")).into_response(),
    }
}
