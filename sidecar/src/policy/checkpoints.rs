//! When a checkpoint is due, and what it says.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use shekara_policy::exchange::{Checkpoint, QuestionTotals, Registration};
use shekara_policy::signed::SigningKey;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::connect::Requests;
use super::request::{self, RequestError};
use crate::context::Context;
use crate::metrics::CheckpointOutcome;
use crate::random;

/// The interval before the operator has said one.
const UNTOLD: Duration = Duration::from_secs(30);

/// Between two checkpoints at least, however many kinds of denial an application thinks of.
const GAP: Duration = Duration::from_millis(100);

/// What the operator may ask for, in seconds.
const INTERVALS: std::ops::RangeInclusive<u32> = 1..=3600;

/// This start of the sidecar, as its checkpoints tell of it.
#[derive(Debug)]
pub(super) struct Checkpoints {
    instance: String,
    started: Timestamp,
    key: SigningKey,
    /// Whether the operator has to be told of the key before it takes a checkpoint.
    unregistered: bool,
    sequence: u64,
    interval: Duration,
    due: Instant,
    not_before: Instant,
    backoff: Backoff,
}

impl Checkpoints {
    pub(super) fn new() -> Result<Self, random::RandomError> {
        Ok(Self {
            instance: random::name()?,
            started: Timestamp::now(),
            key: random::key()?,
            unregistered: true,
            sequence: 0,
            interval: UNTOLD,
            due: Instant::now() + UNTOLD,
            not_before: Instant::now(),
            backoff: Backoff::new(),
        })
    }

    /// Tells the operator of the key of this start. One that knows another key of this start refuses, and takes no checkpoint;
    /// documents come all the same.
    pub(super) async fn register(&mut self, requests: &mut Requests, context: &Context) -> Result<(), RequestError> {
        let registration = Registration { instance: self.instance.clone(), started: self.started, key: self.key.public() };
        match request::register(requests, &context.config, &registration).await {
            Ok(()) => self.unregistered = false,
            Err(RequestError::Refused(StatusCode::CONFLICT)) => {
                self.unregistered = true;
                tracing::error!("another key is registered for this start, so nothing that this sidecar says is believed");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Documents have just come into force or been refused, so one is due now. The operator may have said how often it wants one.
    pub(super) fn news(&mut self, interval: Option<u32>) {
        if let Some(interval) = interval {
            self.interval = Duration::from_secs(interval.clamp(*INTERVALS.start(), *INTERVALS.end()).into());
        }
        self.due = Instant::now();
    }

    /// Waits until one is due: by time, or because a denial of a new kind was counted, or the packet filter proves something else.
    pub(super) async fn due(&self, context: &Context) {
        sleep_until(self.not_before).await;
        tokio::select! {
            () = sleep_until(self.due) => {}
            () = context.ledger.news() => {}
            () = context.proven.news() => {}
        }
    }

    /// Posts the newest numbers. If they do not arrive, newer ones are due soon.
    pub(super) async fn post(&mut self, requests: &mut Requests, context: &Context) -> Result<(), RequestError> {
        if self.unregistered {
            self.register(requests, context).await?;
        }
        self.sequence += 1;
        let checkpoint = self.checkpoint(context);
        let posted = request::post(requests, &context.config, &checkpoint, &self.key).await;
        // an operator that has forgotten the key, since it is another one
        self.unregistered = matches!(posted, Err(RequestError::Refused(StatusCode::PRECONDITION_REQUIRED)));
        let now = Instant::now();
        if posted.is_ok() {
            self.backoff.after_success();
            (self.not_before, self.due) = (now + GAP, now + random::jittered(self.interval));
            context.metrics.checkpoint(CheckpointOutcome::Accepted);
        } else {
            self.due = now + self.backoff.after_failure();
            self.not_before = self.due;
            context.metrics.checkpoint(CheckpointOutcome::Failed);
        }
        posted
    }

    fn checkpoint(&self, context: &Context) -> Checkpoint {
        let enforced = context.enforced();
        Checkpoint {
            instance: self.instance.clone(),
            started: self.started,
            sequence: self.sequence,
            documents: enforced.digests(),
            serials: enforced.serials(),
            standing: enforced.standing,
            refused: enforced.refused,
            filter: context.proven.filter(),
            geo: context.geo.digest(),
            totals: context.ledger.snapshot(),
            datagrams_denied: context.sink.datagrams(),
            questions: QuestionTotals {
                asked: context.metrics.questions_asked.get(),
                labels: context.metrics.labels.get(),
                label_bytes: context.metrics.label_bytes.get(),
                cluster_names: context.metrics.cluster_names.get(),
                cluster_name_bytes: context.metrics.cluster_name_bytes.get(),
            },
        }
    }
}
