//! The conversation about peers: the addresses that this pod uses go to the operator, and who is there comes back.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use shekara_policy::exchange::{PeerEvent, PeerQuestion};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::connect::Requests;
use super::lines::Lines;
use super::request;
use crate::context::Context;

/// Questions that wait for the connection.
const WAITING: usize = 4;

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Request(#[from] request::RequestError),
    #[error("the conversation about peers broke: {0}")]
    Broken(#[from] hyper::Error),
    #[error(transparent)]
    Line(#[from] super::lines::LineTooLong),
    #[error("what is said of peers cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("the policy API ended the conversation about peers")]
    Silent,
}

/// One conversation after the other, as long as the session lasts. What was said before stays known in between.
pub(super) async fn converse(mut requests: Requests, context: &Context) -> Infallible {
    let (mut backoff, mut said) = (Backoff::new(), String::new());
    loop {
        let Err(ended) = conversation(&mut requests, context, &mut backoff).await;
        let text = ended.to_string();
        // The same sentence every five seconds would bury what else is in the log.
        if text == said {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}; known peers stay known, others are denied");
        }
        said = text;
        sleep(backoff.after_failure()).await;
    }
}

async fn conversation(requests: &mut Requests, context: &Context, backoff: &mut Backoff) -> Result<Infallible, Ended> {
    let (say, body) = mpsc::channel(WAITING);
    // Sent before the answer's head is awaited: the operator may wait for the first line.
    let _ = say.try_send(line(&context.peers.everything())?);
    let answers = request::peers(requests, &context.config, body).await?;
    tokio::select! {
        heard = hear(answers, context, backoff) => heard,
        said = tell(&say, context) => said,
    }
}

async fn tell(say: &mpsc::Sender<Bytes>, context: &Context) -> Result<Infallible, Ended> {
    loop {
        let question = context.peers.news().await;
        say.send(line(&question)?).await.map_err(|_| Ended::Silent)?;
    }
}

async fn hear(mut answers: Incoming, context: &Context, backoff: &mut Backoff) -> Result<Infallible, Ended> {
    let mut lines = Lines::default();
    while let Some(frame) = answers.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        for line in lines.take(&data)? {
            let event: PeerEvent = serde_json::from_slice(&line)?;
            backoff.after_success();
            context.peers.take(event);
        }
    }
    Err(Ended::Silent)
}

fn line(question: &PeerQuestion) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    Ok(line.into())
}
