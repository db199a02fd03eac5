use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::http::{Authority, Body, Host};
use super::*;

/// The ClientHello that rustls sends.
fn real_hello(name: &str, versions: &[&'static rustls::SupportedProtocolVersion]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut client = ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The extensions of a ClientHello of one's own making.
struct Extensions(Vec<u8>);

impl Extensions {
    /// What rustls asks for: signature_algorithms.
    fn needed() -> Self {
        Self(Vec::new()).with(13, &[0, 2, 4, 3])
    }

    fn with(mut self, kind: u16, content: &[u8]) -> Self {
        self.0.extend(kind.to_be_bytes());
        self.0.extend((content.len() as u16).to_be_bytes());
        self.0.extend(content);
        self
    }

    fn named(self, name: &[u8]) -> Self {
        let (entry, length) = ((name.len() as u16 + 3).to_be_bytes(), (name.len() as u16).to_be_bytes());
        self.with(0, &[&entry[..], &[0], &length, name].concat())
    }

    fn hello(&self) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
        body.extend((self.0.len() as u16).to_be_bytes());
        body.extend(&self.0);
        let length = (body.len() as u32).to_be_bytes();
        records(&[&[1], &length[1..], &body].concat(), usize::MAX)
    }
}

/// A handshake message in records of at most so many bytes.
fn records(message: &[u8], most: usize) -> Vec<u8> {
    message
        .chunks(most.min(16_384))
        .flat_map(|part| [&[22, 3, 1][..], &(part.len() as u16).to_be_bytes(), part].concat())
        .collect()
}

fn tls(name: Option<&str>, version: Option<TlsVersion>) -> Progress<Hello> {
    Progress::Whole(Hello::Tls { name: name.map(|name| name.parse().unwrap()), version, ech: false })
}

#[test]
fn real_hellos_are_read() {
    let both = real_hello("api.clinic.example.kz", rustls::ALL_VERSIONS);
    assert_eq!(read(&both), tls(Some("api.clinic.example.kz"), Some(TlsVersion::V13)));
    let older = real_hello("API.clinic.example.kz", &[&rustls::version::TLS12]);
    assert_eq!(read(&older), tls(Some("api.clinic.example.kz"), Some(TlsVersion::V12)));
    let unnamed = real_hello("192.0.2.1", rustls::ALL_VERSIONS);
    assert_eq!(read(&unnamed), tls(None, Some(TlsVersion::V13)));
}

#[test]
fn what_follows_the_hello_does_not_matter() {
    let early = [real_hello("a.example.kz", rustls::ALL_VERSIONS), vec![23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(read(&early), tls(Some("a.example.kz"), Some(TlsVersion::V13)));
}

#[rstest]
#[case::named(Extensions::needed().named(b"a.example.kz"), tls(Some("a.example.kz"), Some(TlsVersion::V12)))]
#[case::nameless(Extensions::needed(), tls(None, Some(TlsVersion::V12)))]
#[case::address(Extensions::needed().named(b"192.0.2.1"), tls(None, Some(TlsVersion::V12)))]
#[case::version_13(Extensions::needed().with(43, &[4, 3, 4, 3, 3]), tls(None, Some(TlsVersion::V13)))]
#[case::unknown_versions(Extensions::needed().with(43, &[4, 3, 1, 0x0a, 0x0a]), tls(None, None))]
#[case::unknown_extension(Extensions::needed().with(0x0a0a, &[1]).named(b"a.example.kz"), tls(Some("a.example.kz"), Some(TlsVersion::V12)))]
#[case::broken_ech(Extensions::needed().named(b"outer.example.kz").with(0xfe0d, &[0]), Progress::Refused(Reason::EncryptedClientHello))]
#[case::old_ech(Extensions::needed().named(b"outer.example.kz").with(0xfe0a, &[0]), Progress::Refused(Reason::EncryptedClientHello))]
#[case::trailing_dot(Extensions::needed().named(b"a.example.kz."), tls(Some("a.example.kz"), Some(TlsVersion::V12)))]
#[case::punycode(Extensions::needed().named(b"XN--80AK6AA92E.example.kz"), tls(Some("xn--80ak6aa92e.example.kz"), Some(TlsVersion::V12)))]
#[case::broken_punycode(Extensions::needed().named(b"xn--a.example.kz"), Progress::Refused(Reason::UnreadableHello))]
#[case::esni(Extensions::needed().with(0xffce, &[0]), Progress::Refused(Reason::EncryptedClientHello))]
#[case::two_names(Extensions::needed().named(b"a.example.kz").named(b"b.example.kz"), Progress::Refused(Reason::UnreadableHello))]
#[case::two_names_in_one(
    Extensions::needed().with(0, &[&[0, 8, 0, 0, 1][..], b"a", &[0, 0, 1], b"b"].concat()),
    Progress::Refused(Reason::UnreadableHello)
)]
#[case::more_in_the_list(
    Extensions::needed().with(0, &[&[0, 18, 0, 0, 12][..], b"a.example.kz", &[7, 7, 7]].concat()),
    Progress::Refused(Reason::UnreadableHello)
)]
#[case::no_name_at_all(Extensions::needed().with(0, &[]), Progress::Refused(Reason::UnreadableHello))]
#[case::null_in_name(Extensions::needed().named(b"a.example.kz\0.example.com"), Progress::Refused(Reason::UnreadableHello))]
#[case::wildcard(Extensions::needed().named(b"*.example.kz"), Progress::Refused(Reason::UnreadableHello))]
#[case::cut_short(Extensions(Extensions::needed().0[..3].to_vec()), Progress::Refused(Reason::UnreadableHello))]
#[case::as_old_clients(Extensions(Vec::new()).with(43, &[2, 3, 1]), Progress::Refused(Reason::TLSTooOld))]
fn hellos(#[case] extensions: Extensions, #[case] expected: Progress<Hello>) {
    assert_eq!(read(&extensions.hello()), expected);
}

