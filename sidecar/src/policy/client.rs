//! The client of the policy API: watches the documents of this pod and posts checkpoints.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Enforced;
use super::backoff::Backoff;
use super::checkpoints::Checkpoints;
use super::connect::{self, ConnectError, Requests};
use super::event::Event;
use super::lines::{LineTooLong, Lines};
use super::peers;
use super::request::{self, RequestError};
use crate::context::Context;
use crate::metrics::PolicyOutcome;

/// For the last checkpoint, from connecting to the answer.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why a session with the policy API ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It did not begin.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The watch could not be opened.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The connection broke.
    #[error("the connection to the policy API broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The operator ended the stream, as it does when it stops.
    #[error("the policy API ended the stream")]
    Ended,
    /// The stream cannot be read on.
    #[error(transparent)]
    Line(#[from] LineTooLong),
}

/// Watches and posts until `stop`; then posts a last checkpoint within a bound and returns.
///
/// # Errors
/// Only when it can never succeed; a policy API that is away is waited for, and the last documents stay in force.
pub async fn run(context: Arc<Context>, documents: watch::Sender<Arc<Enforced>>, stop: CancellationToken) -> anyhow::Result<()> {
    let tls = connect::tls(&context.config.policy_ca)?;
    let mut client = Client { context, documents, tls, checkpoints: Checkpoints::new()?, backoff: Backoff::new() };
    if stop.run_until_cancelled(client.watch()).await.is_none() {
        client.last_words().await;
    }
    Ok(())
}

struct Client {
    context: Arc<Context>,
    documents: watch::Sender<Arc<Enforced>>,
    tls: Arc<ClientConfig>,
    checkpoints: Checkpoints,
    backoff: Backoff,
}

impl Client {
    /// One session after the other.
    async fn watch(&mut self) {
        let mut said = String::new();
        loop {
            let Err(error) = self.session().await;
            self.context.metrics.policy_connected.set(0);
            self.context.metrics.policy_event(PolicyOutcome::Disconnected);
            let text = error.to_string();
            // The same sentence every five seconds would bury what else is in the log.
            if text == said {
                tracing::debug!("{text}");
            } else {
                tracing::warn!("{text}; {}", self.meanwhile());
            }
            said = text;
            sleep(self.backoff.after_failure()).await;
        }
    }

    fn meanwhile(&self) -> &'static str {
        if self.documents.borrow().documents.is_empty() {
            "there is no document, so nothing leaves until it is back"
        } else {
            "the last documents stay in force"
        }
    }

    /// Connects, watches and posts until something breaks.
    async fn session(&mut self) -> Result<std::convert::Infallible, SessionError> {
        let (requests, driver) = connect::connect(&self.context, &self.tls).await?;
        tokio::select! {
            driven = driver => Err(driven.err().map_or(SessionError::Ended, SessionError::Broken)),
            outcome = self.converse(requests) => outcome,
        }
    }

    async fn converse(&mut self, mut requests: Requests) -> Result<std::convert::Infallible, SessionError> {
        let stream = request::watch(&mut requests, &self.context.config).await?;
        let (told, hear) = watch::channel(None);
        let Self { context, documents, checkpoints, backoff, .. } = self;
        context.metrics.policy_connected.set(1);
        let about_peers = requests.clone();
        // A checkpoint that is slow to be taken must not hold up documents, so all go on beside each other.
        tokio::select! {
            outcome = read(stream, context, documents, backoff, &told) => outcome,
            never = report(&mut requests, context, checkpoints, hear) => match never {},
            never = peers::converse(about_peers, context) => match never {},
        }
    }

    /// What was counted since the last checkpoint is not lost with the pod, if the operator is there.
    async fn last_words(&mut self) {
        let words = async {
            let (mut requests, driver) = connect::connect(&self.context, &self.tls).await?;
            tokio::select! {
                driven = driver => Err(driven.err().map_or(SessionError::Ended, SessionError::Broken)),
                posted = self.checkpoints.post(&mut requests, &self.context) => Ok(posted?),
            }
        };
        match timeout(LAST_WORDS, words).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the last checkpoint was not delivered: {error}"),
            Err(_) => tracing::warn!("the last checkpoint was not delivered within {} s", LAST_WORDS.as_secs()),
        }
    }
}

