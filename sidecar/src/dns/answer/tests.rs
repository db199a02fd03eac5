use hickory_proto::op::{MessageType, Query};
use hickory_proto::rr::rdata::{A, CNAME};
use jiff::Timestamp;
use proptest::prelude::*;
use rstest::rstest;
use shekara_policy::HostName;

use super::*;
use crate::dns::lookup::{Family, chain};
use crate::dns::question::{Judged, judge};
use crate::flow::tests::document;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(text: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(name(text), kind));
    message.metadata.recursion_desired = true;
    message
}

fn judged(message: &Message) -> Judged {
    judge(&[document()], Timestamp::UNIX_EPOCH, &message.to_vec().unwrap())
}

fn reason(judged: &Judged) -> Option<Reason> {
    match judged {
        Judged::Denied(_, _, reason) => Some(*reason),
        _ => None,
    }
}

#[rstest]
#[case("API.clinic.example.KZ.", RecordType::A, "api.clinic.example.kz", true)]
#[case("broker.example.kz.", RecordType::AAAA, "broker.example.kz", true)]
#[case("vectors.archive.svc.cluster.local.", RecordType::SRV, "vectors.archive.svc.cluster.local", false)]
#[case("20.0.96.10.in-addr.arpa.", RecordType::PTR, "20.0.96.10.in-addr.arpa", false)]
fn asked(#[case] text: &str, #[case] kind: RecordType, #[case] host: &str, #[case] listed: bool) {
    let Judged::Ask(_, asked) = judged(&question(text, kind)) else { panic!("not asked") };
    assert_eq!((asked.host.as_str(), asked.kind, asked.listed), (host, kind, listed));
    assert!(asked.name.eq_case(&name(&format!("{host}."))), "what the spelling could carry is passed on: {}", asked.name);
}

#[rstest]
#[case("_mqtt._tcp.Broker.example.kz.", "broker.example.kz")]
#[case::below_a_wildcard("_sip._udp.face.clinic.example.kz.", "face.clinic.example.kz")]
fn services_of_a_listed_party_are_looked_for(#[case] text: &str, #[case] host: &str) {
    let Judged::Ask(_, asked) = judged(&question(text, RecordType::SRV)) else { panic!("not asked") };
    assert_eq!((asked.host.as_str(), asked.listed), (host, true), "the label below a wildcard is counted");
    assert!(asked.name.eq_case(&name(&text.to_lowercase())), "{}", asked.name);
}

#[test]
fn a_service_of_a_party_whose_permit_has_expired_is_not_looked_for() {
    let mut expired = document();
    expired.routes[0].permits.as_mut().unwrap()[0].valid_until = Some(Timestamp::UNIX_EPOCH);
    let message = question("_mqtt._tcp.broker.example.kz.", RecordType::SRV);
    let judged = judge(&[expired], Timestamp::UNIX_EPOCH, &message.to_vec().unwrap());
    let Judged::Denied(_, Some(asked), reason) = judged else { panic!("{judged:?}") };
    assert_eq!((asked.as_str(), reason), ("_mqtt._tcp.broker.example.kz", Reason::PermitExpired));
}

#[rstest]
#[case::unlisted("ads.example.com.", RecordType::A, Reason::UnlistedQuestion)]
#[case::child("secret.api.clinic.example.kz.", RecordType::A, Reason::UnlistedQuestion)]
#[case::unlisted_whatever_type("ads.example.com.", RecordType::ANY, Reason::UnlistedQuestion)]
#[case::root(".", RecordType::NS, Reason::UnlistedQuestion)]
#[case::service_of_nobody("_mqtt._tcp.ads.example.com.", RecordType::SRV, Reason::UnlistedQuestion)]
#[case::service_of_ones_own("_face-4711._tcp.broker.example.kz.", RecordType::SRV, Reason::UnlistedQuestion)]
#[case::service_by_another_type("_mqtt._tcp.broker.example.kz.", RecordType::TXT, Reason::UnlistedQuestion)]
#[case::service_at_an_address("_mqtt._tcp.20.0.96.10.in-addr.arpa.", RecordType::SRV, Reason::UnlistedQuestion)]
#[case::everything("broker.example.kz.", RecordType::ANY, Reason::UnsupportedQuestion)]
#[case::transfer("broker.example.kz.", RecordType::AXFR, Reason::UnsupportedQuestion)]
fn not_asked(#[case] text: &str, #[case] kind: RecordType, #[case] expected: Reason) {
    assert_eq!(reason(&judged(&question(text, kind))), Some(expected));
}

