use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::flow::hello::Progress;

const FIRST: &str = "GET /first HTTP/1.1\r\nHost: a.example.kz\r\n\r\n";

/// The port that was dialled.
const PORT: u16 = 8080;

fn first(text: &str) -> Head {
    let Progress::Whole(head) = head(text.as_bytes()) else { panic!("{text} is no whole request") };
    head
}

/// Passes bytes in pieces of a length behind a first head.
fn pass(first_head: &str, rest: &[u8], length: usize) -> Result<Vec<u8>, Reason> {
    let mut requests = Requests::after(&first(first_head), PORT, Bound::new(1));
    let mut out = Vec::new();
    rest.chunks(length.max(1)).try_for_each(|piece| requests.pass(piece, &mut out))?;
    Ok(out)
}

#[rstest]
#[case::next("GET /second HTTP/1.1\r\nHost: a.example.kz\r\n\r\n")]
#[case::with_the_port_that_was_dialled("GET /second HTTP/1.1\r\nHost: a.example.kz:8080\r\n\r\n")]
#[case::body(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 5\r\n\r\n12345GET / HTTP/1.1\r\nHost: a.example.kz\r\n\r\n"
)]
#[case::chunks(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\nA;x=y\r\n1234567890\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\nHost: a.example.kz\r\n\r\n"
)]
#[case::a_request_in_a_body(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 40\r\n\r\nGET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n."
)]
fn requests_for_the_same_party_are_passed_on(#[case] rest: &str) {
    for length in [1, 2, 3, 7, 1000] {
        assert_eq!(pass(FIRST, rest.as_bytes(), length).unwrap(), rest.as_bytes(), "in pieces of {length}");
    }
}

#[test]
fn who_named_the_port_that_was_dialled_may_leave_it_out_and_name_no_other() {
    let head = FIRST.replace("a.example.kz", "a.example.kz:8080");
    assert_eq!(pass(&head, FIRST.as_bytes(), 1000).unwrap(), FIRST.as_bytes());
    let other = FIRST.replace("a.example.kz", "a.example.kz:81");
    assert_eq!(pass(&head, other.as_bytes(), 1000), Err(Reason::AmbiguousAuthority));
}

#[rstest]
#[case::another_party("GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::another_port("GET / HTTP/1.1\r\nHost: a.example.kz:81\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::the_default_port("GET / HTTP/1.1\r\nHost: a.example.kz:80\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::nobody("GET / HTTP/1.1\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::behind_a_body(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 2\r\n\r\n12GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n",
    Reason::AmbiguousAuthority
)]
#[case::behind_chunks(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n",
    Reason::AmbiguousAuthority
)]
#[case::chunk_without_line_end(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n12X\r\n",
    Reason::AmbiguousLength
)]
#[case::chunk_of_no_size(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n;x\r\n",
    Reason::AmbiguousLength
)]
#[case::chunk_of_a_signed_size(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n",
    Reason::AmbiguousLength
)]
#[case::bare_line_feed(
    "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n2;\n12\r\n",
    Reason::AmbiguousLength
)]
#[case::late_websocket_of_another_party(
    "GET / HTTP/1.1\r\nHost: b.example.com\r\nUpgrade: websocket\r\n\r\n",
    Reason::AmbiguousAuthority
)]
#[case::connect("CONNECT a.example.kz:443 HTTP/1.1\r\n\r\n", Reason::ProxyRequest)]
#[case::connect_behind_an_empty_line("\r\nCONNECT / HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::ProxyRequest)]
#[case::http_2("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::ProxyRequest)]
#[case::no_request("\x16\x03\x01", Reason::UnreadableHello)]
fn other_requests_are_not(#[case] rest: &str, #[case] reason: Reason) {
    for length in [1, 5, 1000] {
        assert_eq!(pass(FIRST, rest.as_bytes(), length), Err(reason), "in pieces of {length}");
    }
}

#[rstest]
#[case::head(FIRST, "GET /second HTTP/1.1\r\nHost: a.example.kz\r\nX: ", "\r\n\r\n")]
#[case::line(FIRST, "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n1;", "\r\nx")]
#[case::held(WEBSOCKET, "", "")]
fn as_many_flows_keep_much_of_what_is_not_finished_as_there_are_places(
    #[case] first_head: &str,
    #[case] begun: &str,
    #[case] end: &str,
) {
    let half_open = Bound::new(3);
    let begin = |length: usize| {
        let mut requests = Requests::after(&first(first_head), PORT, half_open.clone());
        let bytes = [begun.as_bytes(), &vec![b'x'; length]].concat();
        bytes.chunks(700).try_for_each(|piece| requests.pass(piece, &mut Vec::new())).map(|()| requests)
    };
    let mut much: Vec<_> = (0..3).map(|_| begin(2000).unwrap()).collect();
    assert_eq!(begin(2000).unwrap_err(), Reason::HalfOpenLimitReached);
    let little: Vec<_> = (0..1000).map(|_| begin(100).unwrap()).collect();
    assert!(little.iter().all(|requests| requests.place.is_none()));
    // one that is finished makes room for another
    let finished = &mut much[0];
    finished.pass(end.as_bytes(), &mut Vec::new()).unwrap();
    finished.answered(true, &mut Vec::new()).unwrap();
    let another = begin(2000).unwrap();
    assert_eq!(begin(2000).unwrap_err(), Reason::HalfOpenLimitReached);
    drop(another);
    assert!(begin(2000).is_ok());
}

