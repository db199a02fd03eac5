//! A question as it came, and what is to become of it: decided without asking anybody.

use hickory_proto::op::{Message, MessageType, OpCode};
use hickory_proto::rr::{DNSClass, Name, RecordType};
use jiff::Timestamp;
use shekara_policy::decide::{Question, decide_question};
use shekara_policy::{HostName, PolicyDocument, Reason};

use super::services;

/// What is to become of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// It is not a query, so an answer could begin a loop.
    Ignore,
    /// It is a query that cannot be read; its number is known.
    Unreadable(u16),
    /// It is not asked.
    Denied(Message, Option<HostName>, Reason),
    /// It has no data, by rule: HTTPS and SVCB records lead to Encrypted ClientHello and to other ports and names.
    Empty(Message),
    /// It may be asked.
    Ask(Message, Asked),
}

/// A question that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The name that was judged, in its canonical spelling: what the application's spelling could carry is not passed on.
    pub host: HostName,
    /// The same for the question, with the service in front that was looked for at the host.
    pub name: Name,
    /// The type.
    pub kind: RecordType,
    /// A recipient lists the name, so its addresses become pins.
    pub listed: bool,
}

/// Judges a message.
#[must_use]
pub fn judge(documents: &[PolicyDocument], now: Timestamp, bytes: &[u8]) -> Judged {
    let Ok(message) = Message::from_vec(bytes) else { return unreadable(bytes) };
    if message.metadata.message_type != MessageType::Query {
        return Judged::Ignore;
    }
    let [query] = message.queries.as_slice() else { return Judged::Denied(message, None, Reason::UnsupportedQuestion) };
    let Ok(host) = query.name().to_ascii().parse::<HostName>() else {
        // A name that is no host name is listed by nobody.
        return Judged::Denied(message, None, Reason::UnlistedQuestion);
    };
    let (kind, class) = (query.query_type(), query.query_class());
    let (listed, party) = match decide(documents, &host, kind, now) {
        (Question::Denied(reason), _) => return Judged::Denied(message, Some(host), reason),
        (Question::Listed, party) => (true, party),
        (Question::InCluster, party) => (false, party),
    };
    let supported = message.metadata.op_code == OpCode::Query && class == DNSClass::IN && message.version() == 0;
    match kind {
        _ if !supported => Judged::Denied(message, Some(host), Reason::UnsupportedQuestion),
        RecordType::HTTPS | RecordType::SVCB => Judged::Empty(message),
        kind if is_asked(kind) => match super::lookup::absolute(&host) {
            Some(name) => Judged::Ask(message, Asked { host: party.unwrap_or(host), name, kind, listed }),
            None => Judged::Denied(message, Some(host), Reason::UnlistedQuestion),
        },
        _ => Judged::Denied(message, Some(host), Reason::UnsupportedQuestion),
    }
}

/// Decides a question by its name. Where nobody lists that, and it is one under which a service of a listed party is looked for, the
/// party's name decides, and is given. To which names the answer leads is judged when these are asked.
fn decide(documents: &[PolicyDocument], host: &HostName, kind: RecordType, now: Timestamp) -> (Question, Option<HostName>) {
    let decided = decide_question(documents, host, now);
    if decided != Question::Denied(Reason::UnlistedQuestion) || kind != RecordType::SRV {
        return (decided, None);
    }
    let Some(party) = services::party(host) else { return (decided, None) };
    match decide_question(documents, &party, now) {
        // an address of the cluster in reverse has no services
        Question::InCluster => (decided, None),
        decided => (decided, Some(party)),
    }
}

/// What a denied message asks, for a pod that observes: whatever single question of the Internet's class it is.
#[must_use]
pub fn observed(message: &Message) -> Option<(Name, RecordType)> {
    let [query] = message.queries.as_slice() else { return None };
    let whole = message.metadata.op_code == OpCode::Query && query.query_class() == DNSClass::IN && message.version() == 0;
    let name = || {
        Name::from_ascii(query.name().to_ascii()).map(|mut name| {
            name.set_fqdn(true);
            name
        })
    };
    whole.then(name)?.ok().map(|name| (name, query.query_type()))
}

/// The types that applications need. Transfers and `ANY` are not among them.
fn is_asked(kind: RecordType) -> bool {
    matches!(
        kind,
        RecordType::A
            | RecordType::AAAA
            | RecordType::CNAME
            | RecordType::MX
            | RecordType::NAPTR
            | RecordType::NS
            | RecordType::PTR
            | RecordType::SOA
            | RecordType::SRV
            | RecordType::TXT
    )
}

/// A message whose header says that it is a query (RFC 1035, section 4.1.1) is told that it cannot be read.
fn unreadable(bytes: &[u8]) -> Judged {
    match bytes {
        [high, low, flags, _, _, _, _, _, _, _, _, _, ..] if flags & 0x80 == 0 => {
            Judged::Unreadable(u16::from_be_bytes([*high, *low]))
        }
        _ => Judged::Ignore,
    }
}
