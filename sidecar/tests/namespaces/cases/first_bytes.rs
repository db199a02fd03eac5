//! First bytes that say too little, too late, or something else.

use std::time::Instant;

use shekara_policy::Reason;
use shekara_policy::record::Decision;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::authority::authority;
use crate::document::document;
use crate::place::Place;
use crate::sniffer::Packet;
use crate::wait::within;
use crate::world::{CLINIC, HTTP, HTTPS, SHOP, TLS_ECHO};

/// The extension that hides the real name (RFC 9849).
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// The ClientHello of a client of the clinic, in one TLS record.
fn hello() -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from(CLINIC.name).unwrap();
    let mut client = rustls::ClientConnection::new(authority().client(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// The same with one more extension.
fn hello_with(extension: u16, body: &[u8]) -> Vec<u8> {
    let mut hello = hello();
    let grown = 4 + body.len();
    // record header 5, handshake header 4, version 2, random 32, session, cipher suites, compression, extensions
    let session = usize::from(hello[43]);
    let suites = 44 + session;
    let compression = suites + 2 + usize::from(u16::from_be_bytes([hello[suites], hello[suites + 1]]));
    let extensions = compression + 1 + usize::from(hello[compression]);
    let mut grow = |at: usize| {
        let length = u16::from_be_bytes([hello[at], hello[at + 1]]) + u16::try_from(grown).unwrap();
        hello[at..at + 2].copy_from_slice(&length.to_be_bytes());
    };
    [3, 7, extensions].into_iter().for_each(&mut grow);
    let at = extensions + 2;
    let added = [&extension.to_be_bytes()[..], &u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
    hello.splice(at..at, added);
    hello
}

/// Sends bytes to the clinic and gives the connection with the first bytes that come back; none if it is closed.
async fn send(place: &Place, port: u16, bytes: &[u8]) -> (TcpStream, Vec<u8>) {
    let mut stream = place.dial(CLINIC.v4, port).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![0; 64];
    let length = within("an answer or the end", stream.read(&mut answer)).await.unwrap_or(0);
    answer.truncate(length);
    (stream, answer)
}

/// Whether the sidecar refused: with a TLS alert, an HTTP status of its own, or without a word.
fn is_refusal(answer: &[u8]) -> bool {
    const ALERT: u8 = 21;
    answer.is_empty() || answer[0] == ALERT || answer.starts_with(b"HTTP/1.1 4")
}

#[tokio::test]
async fn first_bytes_that_hide_or_confuse_the_destination_are_closed() {
    let mut place = Place::open();
    let clinic = CLINIC.name;
    let get = |rest: &str| format!("GET / HTTP/1.1\r\n{rest}\r\n").into_bytes();
    let host = format!("Host: {clinic}\r\n");
    let attempts: Vec<(&str, u16, Vec<u8>, Reason)> = vec![
        ("ECH", HTTPS, hello_with(ENCRYPTED_CLIENT_HELLO, &[0; 120]), Reason::EncryptedClientHello),
        ("noise", HTTPS, b"\x00\x01\x02\x03 face \xff\xfe\r\n\r\n".repeat(20), Reason::UnreadableHello),
        ("two hosts", HTTP, get(&format!("{host}Host: shop.example.kz\r\n")), Reason::AmbiguousAuthority),
        ("no host", HTTP, get("Accept: */*\r\n"), Reason::NoName),
        ("CONNECT", HTTP, format!("CONNECT {clinic}:443 HTTP/1.1\r\n{host}\r\n").into_bytes(), Reason::ProxyRequest),
        ("HTTP/2 without TLS", HTTP, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Reason::ProxyRequest),
        ("HTTP where TLS is declared", HTTPS, get(&host), Reason::ProtocolMismatch),
        ("TLS where HTTP is declared", HTTP, hello(), Reason::ProtocolMismatch),
    ];
    for (what, port, bytes, _) in &attempts {
        let mut stream = place.dial(CLINIC.v4, *port).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let payload = bytes[..8].to_vec();
        let carries = |packet: &Packet| packet.payload.windows(8).any(|window| window == payload);
        assert!(place.arrived(carries).await, "{what} is open without the filter");
        place.sniffer.forget(&place.pod).await;
    }
    place.enforce(&[document()]).await;
    for (at, (what, port, bytes, reason)) in attempts.iter().enumerate() {
        let (_stream, answer) = send(&place, *port, bytes).await;
        assert!(is_refusal(&answer), "{what}: {answer:?}");
        let sequence = u64::try_from(at).unwrap() + 1;
        let record = place.record(|record| record.sequence == sequence).await;
        assert_eq!((record.reason, record.port), (Some(*reason), *port), "{what}");
        assert!(!place.reached(CLINIC.v4).await && !place.reached(CLINIC.v6).await, "{what}");
    }
}

/// A decoy as RFC 9849, section 6.2, has clients make it: KDF and AEAD, a number, a key and a payload, all of it random.
fn decoy() -> Vec<u8> {
    [&[0, 0, 1, 0, 1, 7, 0, 32][..], &[9; 32], &[0, 144], &[5; 144]].concat()
}

#[tokio::test]
async fn a_hello_with_a_decoy_passes_where_the_standard_takes_the_outer_name() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let hello = hello_with(ENCRYPTED_CLIENT_HELLO, &decoy());
    let (_stream, answer) = send(&place, TLS_ECHO, &hello).await;
    assert!(is_refusal(&answer), "{answer:?}");
    let record = place.record(|record| record.port == TLS_ECHO).await;
    assert_eq!((record.reason, record.name.as_deref()), (Some(Reason::EncryptedClientHello), Some(CLINIC.name)));
    assert!(!place.reached(CLINIC.v4).await);
    let mut taken = document();
    taken.standards.iter_mut().for_each(|standard| standard.passes_ech = true);
    place.api().set(&[taken]);
    let passes = async {
        while is_refusal(&send(&place, TLS_ECHO, &hello).await.1) {
            tokio::task::yield_now().await;
        }
    };
    within("the hello to pass", passes).await;
    assert!(place.reached(CLINIC.v4).await);
}

#[tokio::test]
async fn a_hello_in_many_pieces_is_read_and_one_that_never_ends_is_closed() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    // as many segments as bytes: the TLS of the server proves that none was lost
    let stream = place.dial(CLINIC.v4, TLS_ECHO).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(CLINIC.name).unwrap();
    let piecemeal = crate::piecemeal::Piecemeal::new(stream);
    let connected = tokio_rustls::TlsConnector::from(authority().client()).connect(name, piecemeal);
    let mut tls = within("TLS in pieces", connected).await.unwrap();
    tls.write_all(b"face").await.unwrap();
    within("an echo", tls.read_exact(&mut [0; 4])).await.unwrap();

    // as many TLS records as bytes
    let hello = hello();
    let records: Vec<u8> = hello[5..].iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
    let (_stream, answer) = send(&place, TLS_ECHO, &records).await;
    assert!(!is_refusal(&answer), "a hello in many records is a hello: {answer:?}");

    // half a hello, and silence; nothing at all, and silence
    let start = Instant::now();
    let half = send(&place, HTTPS, &hello[..hello.len() / 2]);
    let nothing = send(&place, HTTP, b"");
    let ((_, half), (_, nothing)) = tokio::join!(half, nothing);
    assert!(is_refusal(&half) && is_refusal(&nothing), "{half:?} {nothing:?}");
    println!("half a hello and silence were closed after {:?}", start.elapsed());
    for port in [HTTPS, HTTP] {
        let record = place.record(|record| record.port == port).await;
        assert_eq!(record.reason, Some(Reason::NameTimeout));
    }
    assert!(!asked(&place).await);

    // a head that has no end
    let mut stream = place.dial(CLINIC.v4, HTTP).await.unwrap();
    let endless = async {
        stream.write_all(b"GET / HTTP/1.1\r\n").await?;
        loop {
            stream.write_all(format!("X-Face: {}\r\n", "x".repeat(1000)).as_bytes()).await?;
        }
    };
    let ended: std::io::Result<()> = within("an end", endless).await;
    ended.unwrap_err();
    place.record(|record| record.reason == Some(Reason::HelloTooLong)).await;
    assert!(!asked(&place).await);
}

/// Whether the clinic was spoken to at a port where nothing was ever allowed: connections to others may live and say so late.
async fn asked(place: &Place) -> bool {
    let clinic: std::net::IpAddr = CLINIC.v4.parse().unwrap();
    place.sniffer.has_seen(&place.pod, |packet| packet.to == clinic && [HTTP, HTTPS].contains(&packet.port)).await
}

#[tokio::test]
async fn a_later_request_for_another_host_is_not_passed_on() {
    let mut place = Place::open();
    let request = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let both = request(CLINIC.name) + &request(SHOP.name);
    let carries = |packet: &Packet| packet.payload.windows(SHOP.name.len()).any(|window| window == SHOP.name.as_bytes());
    send(&place, HTTP, both.as_bytes()).await;
    assert!(place.arrived(carries).await);
    place.enforce(&[document()]).await;
    // in one piece, and after the first was answered
    send(&place, HTTP, both.as_bytes()).await;
    let record = place.record(|record| record.port == HTTP).await;
    assert_eq!((record.verdict, record.reason), (Decision::Deny, Some(Reason::AmbiguousAuthority)), "{record:?}");
    let (mut stream, answer) = send(&place, HTTP, request(CLINIC.name).as_bytes()).await;
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    let _ = stream.write_all(request(SHOP.name).as_bytes()).await;
    assert!(!place.arrived(carries).await);
}