#[test]
fn what_is_no_host_name_is_listed_by_nobody() {
    for label in [&b"a b"[..], b"a.b", b"\xff", b"-", &[b'x'; 63]] {
        let mut message = Message::query();
        let labels = [label, b"clinic", b"example", b"kz"];
        message.add_query(Query::query(Name::from_labels(labels).unwrap(), RecordType::TXT));
        assert_eq!(reason(&judged(&message)), (label.len() < 63).then_some(Reason::UnlistedQuestion), "{label:?}");
    }
}

#[test]
fn names_that_lead_to_hidden_names_have_no_data() {
    for kind in [RecordType::HTTPS, RecordType::SVCB] {
        let Judged::Empty(request) = judged(&question("api.clinic.example.kz.", kind)) else { panic!("not empty") };
        let answer = empty(&request);
        assert_eq!(
            (answer.metadata.response_code, answer.answers.len(), answer.authorities.len()),
            (ResponseCode::NoError, 0, 1)
        );
    }
}

#[test]
fn other_messages_are_not_asked_either() {
    let mut answer = question("broker.example.kz.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    assert_eq!(judged(&answer), Judged::Ignore);
    let mut update = question("broker.example.kz.", RecordType::A);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(reason(&judged(&update)), Some(Reason::UnsupportedQuestion));
    let mut two = question("broker.example.kz.", RecordType::A);
    two.add_query(Query::query(name("ads.example.com."), RecordType::A));
    assert_eq!(reason(&judged(&two)), Some(Reason::UnsupportedQuestion));
    let bytes = question("broker.example.kz.", RecordType::A).to_vec().unwrap();
    let number = u16::from_be_bytes([bytes[0], bytes[1]]);
    assert_eq!(judge(&[document()], Timestamp::UNIX_EPOCH, &bytes[..bytes.len() - 1]), Judged::Unreadable(number));
    assert_eq!(judge(&[document()], Timestamp::UNIX_EPOCH, &bytes[..11]), Judged::Ignore);
    assert_eq!(reason(&judge(&[], Timestamp::UNIX_EPOCH, &bytes)), Some(Reason::NoDocument));
}

#[test]
fn questions_that_do_not_fit_into_their_answer_are_refused_and_not_repeated() {
    // no two have an end in common, which would be written once
    let long = |letter: &str| format!("{0}.{0}.{0}.", letter.repeat(60));
    let mut request = question(&long("a"), RecordType::A);
    for letter in ["b", "c", "d"] {
        request.add_query(Query::query(name(&long(letter)), RecordType::A));
    }
    let refusal = denied(&request, Reason::UnsupportedQuestion);
    let bytes = for_datagram(Some(&request), &refusal).unwrap();
    assert!(bytes.len() <= 512, "{} bytes", bytes.len());
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (request.metadata.id, refusal.metadata.response_code));
    assert!(answer.queries.is_empty() && answer.metadata.truncation);
}

fn written(message: &Message) -> Message {
    Message::from_vec(&message.to_vec().unwrap()).unwrap()
}

#[test]
fn a_denial_says_why_to_those_who_can_hear_it() {
    let mut request = question("x.ads.example.com.", RecordType::A);
    let answer = written(&denied(&request, Reason::UnlistedQuestion));
    assert_eq!((answer.metadata.id, answer.metadata.response_code), (request.metadata.id, ResponseCode::NXDomain));
    assert!(answer.metadata.recursion_available && answer.metadata.recursion_desired);
    assert_eq!(answer.queries, request.queries);
    assert_eq!((answer.authorities[0].record_type(), &answer.authorities[0].name), (RecordType::SOA, &name("ads.example.com.")));
    assert!(answer.edns.is_none(), "EDNS only where it was asked for (RFC 6891, section 7)");
    request.set_edns(Edns::new());
    let answer = written(&denied(&request, Reason::UnlistedQuestion));
    let error = answer.edns.as_ref().unwrap().option(EXTENDED_ERROR.into()).unwrap();
    assert_eq!(*error, EdnsOption::Unknown(15, b"\x00\x0fUnlistedQuestion".to_vec()));
}

#[test]
fn answers_are_passed_on_without_what_leads_around() {
    let request = question("api.clinic.example.kz.", RecordType::A);
    let mut from = question("api.clinic.example.kz.", RecordType::A);
    from.add_answer(Record::from_rdata(name("api.clinic.example.kz."), 90_000, RData::A(A::new(192, 0, 2, 1))));
    let svcb = hickory_proto::rr::rdata::SVCB::new(1, Name::root(), vec![]);
    from.add_additional(Record::from_rdata(name("api.clinic.example.kz."), 60, RData::SVCB(svcb)));
    let answer = written(&answered(&request, from));
    assert_eq!((answer.answers.len(), answer.answers[0].ttl, answer.additionals.len()), (1, LONGEST_TTL, 0));
    assert_eq!(answer.metadata.id, request.metadata.id);
}

