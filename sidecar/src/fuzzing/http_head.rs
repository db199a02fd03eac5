//! HTTP/1 requests, the first and those behind it.

use std::net::IpAddr;

use shekara_policy::{HostName, Reason};

use super::lenient;
use super::pieces_change_nothing;
use crate::bound::Bound;
use crate::flow::hello::http::{Authority, Body, Head, Host, head};
use crate::flow::hello::{Progress, read};
use crate::flow::requests::Requests;

/// The port that was dialled.
const PORT: u16 = 80;

/// What is passed on names one party, also to a server that reads much more leniently than the sidecar; it reads as what it was
/// written from; and it is the same in whichever pieces the bytes come.
pub fn http_head(bytes: &[u8]) {
    let outcome = read(bytes);
    if !bytes.first().is_some_and(u8::is_ascii_uppercase) {
        return;
    }
    pieces_change_nothing(bytes, &outcome);
    let Progress::Whole(first) = head(bytes) else { return };
    rewritten(&first);
    let rest = &bytes[first.length..];
    let whole = connection(&first, rest, rest.len().max(1));
    for length in [1, 3, 64] {
        assert_eq!(connection(&first, rest, length), whole, "in pieces of {length}");
    }
    for party in lenient::parties(&whole.0) {
        assert!(names(&party, first.authority.as_ref()), "a server may take {party:?} for the party, not {:?}", first.authority);
    }
}

fn rewritten(first: &Head) {
    let Progress::Whole(again) = head(&first.rewritten) else { panic!("what was written cannot be read") };
    assert_eq!(again.rewritten, first.rewritten);
    assert_eq!((again.authority, again.body, again.websocket), (first.authority.clone(), first.body, first.websocket));
    assert_eq!(again.length, first.rewritten.len());
    assert!(!first.websocket || first.body == Body::Length(0));
}

/// What a server gets of a connection whose bytes come in pieces, where it accepts no WebSocket, and how it ends.
fn connection(first: &Head, rest: &[u8], length: usize) -> (Vec<u8>, Result<(), Reason>) {
    let (mut requests, mut out) = (Requests::after(first, PORT, Bound::new(1)), first.rewritten.clone());
    let mut pass = || {
        for piece in rest.chunks(length) {
            requests.pass(piece, &mut out)?;
        }
        requests.answered(false, &mut out)
    };
    let end = pass();
    (out, end)
}

/// Whether a text is that party, or nobody.
fn names(text: &str, authority: Option<&Authority>) -> bool {
    let host = match authority {
        None => return text.is_empty(),
        Some(authority) => &authority.host,
    };
    if text.is_empty() {
        return true;
    }
    match host {
        Host::Name(name) => text.parse::<HostName>().as_ref() == Ok(name),
        Host::Address(address) => text.trim_matches(['[', ']']).parse::<IpAddr>().as_ref() == Ok(address),
    }
}