#[test]
fn a_request_that_comes_whole_needs_no_place() {
    let long = FIRST.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "x".repeat(2000)));
    let mut requests = Requests::after(&first(FIRST), PORT, Bound::new(0));
    requests.pass(long.as_bytes(), &mut Vec::new()).unwrap();
}

#[test]
fn a_head_without_end_is_refused() {
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; LIMIT]].concat();
    assert_eq!(pass(FIRST, &endless, 1000), Err(Reason::UnreadableHello));
}

const WEBSOCKET: &str = "GET / HTTP/1.1\r\nHost: a.example.kz\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

#[test]
fn behind_an_accepted_handshake_everything_passes_and_before_nothing() {
    let (mut requests, mut out) = (Requests::after(&first(WEBSOCKET), PORT, Bound::new(1)), Vec::new());
    assert!(requests.awaits_answer());
    requests.pass(b"\x81\x02hi", &mut out).unwrap();
    assert!(out.is_empty());
    requests.answered(true, &mut out).unwrap();
    requests.pass(b"\x81\x02ho", &mut out).unwrap();
    assert_eq!(out, b"\x81\x02hi\x81\x02ho");
    assert!(!requests.awaits_answer());
}

#[test]
fn a_handshake_behind_other_requests_ends_the_connection_and_nothing_behind_it_passes() {
    let late = [FIRST, WEBSOCKET, FIRST].concat();
    for length in [1, 7, 1000] {
        let (mut requests, mut out) = (Requests::after(&first(FIRST), PORT, Bound::new(1)), Vec::new());
        assert!(!requests.over());
        for piece in late.as_bytes().chunks(length) {
            requests.pass(piece, &mut out).unwrap();
        }
        assert!(requests.over(), "in pieces of {length}");
        assert_eq!(String::from_utf8(out).unwrap(), FIRST, "in pieces of {length}");
    }
}

#[test]
fn behind_a_refused_handshake_requests_are_read() {
    let (mut requests, mut out) = (Requests::after(&first(WEBSOCKET), PORT, Bound::new(1)), Vec::new());
    requests.pass(FIRST.as_bytes(), &mut out).unwrap();
    requests.answered(false, &mut out).unwrap();
    assert_eq!(out, FIRST.as_bytes());
    assert_eq!(requests.pass(b"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n", &mut out), Err(Reason::AmbiguousAuthority));
    let mut held = Requests::after(&first(WEBSOCKET), PORT, Bound::new(1));
    assert_eq!(held.pass(&vec![0; LIMIT + 1], &mut out), Err(Reason::UnreadableHello));
}

const WAITING: &str = "PUT / HTTP/1.1\r\nHost: a.example.kz\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";

/// What the client says behind its first request, and whether the server has said something before; whether it gets leave then.
#[rstest]
#[case::behind_an_answer(true, WAITING, true)]
#[case::before_any_answer(false, WAITING, false)]
#[case::with_the_body(true, &[WAITING, "bo"].concat(), false)]
#[case::no_body_held_back(true, FIRST, false)]
#[case::behind_another_that_is_not_answered(true, &[FIRST, WAITING].concat(), false)]
fn leave_to_send_a_body_is_given_where_the_client_can_only_wait_for_it(
    #[case] answered: bool,
    #[case] rest: &str,
    #[case] leave: bool,
) {
    let (mut requests, mut out) = (Requests::after(&first(FIRST), PORT, Bound::new(1)), Vec::new());
    if answered {
        requests.heard_server();
    }
    requests.pass(rest.as_bytes(), &mut out).unwrap();
    assert_eq!(requests.gives_leave(), leave);
    assert!(!requests.gives_leave(), "it is given once");
}

#[test]
fn the_first_request_gets_leave_and_a_client_that_sends_many_at_once_gets_none_later() {
    let mut requests = Requests::after(&first(WAITING), PORT, Bound::new(1));
    assert!(requests.gives_leave());
    let mut out = Vec::new();
    requests.pass(&[b"body", WAITING.as_bytes(), b"body"].concat(), &mut out).unwrap();
    requests.heard_server();
    requests.pass(WAITING.as_bytes(), &mut out).unwrap();
    assert!(!requests.gives_leave(), "it could come within the answer to the second");
}

proptest! {
    #[test]
    fn segmentation_changes_nothing(
        bodies in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..50)), 0..5),
        cuts in prop::collection::vec(1usize..60, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (chunked, body) in &bodies {
            let header = if *chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {}", body.len()) };
            bytes.extend(format!("PUT / HTTP/1.1\r\nHost: a.example.kz\r\n{header}\r\n\r\n").bytes());
            if *chunked {
                for chunk in body.chunks(7) {
                    bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(b"0\r\n\r\n");
            } else {
                bytes.extend(body);
            }
        }
        let (mut requests, mut out, mut rest) = (Requests::after(&first(FIRST), PORT, Bound::new(1)), Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            requests.pass(piece, &mut out).unwrap();
            rest = behind;
        }
        prop_assert_eq!(out, bytes);
    }

    #[test]
    fn no_other_party_is_named_in_what_is_passed_on(bytes: Vec<u8>, length in 1usize..40) {
        // Whatever surrounds it, a head for another party is never passed on as one.
        let other = b"GET / HTTP/1.1\r\nHost: b.example.com\r\n\r\n";
        let tail = [bytes.as_slice(), other].concat();
        if let Ok(out) = pass(FIRST, &tail, length) {
            prop_assert!(!out.starts_with(other));
        }
    }
}
