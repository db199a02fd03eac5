//! One question, from its bytes to its answer.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use jiff::Timestamp;
use shekara_policy::decide::{Question, can_be_answer, decide_question};
use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, HostName, PolicyDocument, Reason};
use tokio::time::Instant;

use super::lookup::{Family, aliases, chain};
use super::question::{Asked, Judged, judge, observed};
use super::{answer, pins::Pins};
use crate::context::Context;
use crate::flow::story::Story;
use crate::metrics::QuestionOutcome;

/// An answer, and the request where it could be read.
pub struct Response {
    /// What was asked.
    pub request: Option<Message>,
    /// What is answered.
    pub answer: Message,
}

/// Judges a question, asks it if it may be asked, and answers; `None` if there is nothing to answer.
pub async fn respond(context: &Arc<Context>, bytes: &[u8]) -> Option<Response> {
    let enforced = context.enforced();
    let (request, answer) = match judge(&enforced.documents, context.clock.now(), bytes) {
        Judged::Ignore => return None,
        Judged::Unreadable(number) => {
            denied(context, None, Reason::UnsupportedQuestion);
            return Some(Response { request: None, answer: answer::unreadable(number) });
        }
        Judged::Denied(request, name, reason) => {
            let answer = refuse(context, &request, name, enforced.explain(reason)).await;
            (request, answer)
        }
        Judged::Empty(request) => {
            context.metrics.question(QuestionOutcome::Answered);
            let answer = answer::empty(&request);
            (request, answer)
        }
        Judged::Ask(request, asked) => {
            let answer = match context.spell(&asked.host) {
                Ok(()) => ask(context, &request, &asked).await,
                Err(reason) => refuse(context, &request, Some(asked.host), reason).await,
            };
            (request, answer)
        }
    };
    Some(Response { request: Some(request), answer })
}

/// Refuses a question, or asks it all the same while the pod observes.
async fn refuse(context: &Arc<Context>, request: &Message, name: Option<HostName>, reason: Reason) -> Message {
    match observed(request).filter(|_| context.observes()) {
        Some(question) => observe(context, request, name, question, reason).await,
        None => {
            denied(context, name, reason);
            answer::denied(request, reason)
        }
    }
}

async fn ask(context: &Arc<Context>, request: &Message, asked: &Asked) -> Message {
    let Some(_place) = context.waiting.take() else {
        denied(context, Some(asked.host.clone()), Reason::QuestionLimitReached);
        return answer::denied(request, Reason::QuestionLimitReached);
    };
    let enforced = context.enforced();
    context.metrics.questions_asked.inc();
    match context.forwarder.ask(&enforced.resolvers(), &asked.name, asked.kind).await {
        Ok(mut from) => {
            let kept_back = asked.listed && !context.observes() && withhold(context, &mut from);
            context.metrics.question(QuestionOutcome::Answered);
            for host in pinned(&enforced.documents, context.clock.now(), asked, &from) {
                pin(&context.pins, &host, asked, &from);
            }
            let answer = answer::answered(request, from);
            if !kept_back {
                return answer;
            }
            denied(context, Some(asked.host.clone()), Reason::ForbiddenAddress);
            answer::explained(answer, Reason::ForbiddenAddress)
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
        denied(context, host, Reason::QuestionLimitReached);
        return answer::denied(request, Reason::QuestionLimitReached);
    };
    context.metrics.questions_asked.inc();
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

/// Takes out addresses that turn the application against its own pod or its surroundings, and says whether there were any.
fn withhold(context: &Context, from: &mut Message) -> bool {
    let can_be = |record: &Record| {
        match &record.data {
            RData::A(address) => Some(IpAddr::from(address.0)),
            RData::AAAA(address) => Some(IpAddr::from(address.0)),
            _ => None,
        }
        .is_none_or(|ip| context.judge(|judge| can_be_answer(judge, Address::new(ip))))
    };
    let mut kept_back = false;
    for records in [&mut from.answers, &mut from.additionals] {
        let before = records.len();
        records.retain(can_be);
        kept_back |= records.len() < before;
    }
    kept_back
}

/// The listed names that the answer's addresses are those of: the one that was asked, or, for a name of the cluster that is but
/// another name for one outside, the names that it leads to.
fn pinned(documents: &[PolicyDocument], now: Timestamp, asked: &Asked, from: &Message) -> Vec<HostName> {
    if asked.listed {
        return vec![asked.host.clone()];
    }
    let listed = |name: &HostName| decide_question(documents, name, now) == Question::Listed;
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
