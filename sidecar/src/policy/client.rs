//! The client of the policy API: watches the documents of this pod and posts checkpoints.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Enforced;
use super::backoff::Backoff;
use super::checkpoints::Checkpoints;
use super::connect::{self, ConnectError, Requests};
use super::keeper::Keeper;
use super::lines::{LineTooLong, Lines};
use super::peers;
use super::request::{self, RequestError};
use crate::context::Context;
use crate::metrics::PolicyOutcome;

/// For the last checkpoint, from connecting to the answer.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How long documents wait for the key of this start to be registered.
const REGISTRATION: Duration = Duration::from_millis(500);

/// How long a sidecar that has just started waits for the operator before it goes on by the pod's files.
const PATIENCE: Duration = Duration::from_secs(1);

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
    let keeper = Keeper::new(context.clone(), documents)?;
    let mut client = Client { context, keeper, checkpoints: Checkpoints::new()?, backoff: Backoff::new() };
    if stop.run_until_cancelled(client.watch()).await.is_none() {
        client.last_words().await;
    }
    Ok(())
}

struct Client {
    context: Arc<Context>,
    keeper: Keeper,
    checkpoints: Checkpoints,
    backoff: Backoff,
}

impl Client {
    /// One session after the other; between them, what the pod's files have.
    async fn watch(&mut self) {
        let mut said = String::new();
        let policy = self.context.policy.clone();
        let patience = async {
            sleep(PATIENCE).await;
            if policy.borrow().serial > 0 {
                std::future::pending().await
            }
        };
        tokio::select! {
            Err(error) = self.session() => self.ended(&error, &mut said).await,
            () = patience => self.keeper.fall_back(),
        }
        loop {
            let Err(error) = self.session().await;
            self.ended(&error, &mut said).await;
        }
    }

    /// A session ended.
    async fn ended(&mut self, error: &SessionError, said: &mut String) {
        self.context.metrics.policy_connected.set(0);
        self.context.metrics.policy_event(PolicyOutcome::Disconnected);
        self.keeper.fall_back();
        let text = error.to_string();
        // The same sentence every five seconds would bury what else is in the log.
        if text == *said {
            tracing::debug!("{text}");
        } else {
            tracing::warn!("{text}; {}", self.meanwhile());
        }
        *said = text;
        sleep(self.backoff.after_failure()).await;
    }

    fn meanwhile(&self) -> &'static str {
        if self.context.enforced().documents.is_empty() {
            "there is no document, so nothing leaves until it is back"
        } else {
            "the last documents stay in force"
        }
    }

    /// Connects, watches and posts until something breaks.
    async fn session(&mut self) -> Result<std::convert::Infallible, SessionError> {
        let (requests, driver) = connect::connect(&self.context, &self.keeper.tls()).await?;
        tokio::select! {
            driven = driver => Err(driven.err().map_or(SessionError::Ended, SessionError::Broken)),
            outcome = self.converse(requests) => outcome,
        }
    }

    async fn converse(&mut self, mut requests: Requests) -> Result<std::convert::Infallible, SessionError> {
        // Before the first document, and so before the application runs. Where the sidecar was started again, the operator waits
        // for the kubelet to say so, and flows do not wait for that: the first checkpoint registers the key then.
        if let Ok(registered) = timeout(REGISTRATION, self.checkpoints.register(&mut requests, &self.context)).await {
            // documents come from every replica, and one that cannot take the key is no reason to do without them
            registered.unwrap_or_else(|error| tracing::warn!("the key of this start is not registered yet: {error}"));
        }
        let stream = request::watch(&mut requests, &self.context.config).await?;
        let (told, hear) = watch::channel(None);
        let Self { context, keeper, checkpoints, backoff } = self;
        context.metrics.policy_connected.set(1);
        let about_peers = requests.clone();
        // A checkpoint that is slow to be taken must not hold up documents, so all go on beside each other.
        tokio::select! {
            outcome = read(stream, keeper, backoff, &told) => outcome,
            never = report(&mut requests, context, checkpoints, hear) => match never {},
            never = peers::converse(about_peers, context) => match never {},
        }
    }

    /// What was counted since the last checkpoint is not lost with the pod, if the operator is there.
    async fn last_words(&mut self) {
        let words = async {
            let (mut requests, driver) = connect::connect(&self.context, &self.keeper.tls()).await?;
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
    keeper: &mut Keeper,
    backoff: &mut Backoff,
    told: &watch::Sender<Option<u32>>,
) -> Result<std::convert::Infallible, SessionError> {
    let mut lines = Lines::default();
    while let Some(frame) = stream.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        for line in lines.take(&data)? {
            match keeper.take(&line) {
                Ok(interval) => {
                    backoff.after_success();
                    told.send_replace(Some(interval));
                }
                // the operator hears of it at once
                Err(_) => told.send_modify(|_| {}),
            }
        }
    }
    Err(SessionError::Ended)
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
                // The reader ends with the session, and so does this.
                let Ok(()) = changed else { return std::future::pending().await };
                checkpoints.news(*told.borrow_and_update());
            }
            () = checkpoints.due(context) => {
                if let Err(error) = checkpoints.post(requests, context).await {
                    tracing::warn!("a checkpoint was not delivered: {error}");
                }
            }
        }
    }
}