#[rstest]
#[case::two_messages_in_a_record(|hello: &mut Vec<u8>| { hello.extend([0; 4]); hello[4] += 4; })]
#[case::not_a_client_hello(|hello: &mut Vec<u8>| hello[5] = 2)]
#[case::another_record_between(|hello: &mut Vec<u8>| *hello = [&[22, 3, 1, 0, 4][..], &hello[5..9], &[21, 3, 1, 0, 2, 1, 0], &hello[9..]].concat())]
#[case::empty_record(|hello: &mut Vec<u8>| *hello = [&[22, 3, 1, 0, 0][..], hello].concat())]
#[case::huge(|hello: &mut Vec<u8>| hello[6] = 1)]
#[case::ssl2(|hello: &mut Vec<u8>| hello[1] = 2)]
fn what_is_no_hello_is_refused(#[case] alter: fn(&mut Vec<u8>)) {
    let mut hello = Extensions::needed().named(b"a.example.kz").hello();
    alter(&mut hello);
    assert_eq!(read(&hello), Progress::Refused(Reason::UnreadableHello));
}

fn http(text: &str) -> Result<Option<Authority>, Option<Reason>> {
    match read(text.as_bytes()) {
        Progress::Whole(Hello::Http(head)) => Ok(head.authority),
        Progress::Refused(reason) => Err(Some(reason)),
        _ => Err(None),
    }
}

#[rstest]
#[case("GET / HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", "a.example.kz", None)]
#[case("GET / HTTP/1.1\r\nhOST:\tA.Example.KZ.:8080 \r\n\r\n", "a.example.kz", Some(8080))]
#[case("GET http://a.example.kz/x HTTP/1.1\r\nHost: a.example.kz:80\r\n\r\n", "a.example.kz", None)]
#[case("GET http://a.example.kz?x HTTP/1.0\r\n\r\n", "a.example.kz", None)]
#[case("OPTIONS * HTTP/1.1\r\nHost: a.example.kz:\r\n\r\n", "a.example.kz", None)]
#[case("POST / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n", "192.0.2.1", None)]
#[case("POST / HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n\r\n", "2001:db8::1", Some(81))]
fn authorities(#[case] request: &str, #[case] host: &str, #[case] port: Option<u16>) {
    let host = host.parse().map(Host::Address).unwrap_or_else(|_| Host::Name(host.parse().unwrap()));
    assert_eq!(http(request), Ok(Some(Authority { host, port })));
}

#[rstest]
#[case::two_hosts("GET / HTTP/1.1\r\nHost: a.example.kz\r\nHost: a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::absolute_differs("GET http://b.example.kz/ HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::absolute_port_differs("GET http://a.example.kz:81/ HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::https("GET https://a.example.kz/ HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::user("GET http://a.example.kz@b.example.com/ HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::user_in_host("GET / HTTP/1.1\r\nHost: x@a.example.kz\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::number("GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::list("GET / HTTP/1.1\r\nHost: a.example.kz, b.example.com\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::port("GET / HTTP/1.1\r\nHost: a.example.kz:+80\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::big_port("GET / HTTP/1.1\r\nHost: a.example.kz:65536\r\n\r\n", Reason::AmbiguousAuthority)]
#[case::two_lengths("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", Reason::AmbiguousLength)]
#[case::length_and_chunks("GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::AmbiguousLength)]
#[case::another_coding("GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Reason::AmbiguousLength)]
#[case::chunks_in_1_0("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::AmbiguousLength)]
#[case::signed_length("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", Reason::AmbiguousLength)]
#[case::body_of_get("GET / HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 1\r\n\r\n", Reason::AmbiguousLength)]
#[case::chunks_of_head("HEAD / HTTP/1.1\r\nHost: a.example.kz\r\nTransfer-Encoding: chunked\r\n\r\n", Reason::AmbiguousLength)]
#[case::connect("CONNECT a.example.kz:443 HTTP/1.1\r\nHost: a.example.kz\r\n\r\n", Reason::ProxyRequest)]
#[case::http_2("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::ProxyRequest)]
#[case::ssh("SSH-2.0-OpenSSH_9.2\r\n", Reason::UnreadableHello)]
#[case::folded("GET / HTTP/1.1\r\nHost: a.example.kz\r\n b.example.com\r\n\r\n", Reason::UnreadableHello)]
#[case::space_before_colon("GET / HTTP/1.1\r\nHost : a.example.kz\r\n\r\n", Reason::UnreadableHello)]
#[case::null("GET / HTTP/1.1\r\nHost: a.example.kz\0\r\n\r\n", Reason::UnreadableHello)]
#[case::http_0_9("GET /\r\n", Reason::UnreadableHello)]
#[case::lower_case("get / HTTP/1.1\r\n\r\n", Reason::UnreadableHello)]
fn requests_that_are_refused(#[case] request: &str, #[case] reason: Reason) {
    assert_eq!(http(request), Err(Some(reason)));
}

