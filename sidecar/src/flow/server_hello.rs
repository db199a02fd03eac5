//! The version of TLS that the server has chosen, by the first bytes of its answer. They are passed on as they are.

use shekara_policy::flow::TlsVersion;
use shekara_policy::verdict::Denial;

use super::hello::tls::{SUPPORTED_VERSIONS, extensions, message};
use super::hello::{LIMIT, Progress};

/// The handshake type of a ServerHello (RFC 8446, section 4), a HelloRetryRequest among them.
const SERVER_HELLO: u8 = 2;

/// The content type of alerts, and the length of one with its header. A server may begin with a warning (RFC 6066, section 3).
const ALERT: u8 = 21;
const ALERT_LENGTH: usize = 7;

/// What becomes of a flow whose server has chosen this version.
pub type Judge<'a> = &'a (dyn Fn(Option<TlsVersion>) -> Result<(), Denial> + Sync);

/// Reads until the server has chosen.
pub struct Negotiation<'a> {
    begun: Vec<u8>,
    judge: Option<Judge<'a>>,
}

impl<'a> Negotiation<'a> {
    /// Waits for the choice, and has it judged.
    #[must_use]
    pub fn new(judge: Judge<'a>) -> Self {
        Self { begun: Vec::new(), judge: Some(judge) }
    }

    /// Looks at bytes from the server before they are passed on.
    ///
    /// # Errors
    /// When they complete a choice with which the flow may not go on.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        let Some(judge) = self.judge else { return Ok(()) };
        self.begun.extend_from_slice(bytes.get(..LIMIT.min(bytes.len())).unwrap_or_default());
        match chosen(&mut self.begun) {
            Progress::More if self.begun.len() < LIMIT => Ok(()),
            Progress::Whole(version) => self.end(judge, version),
            Progress::More | Progress::Refused(_) => self.end(judge, None),
        }
    }

    fn end(&mut self, judge: Judge<'_>, version: Option<TlsVersion>) -> Result<(), Denial> {
        (self.begun, self.judge) = (Vec::new(), None);
        judge(version)
    }
}

/// The version; none for one that is older than any that a standard can ask for.
fn chosen(bytes: &mut Vec<u8>) -> Progress<Option<TlsVersion>> {
    while bytes.first() == Some(&ALERT) {
        if bytes.len() < ALERT_LENGTH {
            return Progress::More;
        }
        bytes.drain(..ALERT_LENGTH);
    }
    if bytes.is_empty() {
        return Progress::More;
    }
    match message(bytes, SERVER_HELLO) {
        Progress::More => Progress::More,
        Progress::Refused(reason) => Progress::Refused(reason),
        Progress::Whole(hello) => Progress::Whole(version(&hello.body).unwrap_or_default()),
    }
}

/// The version of a ServerHello (RFC 8446, section 4.1.3): the one in supported_versions, or else the old field.
fn version(body: &[u8]) -> Option<Option<TlsVersion>> {
    let (old, rest) = body.split_at_checked(2)?;
    let (_random, rest) = rest.split_at_checked(32)?;
    let (session, rest) = rest.split_first()?;
    // cipher suite and compression method
    let (_, rest) = rest.split_at_checked(usize::from(*session) + 3)?;
    let list = if rest.is_empty() { rest } else { rest.get(2..)? };
    let extensions = extensions(list)?;
    let chosen = extensions.iter().find(|(kind, _)| *kind == SUPPORTED_VERSIONS).map_or(old, |(_, content)| *content);
    Some(match chosen {
        [3, 4] => Some(TlsVersion::V13),
        [3, 3] => Some(TlsVersion::V12),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use proptest::prelude::*;
    use rstest::rstest;
    use shekara_policy::Reason;

    use super::*;

    /// A ServerHello with these extensions, in records of at most so many bytes.
    fn hello(old: [u8; 2], extensions: &[u8], most: usize) -> Vec<u8> {
        let length = u16::try_from(extensions.len()).unwrap().to_be_bytes();
        let body = [&old[..], &[7; 32], &[2, 1, 1], &[0x13, 1, 0], &length, extensions].concat();
        let message = [&[2, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
        message.chunks(most).flat_map(|part| [&[22, 3, 3, 0, u8::try_from(part.len()).unwrap()][..], part].concat()).collect()
    }

    const NEW: &[u8] = &[0, 43, 0, 2, 3, 4];

    /// What is heard when the bytes come in pieces of a length.
    fn heard(bytes: &[u8], length: usize) -> Option<Option<TlsVersion>> {
        let heard = Mutex::new(None);
        let judge = |version| {
            assert!(heard.lock().replace(version).is_none(), "it is judged once");
            Ok(())
        };
        let mut negotiation = Negotiation::new(&judge);
        for piece in bytes.chunks(length) {
            negotiation.hear(piece).unwrap();
        }
        drop(negotiation);
        heard.into_inner()
    }

    #[rstest]
    #[case::new(hello([3, 3], NEW, 200), Some(Some(TlsVersion::V13)))]
    #[case::old(hello([3, 3], &[], 200), Some(Some(TlsVersion::V12)))]
    #[case::older(hello([3, 2], &[], 200), Some(None))]
    #[case::unknown(hello([3, 3], &[0, 43, 0, 2, 3, 9], 200), Some(None))]
    #[case::behind_a_warning([&[21, 3, 3, 0, 2, 1, 112][..], &hello([3, 3], NEW, 200)].concat(), Some(Some(TlsVersion::V13)))]
    #[case::refused_by_the_server(vec![21, 3, 3, 0, 2, 2, 40], None)]
    #[case::something_else(b"HTTP/1.1 400 Bad Request".to_vec(), Some(None))]
    #[case::another_message(vec![22, 3, 3, 0, 5, 11, 0, 0, 1, 0], Some(None))]
    fn the_choice_is_heard(#[case] bytes: Vec<u8>, #[case] expected: Option<Option<TlsVersion>>) {
        for length in [1, 7, 1000] {
            assert_eq!(heard(&bytes, length), expected, "in pieces of {length}");
        }
    }

    #[test]
    fn a_choice_that_is_denied_is_denied_before_its_last_byte_is_passed_on() {
        let judge = |_| Err(Denial::of(Reason::TLSDowngraded));
        let mut negotiation = Negotiation::new(&judge);
        let bytes = hello([3, 3], &[], 200);
        let (first, last) = bytes.split_at(bytes.len() - 1);
        negotiation.hear(first).unwrap();
        assert_eq!(negotiation.hear(last).unwrap_err().reason, Reason::TLSDowngraded);
    }

    proptest! {
        #[test]
        fn records_and_pieces_change_nothing(most in 1usize..60, length in 1usize..60) {
            prop_assert_eq!(heard(&hello([3, 3], NEW, most), length), Some(Some(TlsVersion::V13)));
        }

        #[test]
        fn any_bytes_are_heard_without_panic(bytes: Vec<u8>) {
            let _ = heard(&[&[22, 3, 3, 0, 90, 2, 0, 0, 86][..], &bytes].concat(), 1000);
        }
    }
}
