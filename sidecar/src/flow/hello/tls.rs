//! The server name and version of a ClientHello.
//!
//! Two readers look at the same bytes and must agree on the name: rustls, which is what servers use, and tls-parser, which also
//! shows the list of extensions. What only one of them understands is refused.

use rustls::server::Acceptor;
use shekara_policy::flow::TlsVersion;
use shekara_policy::{HostName, Reason};
use tls_parser::{SNIType, TlsExtension, parse_tls_extension_sni_content, parse_tls_handshake_client_hello};

use super::{Hello, LIMIT, Progress};

/// The content type of handshake records (RFC 8446, section 5.1).
pub const HANDSHAKE: u8 = 22;

/// The handshake type of a ClientHello (RFC 8446, section 4).
const CLIENT_HELLO: u8 = 1;

/// encrypted_client_hello (RFC 9849).
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// server_name (RFC 6066).
const SERVER_NAME: u16 = 0;

/// What is before the name in a list of one: the length of the list, a type, and the length of the name (RFC 6066, section 3).
const LENGTHS_BEFORE_A_NAME: usize = 2 + 1 + 2;

/// supported_versions (RFC 8446, section 4.2.1).
pub(in crate::flow) const SUPPORTED_VERSIONS: u16 = 43;

/// Fatal alert `access_denied` (RFC 8446, section 6.2), in a record that every version understands.
pub const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// Reads a ClientHello that may be spread over several records.
#[must_use]
pub fn read(bytes: &[u8]) -> Progress<Hello> {
    match message(bytes, CLIENT_HELLO) {
        Progress::More => Progress::More,
        Progress::Refused(reason) => Progress::Refused(reason),
        Progress::Whole(Message { body, records }) => match understand(&body, records) {
            Ok(hello) => Progress::Whole(hello),
            Err(reason) => Progress::Refused(reason),
        },
    }
}

/// The first handshake message, without its header, and the records that it came in.
pub(in crate::flow) struct Message<'a> {
    pub(in crate::flow) body: Vec<u8>,
    records: &'a [u8],
}

/// Joins the fragments of records (RFC 8446, section 5.1) until the message, which must be of this type, is whole.
pub(in crate::flow) fn message(bytes: &[u8], wanted: u8) -> Progress<Message<'_>> {
    let mut joined = Vec::new();
    let mut rest = bytes;
    loop {
        let [kind, major, _, high, low, behind @ ..] = rest else { return Progress::More };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *kind != HANDSHAKE || *major != 3 || !(1..=LIMIT).contains(&length) {
            return Progress::Refused(Reason::UnreadableHello);
        }
        let (fragment, behind) = behind.split_at(length.min(behind.len()));
        joined.extend_from_slice(fragment);
        if let [kind, a, b, c, body @ ..] = joined.as_slice() {
            let whole = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap_or(usize::MAX);
            if *kind != wanted || whole > LIMIT {
                return Progress::Refused(Reason::UnreadableHello);
            }
            if fragment.len() == length && body.len() >= whole {
                let records = bytes.get(..bytes.len() - behind.len()).unwrap_or_default();
                let body = body.get(..whole).unwrap_or_default().to_vec();
                return Progress::Whole(Message { body, records });
            }
        }
        if fragment.len() < length {
            return Progress::More;
        }
        rest = behind;
    }
}

fn understand(body: &[u8], records: &[u8]) -> Result<Hello, Reason> {
    let (rest, hello) = parse_tls_handshake_client_hello(body).map_err(|_| Reason::UnreadableHello)?;
    if !rest.is_empty() {
        return Err(Reason::UnreadableHello);
    }
    let extensions = extensions(hello.ext.unwrap_or_default()).ok_or(Reason::UnreadableHello)?;
    if extensions.iter().any(|(kind, _)| hides_the_name(*kind)) {
        return Err(Reason::EncryptedClientHello);
    }
    let find = |wanted| extensions.iter().find(|(kind, _)| *kind == wanted).map(|(_, content)| *content);
    let version = match find(SUPPORTED_VERSIONS) {
        Some(content) => highest(content).ok_or(Reason::UnreadableHello)?,
        None => (hello.version.0 >= 0x0303).then_some(TlsVersion::V12),
    };
    let name = find(SERVER_NAME).map_or(Ok(None), server_name)?;
    let ech = find(ENCRYPTED_CLIENT_HELLO).is_some();
    match accepted_name(records) {
        Some(accepted) if accepted == name => Ok(Hello::Tls { name, version, ech }),
        None if ech => Err(Reason::EncryptedClientHello),
        // A hello older than TLS 1.2 has no signature algorithms, which rustls asks for.
        None if version.is_none() => Err(Reason::TLSTooOld),
        _ => Err(Reason::UnreadableHello),
    }
}

/// The drafts of encrypted_client_hello and its predecessor encrypted_server_name, which no client sends as a decoy any more.
fn hides_the_name(kind: u16) -> bool {
    matches!(kind, 0xfe08..=0xfe0c | 0xffce)
}

/// Type and content of each extension; `None` unless the list is whole and no type comes twice.
pub(in crate::flow) fn extensions(mut list: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut extensions: Vec<(u16, &[u8])> = Vec::new();
    while !list.is_empty() {
        let [a, b, c, d, behind @ ..] = list else { return None };
        let (kind, length) = (u16::from_be_bytes([*a, *b]), usize::from(u16::from_be_bytes([*c, *d])));
        let (content, behind) = behind.split_at_checked(length)?;
        if extensions.iter().any(|(other, _)| *other == kind) {
            return None;
        }
        extensions.push((kind, content));
        list = behind;
    }
    Some(extensions)
}

/// The highest version of a list that a standard can ask for; `None` if the list is not whole.
fn highest(content: &[u8]) -> Option<Option<TlsVersion>> {
    let (length, list) = content.split_first()?;
    if usize::from(*length) != list.len() || list.len() % 2 != 0 {
        return None;
    }
    let versions = list.chunks_exact(2).filter_map(|version| match version {
        [3, 4] => Some(TlsVersion::V13),
        [3, 3] => Some(TlsVersion::V12),
        _ => None,
    });
    Some(versions.max())
}

/// The one host name. An address in its place names nobody (RFC 6066, section 3), and rustls passes over it too.
fn server_name(content: &[u8]) -> Result<Option<HostName>, Reason> {
    let Ok(([], TlsExtension::SNI(names))) = parse_tls_extension_sni_content(content) else {
        return Err(Reason::UnreadableHello);
    };
    let [(SNIType::HostName, name)] = names.as_slice() else { return Err(Reason::UnreadableHello) };
    // the parser passes over what is in the list behind the last entry that it can read: another reader may find a name there
    if content.len() != LENGTHS_BEFORE_A_NAME + name.len() {
        return Err(Reason::UnreadableHello);
    }
    let name = std::str::from_utf8(name).map_err(|_| Reason::UnreadableHello)?;
    if name.parse::<std::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|_| Reason::UnreadableHello)
}

/// The name as rustls reads it; `None` if it does not accept the hello.
fn accepted_name(mut records: &[u8]) -> Option<Option<HostName>> {
    let mut acceptor = Acceptor::default();
    while !records.is_empty() {
        acceptor.read_tls(&mut records).ok()?;
        if let Some(accepted) = acceptor.accept().ok()? {
            return accepted.client_hello().server_name().map(|name| name.parse().ok()).map_or(Some(None), |name| name.map(Some));
        }
    }
    None
}