#[test]
fn a_request_may_name_nobody() {
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n"] {
        assert_eq!(http(request), Ok(None));
    }
}

fn head(text: &str) -> Head {
    let Progress::Whole(Hello::Http(head)) = read(text.as_bytes()) else { panic!("{text} is no whole request") };
    head
}

#[test]
fn what_is_passed_on_is_what_was_understood() {
    let folded = head("GET /a HTTP/1.1\nHost:   a.example.kz\nX-Empty:\n\nbody");
    assert_eq!(folded.rewritten, b"GET /a HTTP/1.1\r\nHost: a.example.kz\r\nX-Empty: \r\n\r\n");
    assert_eq!((folded.length, folded.body), (47, Body::Length(0)));
}

#[test]
fn upgrades_are_not_passed_on_unless_to_websocket() {
    let h2c = head("GET / HTTP/1.1\r\nHost: a.example.kz\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n");
    assert_eq!((h2c.websocket, h2c.rewritten.as_slice()), (false, &b"GET / HTTP/1.1\r\nHost: a.example.kz\r\n\r\n"[..]));
    let websocket = "GET / HTTP/1.1\r\nHost: a.example.kz\r\nUpgrade: WebSocket\r\n\r\n";
    assert_eq!((head(websocket).websocket, head(websocket).rewritten.as_slice()), (true, websocket.as_bytes()));
    let with_body = head("POST / HTTP/1.1\r\nContent-Length: 9\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(
        (with_body.websocket, with_body.rewritten.as_slice()),
        (false, &b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n"[..])
    );
}

#[test]
fn leave_to_send_a_body_is_not_asked_of_the_server() {
    let waiting = head("PUT / HTTP/1.1\r\nHost: a.example.kz\r\nExpect: 100-Continue\r\nContent-Length: 4\r\n\r\n");
    assert!(waiting.waits);
    assert_eq!(waiting.rewritten, b"PUT / HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 4\r\n\r\n");
    assert!(!head("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").waits, "HTTP/1.0 knows no such answer");
}

/// A decoy as RFC 9849, section 6.2, has clients make it: KDF and AEAD, a number, a key and a payload, all of it random.
pub(crate) fn grease() -> Vec<u8> {
    [&[0, 0, 1, 0, 1, 7, 0, 32][..], &[9; 32], &[0, 144], &[5; 144]].concat()
}

#[test]
fn a_hello_with_a_decoy_has_its_outer_name_and_says_so() {
    let hello = Extensions::needed().named(b"outer.example.kz").with(0xfe0d, &grease()).hello();
    let name = Some("outer.example.kz".parse().unwrap());
    assert_eq!(read(&hello), Progress::Whole(Hello::Tls { name, version: Some(TlsVersion::V12), ech: true }));
}

proptest! {
    #[test]
    fn a_hello_in_any_records_and_segments_is_the_same(most in 1usize..400, cut in any::<prop::sample::Index>()) {
        let message = &real_hello("api.clinic.example.kz", rustls::ALL_VERSIONS)[5..];
        let bytes = records(message, most);
        let cut = cut.index(bytes.len());
        prop_assert_eq!(read(&bytes[..cut]), Progress::More);
        prop_assert_eq!(read(&bytes), tls(Some("api.clinic.example.kz"), Some(TlsVersion::V13)));
    }

    #[test]
    fn a_request_that_is_not_whole_waits(cut in any::<prop::sample::Index>()) {
        let request = "POST http://a.example.kz/x HTTP/1.1\r\nHost: a.example.kz\r\nContent-Length: 3\r\n\r\n";
        prop_assert_eq!(read(&request.as_bytes()[..cut.index(request.len())]), Progress::More);
    }

    #[test]
    fn altered_hellos_never_name_another_party_to_one_reader_alone(at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = Extensions::needed().named(b"a.example.kz").with(43, &[2, 3, 4]).hello();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Progress::Whole(Hello::Tls { name: Some(name), .. }) = read(&bytes) {
            let mut acceptor = rustls::server::Acceptor::default();
            acceptor.read_tls(&mut bytes.as_slice()).unwrap();
            let accepted = acceptor.accept().unwrap().unwrap();
            let hello = accepted.client_hello();
            prop_assert_eq!(hello.server_name().unwrap(), name.as_str());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, tls: bool) {
        let _ = read(&bytes);
        let _ = read(&[if tls { vec![22, 3, 1] } else { b"GET / HTTP/1.1\r\n".to_vec() }, bytes].concat());
    }
}