#[test]
fn what_does_not_fit_a_datagram_is_asked_over_tcp_and_begins_in_it() {
    let mut request = question("api.clinic.example.kz.", RecordType::A);
    let mut answer = reply(&request);
    for last in 0..100 {
        answer.add_answer(Record::from_rdata(name("api.clinic.example.kz."), 60, RData::A(A::new(192, 0, 2, last))));
    }
    answer.add_authority(authority(&request));
    let bytes = for_datagram(Some(&request), &answer).unwrap();
    let short = Message::from_vec(&bytes).unwrap();
    // twelve bytes of a header, 27 of the question, and sixteen an answer
    assert_eq!((short.metadata.truncation, short.answers.len(), bytes.len()), (true, 29, 12 + 27 + 29 * 16));
    assert_eq!(short.answers[..], answer.answers[..29], "the first ones, with the aliases that lead to the others");
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    request.set_edns(edns);
    let whole = Message::from_vec(&for_datagram(Some(&request), &answer).unwrap()).unwrap();
    assert!(!whole.metadata.truncation && whole.answers.len() == 100 && whole.authorities.len() == 1);
}

#[rstest]
#[case::beside_it(24, 1, 10, (1, 0))]
#[case::above_it(24, 10, 10, (0, 0))]
#[case::nothing(24, 1, 1, (1, 1))]
fn what_nobody_asked_for_is_left_out_without_a_word(
    #[case] answers: u8,
    #[case] above: u8,
    #[case] beside: u8,
    #[case] left: (usize, usize),
) {
    let request = question("api.clinic.example.kz.", RecordType::A);
    let mut answer = reply(&request);
    let record = |last| Record::from_rdata(name("api.clinic.example.kz."), 60, RData::A(A::new(192, 0, 2, last)));
    answer.add_answers((0..answers).map(record));
    answer.add_authorities((0..above).map(record));
    answer.add_additionals((0..beside).map(record));
    let short = Message::from_vec(&for_datagram(Some(&request), &answer).unwrap()).unwrap();
    assert_eq!((short.metadata.truncation, short.answers.len()), (false, answers.into()));
    assert_eq!((short.authorities.len(), short.additionals.len()), left);
}

#[test]
fn aliases_are_followed_and_strangers_in_an_answer_are_not() {
    let mut answer = question("a.example.kz.", RecordType::A);
    let alias = |from: &str, to: &str, ttl| Record::from_rdata(name(from), ttl, RData::CNAME(CNAME(name(to))));
    let address = |owner: &str, last, ttl| Record::from_rdata(name(owner), ttl, RData::A(A::new(192, 0, 2, last)));
    answer.add_answers([
        address("stranger.example.com.", 9, 60),
        alias("A.example.kz.", "b.example.kz.", 30),
        alias("b.example.kz.", "c.example.kz.", 60),
        address("c.example.kz.", 1, 60),
        address("c.example.kz.", 2, 50),
    ]);
    let found = chain(&answer, &name("a.example.kz."), Family::V4);
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    assert_eq!((addresses, found.ttl.as_secs()), (vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()], 30));
    assert!(chain(&answer, &name("a.example.kz."), Family::V6).addresses.is_empty());
    let mut circle = question("a.example.kz.", RecordType::A);
    circle.add_answers([alias("a.example.kz.", "b.example.kz.", 1), alias("b.example.kz.", "a.example.kz.", 1)]);
    assert!(chain(&circle, &name("a.example.kz."), Family::V4).addresses.is_empty());
}

proptest! {
    #[test]
    fn only_listed_and_cluster_names_are_ever_asked(labels in prop::collection::vec("[a-zA-Z0-9_]{1,12}", 1..5), zone in 0usize..4) {
        let zones = ["clinic.example.kz", "example.kz", "cluster.local", "example.com"];
        let text = format!("{}.{}.", labels.join("."), zones[zone]);
        if let Judged::Ask(_, asked) = judged(&question(&text, RecordType::A)) {
            let host: HostName = text.parse().unwrap();
            prop_assert_eq!(&asked.host, &host);
            prop_assert!(host.is_within(&"cluster.local".parse().unwrap()) || labels.len() == 1);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes: Vec<u8>) {
        let _ = judge(&[document()], Timestamp::UNIX_EPOCH, &bytes);
    }
}