/// Reads the stream and puts into force what it brings.
async fn read(
    mut stream: Incoming,
    context: &Context,
    documents: &watch::Sender<Arc<Enforced>>,
    backoff: &mut Backoff,
    told: &watch::Sender<Option<u32>>,
) -> Result<std::convert::Infallible, SessionError> {
    let mut lines = Lines::default();
    while let Some(frame) = stream.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        for line in lines.take(&data)? {
            match Event::read(&line) {
                Ok(event) => {
                    backoff.after_success();
                    context.metrics.policy_event(PolicyOutcome::Accepted);
                    let interval = event.checkpoint_interval;
                    put_in_force(documents, event);
                    told.send_replace(Some(interval));
                }
                Err(error) => {
                    context.metrics.policy_event(PolicyOutcome::Rejected);
                    tracing::error!("{error}; what was in force before stays in force");
                }
            }
        }
    }
    Err(SessionError::Ended)
}

/// All documents at once, unless they are in force already: then living flows need not be judged again.
fn put_in_force(documents: &watch::Sender<Arc<Enforced>>, event: Event) {
    let Event { documents: new, digests, .. } = event;
    documents.send_if_modified(|enforced| {
        if enforced.serial > 0 && enforced.digests == digests {
            return false;
        }
        let holdings = new.iter().map(|document| document.holding.to_string()).collect::<Vec<_>>().join(", ");
        tracing::info!(%holdings, digests = digests.join(", "), "documents are in force");
        *enforced = Arc::new(Enforced { documents: new, digests, serial: enforced.serial + 1 });
        true
    });
}

/// Posts checkpoints as they become due.
async fn report(
    requests: &mut Requests,
    context: &Context,
    checkpoints: &mut Checkpoints,
    mut told: watch::Receiver<Option<u32>>,
) -> std::convert::Infallible {
    loop {
        tokio::select! {
            changed = told.changed() => {
                let interval = *told.borrow_and_update();
                match (changed, interval) {
                    (Ok(()), Some(interval)) => checkpoints.documents_in_force(interval),
                    // The reader ends with the session, and so does this.
                    _ => std::future::pending().await,
                }
            }
            () = checkpoints.due(context) => {
                if let Err(error) = checkpoints.post(requests, context).await {
                    tracing::warn!("a checkpoint was not delivered: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(names: &[&str]) -> Event {
        let documents = names.iter().map(|name| {
            let mut document = crate::flow::tests::document();
            document.holding.name = (*name).to_owned();
            document
        });
        let documents: Vec<_> = documents.collect();
        let digests = documents.iter().map(|document| document.digest().unwrap()).collect();
        Event { documents, digests, checkpoint_interval: 30 }
    }

    #[test]
    fn the_same_documents_again_disturb_nobody_and_fewer_do() {
        let (sender, mut receiver) = crate::policy::channel();
        put_in_force(&sender, event(&["a", "b"]));
        assert_eq!(receiver.borrow_and_update().documents.len(), 2);
        put_in_force(&sender, event(&["a", "b"]));
        assert!(!receiver.has_changed().unwrap());
        put_in_force(&sender, event(&[]));
        let enforced = receiver.borrow_and_update().clone();
        assert_eq!((enforced.documents.len(), enforced.serial), (0, 2));
    }

    #[test]
    fn an_empty_first_event_is_news_too() {
        let (sender, receiver) = crate::policy::channel();
        put_in_force(&sender, event(&[]));
        assert_eq!(receiver.borrow().serial, 1);
    }
}
