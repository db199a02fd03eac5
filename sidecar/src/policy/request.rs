//! Requests to the policy API, each with the pod's token.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;
use shekara_policy::exchange::{
    CHECKPOINTS_PATH, Checkpoint, PEERS_PATH, POLICY_PATH, REGISTRATIONS_PATH, Registration, SIGNATURE_HEADER,
};
use shekara_policy::signed::{Message, Purpose, SigningKey};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::body::RequestBody;
use super::connect::Requests;
use crate::config::{Config, PolicyApi};

/// For the head of an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// A request that got no answer, or not the one that it asks for.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The token is not there.
    #[error("the pod's token cannot be read from {0}: {1}")]
    Token(PathBuf, #[source] io::Error),
    /// The token cannot be sent.
    #[error("the pod's token cannot be sent: {0}")]
    TokenForm(#[from] InvalidHeaderValue),
    /// The request could not be put together.
    #[error("the request cannot be written: {0}")]
    Form(#[from] http::Error),
    /// The checkpoint could not be written.
    #[error("the checkpoint cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The connection broke.
    #[error("the connection to the policy API broke: {0}")]
    Http(#[from] hyper::Error),
    /// No answer in time.
    #[error("the policy API did not answer within {} s", ANSWER.as_secs())]
    Late,
    /// The operator does not accept the token.
    #[error("the policy API refuses this pod: {0}")]
    Refused(StatusCode),
}

/// Opens the watch; the answer's body is the stream of events.
pub(super) async fn watch(requests: &mut Requests, config: &Config) -> Result<Incoming, RequestError> {
    let request = Request::get(uri(&config.policy_api, &format!("{POLICY_PATH}?watch"))?);
    let answer = send(requests, &config.token, request, whole(Bytes::new())).await?;
    expect(&answer, StatusCode::OK)?;
    Ok(answer.into_body())
}

/// Opens the conversation about peers: `questions` go there, a line each, and the answer's body is the stream of events.
pub(super) async fn peers(
    requests: &mut Requests,
    config: &Config,
    questions: mpsc::Receiver<Bytes>,
) -> Result<Incoming, RequestError> {
    let request = Request::get(uri(&config.policy_api, &format!("{PEERS_PATH}?watch"))?);
    let answer = send(requests, &config.token, request, RequestBody::Lines(questions)).await?;
    expect(&answer, StatusCode::OK)?;
    Ok(answer.into_body())
}

/// Registers the key of this start.
pub(super) async fn register(requests: &mut Requests, config: &Config, registration: &Registration) -> Result<(), RequestError> {
    let request = Request::post(uri(&config.policy_api, REGISTRATIONS_PATH)?)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let answer = send(requests, &config.token, request, whole(json(registration)?)).await?;
    expect(&answer, StatusCode::NO_CONTENT)
}

/// Posts a checkpoint, signed with the key of this start.
pub(super) async fn post(
    requests: &mut Requests,
    config: &Config,
    checkpoint: &Checkpoint,
    key: &SigningKey,
) -> Result<(), RequestError> {
    let body = json(checkpoint)?;
    let signature = key.sign(&Message::new(Purpose::Checkpoint, &[&body]));
    let request = Request::post(uri(&config.policy_api, CHECKPOINTS_PATH)?)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(SIGNATURE_HEADER, signature.to_string());
    let answer = send(requests, &config.token, request, whole(body)).await?;
    expect(&answer, StatusCode::NO_CONTENT)
}

async fn send(
    requests: &mut Requests,
    token: &Path,
    request: http::request::Builder,
    body: RequestBody,
) -> Result<Response<Incoming>, RequestError> {
    let request = request.header(AUTHORIZATION, bearer(token)?).body(body)?;
    let answer = async {
        requests.ready().await?;
        requests.send_request(request).await
    };
    Ok(timeout(ANSWER, answer).await.map_err(|_| RequestError::Late)??)
}

/// Read anew each time, since the kubelet replaces the token before it expires. It lies in memory, so reading does not block.
fn bearer(token: &Path) -> Result<HeaderValue, RequestError> {
    let text = fs::read_to_string(token).map_err(|error| RequestError::Token(token.to_owned(), error))?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn uri(api: &PolicyApi, path: &str) -> Result<Uri, http::Error> {
    Uri::builder().scheme("https").authority(format!("{}:{}", api.host, api.port)).path_and_query(path).build()
}

fn whole(body: Bytes) -> RequestBody {
    RequestBody::Whole(Full::new(body))
}

fn json(body: &impl Serialize) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(body).map(Bytes::from)
}

fn expect(answer: &Response<Incoming>, expected: StatusCode) -> Result<(), RequestError> {
    if answer.status() == expected { Ok(()) } else { Err(RequestError::Refused(answer.status())) }
}
