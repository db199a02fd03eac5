//! DNS messages, as an application asks and as a resolver answers.

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{Name, RecordType};
use jiff::Timestamp;
use shekara_policy::decide::{Question, decide_question};
use shekara_policy::{HostName, PolicyDocument, Reason};

use crate::dns::answer;
use crate::dns::forward::question;
use crate::dns::lookup::{Family, chain};
use crate::dns::question::{Asked, Judged, judge};
use crate::dns::services;

/// What is asked outside is a listed name in its one spelling, and nothing else of what the application said; what is answered is an
/// answer to its question without what leads around the sidecar.
pub fn dns_message(bytes: &[u8]) {
    let document = PolicyDocument::from_json(shekara_policy::fuzzing::DOCUMENT).unwrap();
    // every permit of the document is in force
    let now: Timestamp = "2026-06-01T10:00:00Z".parse().unwrap();
    assert!(!matches!(judge(&[], now, bytes), Judged::Ask(..) | Judged::Empty(_)), "a pod without documents asks");
    let is_query = bytes.len() >= 12 && bytes[2] & 0x80 == 0;
    match judge(std::slice::from_ref(&document), now, bytes) {
        Judged::Ignore => assert!(!is_query, "a query is not answered"),
        Judged::Unreadable(number) => {
            assert!(is_query && bytes[..2] == number.to_be_bytes());
            written(None, &answer::unreadable(number));
        }
        Judged::Denied(request, _, reason) => {
            assert!(is_query);
            for reason in [reason, Reason::LimitReached] {
                let denied = answer::denied(&request, reason);
                assert!(denied.answers.is_empty());
                written(Some(&request), &denied);
            }
        }
        Judged::Empty(request) => {
            assert!(is_query && matches!(request.queries[0].query_type(), RecordType::HTTPS | RecordType::SVCB));
            written(Some(&request), &answer::empty(&request));
        }
        Judged::Ask(request, asked) => {
            assert!(is_query);
            asks(&document, now, &request, &asked);
            written(Some(&request), &answer::failed(&request));
        }
    }
    if let Ok(message) = Message::from_vec(bytes) {
        answers(message);
    }
}

fn asks(document: &PolicyDocument, now: Timestamp, request: &Message, asked: &Asked) {
    let decided = decide_question(std::slice::from_ref(document), &asked.host, now);
    assert_eq!(decided, if asked.listed { Question::Listed } else { Question::InCluster });
    let said: HostName = request.queries[0].name().to_ascii().parse().expect("a name that is none is asked");
    let is_service = asked.kind == RecordType::SRV && services::party(&said).as_ref() == Some(&asked.host);
    assert!(said == asked.host || is_service, "another name is asked");
    let sent = question(&asked.name, asked.kind).to_vec().unwrap();
    // the header, the name with a length before each label and the root behind the last, type, class, and EDNS
    assert_eq!(sent.len(), 12 + said.as_str().len() + 2 + 4 + 11, "more leaves than the name");
    let sent = Message::from_vec(&sent).unwrap();
    let expected = Name::from_ascii(format!("{said}.")).unwrap();
    assert!(sent.queries[0].name().eq_case(&expected), "the spelling carries something");
    assert!(!matches!(asked.kind, RecordType::ANY | RecordType::AXFR | RecordType::IXFR | RecordType::HTTPS | RecordType::SVCB));
}

/// An answer can be written and read, fits a datagram, and belongs to its question.
fn written(request: Option<&Message>, answer: &Message) {
    let bytes = answer::for_datagram(request, answer).expect("an answer cannot be written");
    let takes = request.and_then(|request| request.edns.as_ref()).map_or(512, |edns| edns.max_payload().clamp(512, 4096));
    let read = Message::from_vec(&bytes).expect("an answer cannot be read");
    assert_eq!(read.metadata.message_type, MessageType::Response);
    assert!(bytes.len() <= usize::from(takes), "{} bytes where {takes} fit", bytes.len());
    if let Some(request) = request {
        assert_eq!(read.metadata.id, request.metadata.id);
        // a single question always fits
        let is_left_out = request.queries.len() > 1 && read.queries.is_empty() && read.metadata.truncation;
        assert!(read.queries == request.queries || is_left_out, "the answer is one to {:?}", read.queries);
    }
}

/// Whatever a resolver answers.
fn answers(from: Message) {
    let Some(query) = from.queries.first().cloned() else { return };
    let mut request = Message::query();
    request.add_query(query.clone());
    for family in [Family::V4, Family::V6] {
        let found = chain(&from, query.name(), family);
        let there = |address: &IpAddr| from.answers.iter().any(|record| record.data.ip_addr() == Some(*address));
        assert!(
            found.addresses.len() <= 32 && found.addresses.iter().all(|address| Family::of(*address) == family && there(address))
        );
    }
    let given = answer::answered(&request, from);
    for record in given.answers.iter().chain(&given.authorities).chain(&given.additionals) {
        assert!(record.ttl <= 3600 && !matches!(record.record_type(), RecordType::HTTPS | RecordType::SVCB), "{record}");
    }
    if given.to_vec().is_ok() {
        written(Some(&request), &given);
    }
}
