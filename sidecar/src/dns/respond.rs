//! One question, from its bytes to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use shekara_policy::decide::{Question, decide_question};
use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{HostName, PolicyDocument, Reason};
use tokio::time::Instant;

use super::lookup::{Family, aliases, chain};
use super::question::{Asked, Judged, judge, observed};
use super::{answer, pins::Pins};
use crate::context::Context;
use crate::flow::story::Story;
use crate::metrics::QuestionOutcome;

/// Questions that wait for a resolver at once.
const IN_FLIGHT: usize = 256;

/// An answer, and the request where it could be read.
pub struct Response {
    /// What was asked.
    pub request: Option<Message>,
    /// What is answered.
    pub answer: Message,
}

/// Counts the questions that wait.
#[derive(Debug, Default)]
pub struct Waiting(AtomicUsize);

struct Place<'w>(&'w Waiting);

impl Waiting {
    fn take(&self) -> Option<Place<'_>> {
        let place = Place(self);
        // the place gives itself back if it is one too many
        (self.0.fetch_add(1, Ordering::Relaxed) < IN_FLIGHT).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Judges a question, asks it if it may be asked, and answers; `None` if there is nothing to answer.
pub async fn respond(context: &Arc<Context>, bytes: &[u8]) -> Option<Response> {
    let enforced = context.enforced();
    let (request, answer) = match judge(&enforced.documents, bytes) {
        Judged::Ignore => return None,
        Judged::Unreadable(number) => {
            denied(context, None, Reason::UnsupportedQuestion);
            return Some(Response { request: None, answer: answer::unreadable(number) });
        }
        Judged::Denied(request, name, reason) => {
            let reason = enforced.explain(reason);
            let answer = match observed(&request).filter(|_| context.observes()) {
                Some(question) => observe(context, &request, name, question, reason).await,
                None => {
                    denied(context, name, reason);
                    answer::denied(&request, reason)
                }
            };
            (request, answer)
        }
        Judged::Empty(request) => {
            context.metrics.question(QuestionOutcome::Answered);
            let answer = answer::empty(&request);
            (request, answer)
        }
        Judged::Ask(request, asked) => {
            let Some(_place) = context.waiting.take() else {
                denied(context, Some(asked.host), Reason::LimitReached);
                let answer = answer::denied(&request, Reason::LimitReached);
                return Some(Response { request: Some(request), answer });
            };
            let answer = ask(context, &request, &asked).await;
            (request, answer)
        }
    };
    Some(Response { request: Some(request), answer })
}

async fn ask(context: &Context, request: &Message, asked: &Asked) -> Message {
    let enforced = context.enforced();
    match context.forwarder.ask(&enforced.resolvers(), &asked.name, asked.kind).await {
        Ok(from) => {
            context.metrics.question(QuestionOutcome::Answered);
            for host in pinned(&enforced.documents, asked, &from) {
                pin(&context.pins, &host, asked, &from);
            }
            answer::answered(request, from)
        }
        Err(error) => {
            tracing::debug!(name = %asked.host, %error, "a question was not answered");
            context.metrics.question(QuestionOutcome::Failed);
            answer::failed(request)
        }
    }
}

/// Records the denial and asks all the same. The addresses are pinned, so that the flows to them are recorded under the name.
async fn observe(
    context: &Arc<Context>,
    request: &Message,
    host: Option<HostName>,
    (name, kind): (Name, RecordType),
    reason: Reason,
) -> Message {
    let Some(_place) = context.waiting.take() else {
        denied(context, host, Reason::LimitReached);
        return answer::denied(request, Reason::LimitReached);
    };
    let mut story = Story::question(context.clone(), host.clone());
    story.observed(&Denial::of(reason));
    match context.forwarder.ask(&context.enforced().resolvers(), &name, kind).await {
        Ok(from) => {
            story.answered();
            context.metrics.question(QuestionOutcome::Answered);
            if let Some(host) = host {
                pin(&context.pins, &host, &Asked { host: host.clone(), name, kind, listed: false }, &from);
            }
            answer::answered(request, from)
        }
        Err(error) => {
            tracing::debug!(%name, %error, "a question was not answered");
            story.ended(End::Unreachable);
            context.metrics.question(QuestionOutcome::Failed);
            answer::failed(request)
        }
    }
}

/// The listed names that the answer's addresses are those of: the one that was asked, or, for a name of the cluster that is but
/// another name for one outside, the names that it leads to.
fn pinned(documents: &[PolicyDocument], asked: &Asked, from: &Message) -> Vec<HostName> {
    if asked.listed {
        return vec![asked.host.clone()];
    }
    let listed = |name: &HostName| decide_question(documents, name) == Question::Listed;
    aliases(from, &asked.name).into_iter().filter(listed).collect()
}

/// Pins before the answer is given, so that no application is faster.
fn pin(pins: &Pins, host: &HostName, asked: &Asked, from: &Message) {
    let family = match asked.kind {
        RecordType::A => Family::V4,
        RecordType::AAAA => Family::V6,
        _ => return,
    };
    let found = chain(from, &asked.name, family);
    pins.pin(host, &found.addresses, found.ttl, Instant::now());
}

fn denied(context: &Arc<Context>, name: Option<HostName>, reason: Reason) {
    context.metrics.question(QuestionOutcome::Denied);
    Story::question(context.clone(), name).refused(&Denial::of(reason));
}

#[cfg(test)]
mod tests;
