//! A ClientHello.

use std::net::IpAddr;

use rustls::server::Acceptor;
use shekara_policy::HostName;

use super::{pieces_change_nothing, plain_hello};
use crate::flow::hello::{Hello, Progress, read};

/// The extension that hides the name or is a decoy (RFC 9849).
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// The extensions that hide the name and are no decoy: the drafts of that one, and encrypted_server_name.
const HIDING: [u16; 6] = [0xfe08, 0xfe09, 0xfe0a, 0xfe0b, 0xfe0c, 0xffce];

/// A hello that is read names one party: to TLS as servers have it, to a third reader that knows nothing but the figures of the
/// RFCs, and in whichever records and pieces it comes. Where something in it may hide another name, that is said.
pub fn client_hello(bytes: &[u8]) {
    let outcome = read(bytes);
    if bytes.first() != Some(&22) {
        return;
    }
    pieces_change_nothing(bytes, &outcome);
    let Progress::Whole(Hello::Tls { name, ech, .. }) = &outcome else {
        assert!(!matches!(outcome, Progress::Whole(_)), "a handshake is read as something else");
        return;
    };
    let plain = plain_hello::read(bytes).expect("a third reader cannot read what was read");
    assert!(!plain.extensions.iter().any(|kind| HIDING.contains(kind)), "a name is hidden");
    assert_eq!(plain.extensions.contains(&ENCRYPTED_CLIENT_HELLO), *ech, "that a name may be hidden is not said, or for nothing");
    match plain.names.as_slice() {
        [] => assert_eq!(*name, None),
        [only] => same(name.as_ref(), only),
        several => panic!("{} names", several.len()),
    }
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut &*bytes).unwrap();
    if let Ok(Some(accepted)) = acceptor.accept() {
        let served = accepted.client_hello().server_name().map(|name| name.parse::<HostName>().unwrap());
        assert_eq!(served, *name, "a server would serve another name");
    }
    for most in [1, 7, 100] {
        assert_eq!(read(&plain.in_records_of(most)), outcome, "in records of {most}");
    }
}

/// The text is the name, or an address in its place, which names nobody.
fn same(name: Option<&HostName>, text: &[u8]) {
    let text = std::str::from_utf8(text).unwrap();
    match name {
        None => assert!(text.parse::<IpAddr>().is_ok(), "{text:?} counts for nothing"),
        Some(name) => {
            let lower = text.to_ascii_lowercase();
            assert_eq!(lower.strip_suffix('.').unwrap_or(&lower), name.as_str());
        }
    }
}
