//! Why the policy API refuses a request: a stable code and a sentence, as JSON.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A refused request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("The request has no bearer token.")]
    NoToken,
    #[error("The API server does not accept the token for the audience of this service.")]
    BadToken,
    #[error("The token is not bound to a pod.")]
    NotBound,
    #[error("There is no pod {0} with the UID that the token names.")]
    NoSuchPod(String),
    #[error("The pod {0} has no sidecar.")]
    NotCovered(String),
    #[error("The API server could not be asked about the token; try again.")]
    ReviewFailed,
    #[error("The pod holds as many streams as it may.")]
    TooManyStreams,
    #[error("The checkpoint cannot be read: {0}.")]
    BadCheckpoint(String),
    #[error("No replica of the operator leads at the moment; try again.")]
    NoLeader,
    #[error("There is nothing at this path.")]
    NoSuchPath,
}

impl ApiError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoToken => "NoToken",
            Self::BadToken => "BadToken",
            Self::NotBound => "NotBound",
            Self::NoSuchPod(_) => "NoSuchPod",
            Self::NotCovered(_) => "NotCovered",
            Self::ReviewFailed => "ReviewFailed",
            Self::TooManyStreams => "TooManyStreams",
            Self::BadCheckpoint(_) => "BadCheckpoint",
            Self::NoLeader => "NoLeader",
            Self::NoSuchPath => "NoSuchPath",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::NotBound | Self::NoSuchPod(_) | Self::NotCovered(_) => StatusCode::FORBIDDEN,
            Self::ReviewFailed | Self::NoLeader => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooManyStreams => StatusCode::TOO_MANY_REQUESTS,
            Self::BadCheckpoint(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({"code": self.code(), "message": self.to_string()}));
        match self.status() {
            StatusCode::UNAUTHORIZED => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            status => (status, body).into_response(),
        }
    }
}
