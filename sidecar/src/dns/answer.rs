//! Answers, made of what was decided or of what a resolver said.

use hickory_proto::op::{Edns, Message, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use shekara_policy::Reason;

/// The code of Extended DNS Errors in EDNS (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// "Blocked" (RFC 8914, section 4.16): by a policy of whoever runs the resolver.
const BLOCKED: u16 = 15;

/// How long a denial may be remembered: little, for it ends with the next document.
const DENIAL_TTL: u32 = 5;

/// How long an answer may be remembered: as long as a pin lasts at most.
const LONGEST_TTL: u32 = 3600;

/// What a reply may measure over UDP on the loopback interface, if the application takes so much.
const PAYLOAD: u16 = 4096;

/// The least that every resolver takes (RFC 1035, section 2.3.4).
const LEAST_PAYLOAD: u16 = 512;

/// An answer that says that the question was not asked, and why. NXDOMAIN with an SOA ends the search of resolvers that have
/// more names to try; on REFUSED some stall and some give up.
#[must_use]
pub fn denied(request: &Message, reason: Reason) -> Message {
    let mut answer = reply(request);
    answer.metadata.response_code = match reason {
        Reason::UnsupportedQuestion => ResponseCode::NotImp,
        Reason::QuestionLimitReached => ResponseCode::ServFail,
        _ => ResponseCode::NXDomain,
    };
    if answer.metadata.response_code == ResponseCode::NXDomain {
        answer.add_authority(authority(request));
    }
    explained(answer, reason)
}

/// The same answer with the reason for which something is missing in it, where the application reads such things.
#[must_use]
pub fn explained(mut answer: Message, reason: Reason) -> Message {
    if let Some(edns) = &mut answer.edns {
        let text = [&BLOCKED.to_be_bytes()[..], reason.code().as_bytes()].concat();
        edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, text));
    }
    answer
}

/// An answer without data.
#[must_use]
pub fn empty(request: &Message) -> Message {
    let mut answer = reply(request);
    answer.add_authority(authority(request));
    answer
}

/// An answer that says that nobody knew one.
#[must_use]
pub fn failed(request: &Message) -> Message {
    let mut answer = reply(request);
    answer.metadata.response_code = ResponseCode::ServFail;
    answer
}

/// An answer to a message of which only the number could be read.
#[must_use]
pub fn unreadable(number: u16) -> Message {
    Message::error_msg(number, OpCode::Query, ResponseCode::FormErr)
}

/// What a resolver answered, as the application gets it.
#[must_use]
pub fn answered(request: &Message, from: Message) -> Message {
    let mut answer = reply(request);
    answer.metadata.response_code = from.metadata.response_code;
    answer.add_answers(from.answers.into_iter().filter_map(passed_on));
    answer.add_authorities(from.authorities.into_iter().filter_map(passed_on));
    answer.add_additionals(from.additionals.into_iter().filter_map(passed_on));
    answer
}

/// The bytes for UDP. Where not all fits, what nobody asked for is left out, which needs no mention (RFC 2181, section 9); then the
/// last answers, upon which the application asks over TCP if it can, and has the first ones if it cannot. A message that asks so many
/// questions that they do not fit themselves gets none of them back.
#[must_use]
pub fn for_datagram(request: Option<&Message>, answer: &Message) -> Option<Vec<u8>> {
    let takes = request.and_then(|request| request.edns.as_ref()).map_or(LEAST_PAYLOAD, Edns::max_payload);
    let most = usize::from(takes.clamp(LEAST_PAYLOAD, PAYLOAD));
    let written = |message: &Message| message.to_vec().ok().filter(|bytes| bytes.len() <= most);
    if let Some(whole) = written(answer) {
        return Some(whole);
    }
    let mut short = answer.clone();
    short.additionals.clear();
    if let Some(without) = written(&short) {
        return Some(without);
    }
    short.authorities.clear();
    if let Some(without) = written(&short) {
        return Some(without);
    }
    let first = |number: usize| {
        let mut part = answer.truncate();
        part.add_answers(answer.answers.iter().take(number).cloned());
        written(&part)
    };
    let Some(mut fit) = first(0) else {
        let mut bare = answer.truncate();
        bare.queries.clear();
        return written(&bare);
    };
    // the more answers, the longer: the largest number that fits is halved towards
    let (mut fitting, mut too_many) = (0, answer.answers.len());
    while fitting + 1 < too_many {
        let half = usize::midpoint(fitting, too_many);
        match first(half) {
            Some(bytes) => (fit, fitting) = (bytes, half),
            None => too_many = half,
        }
    }
    Some(fit)
}

fn reply(request: &Message) -> Message {
    let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
    answer.metadata = Metadata::response_from_request(&request.metadata);
    answer.metadata.recursion_available = true;
    answer.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        answer.set_edns(edns);
    }
    answer
}

/// Not what leads around the sidecar, not what is without data, as records of an update are (RFC 2136) and those of an answer cannot be, and
/// not for longer than a pin lasts.
fn passed_on(mut record: Record) -> Option<Record> {
    if matches!(record.record_type(), RecordType::HTTPS | RecordType::SVCB) || matches!(record.data, RData::Update0(_)) {
        return None;
    }
    record.ttl = record.ttl.min(LONGEST_TTL);
    Some(record)
}

/// The SOA that lets a denial be remembered (RFC 2308, section 3), of the zone above the name.
fn authority(request: &Message) -> Record {
    let zone = request.queries.first().map_or_else(Name::root, |query| query.name().base_name());
    let name = |text: &str| Name::from_ascii(text).unwrap_or_else(|_| Name::root());
    let ttl = i32::try_from(DENIAL_TTL).unwrap_or_default();
    let soa = SOA::new(name("sidecar.shekara.invalid."), name("policy.shekara.invalid."), 1, ttl, ttl, ttl, DENIAL_TTL);
    Record::from_rdata(zone, DENIAL_TTL, RData::SOA(soa))
}

#[cfg(test)]
mod tests;
