//! A probe by the health checking protocol of gRPC, version 1: one call over HTTP/2 without TLS.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::ProbeError;
use super::http::{AGENT, driven};

/// The longest answer: a message has five bytes before it, and needs two.
const LONGEST: usize = 4096;

/// The value of the answer's status that means that the service serves.
const SERVING: u64 = 1;

/// Asks after a service, or after the whole server where it has no name.
pub(super) async fn check(stream: TcpStream, to: SocketAddr, service: &str) -> Result<(), ProbeError> {
    let request = Request::post(format!("http://{to}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(message(service)?))
        .map_err(|_| ProbeError::Unsendable)?;
    let handshake = http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(|_| ProbeError::Protocol)?;
    driven(connection, async { answered(sender.send_request(request).await.map_err(|_| ProbeError::Protocol)?).await }).await
}

/// `HealthCheckRequest`: the service is its first field, a text.
fn message(service: &str) -> Result<Bytes, ProbeError> {
    let mut field = BytesMut::new();
    if !service.is_empty() {
        field.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            field.put_u8(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
            length >>= 7;
        }
        field.put_u8(u8::try_from(length).unwrap_or_default());
        field.put_slice(service.as_bytes());
    }
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(field.len()).map_err(|_| ProbeError::Unsendable)?);
    message.put(field);
    Ok(message.freeze())
}

async fn answered(answer: Response<Incoming>) -> Result<(), ProbeError> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, LONGEST).collect().await.map_err(|_| ProbeError::Protocol)?;
    let failed = |fields: &HeaderMap| fields.get("grpc-status").is_some_and(|status| status != "0");
    let has_failed = head.status != StatusCode::OK || failed(&head.headers) || body.trailers().is_some_and(failed);
    if !has_failed && status(&body.to_bytes()) == Some(SERVING) { Ok(()) } else { Err(ProbeError::NotServing) }
}

/// The status of a `HealthCheckResponse`, its first field, a number; other fields may stand before and behind.
fn status(message: &[u8]) -> Option<u64> {
    let (head, mut rest) = message.split_at_checked(5)?;
    let [0, length @ ..] = head else { return None };
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if usize::try_from(length).ok()? != rest.len() {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = number(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = number(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(number(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

/// Seven bits a byte, the lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_last_status_counts_whatever_stands_around_it(
            statuses in proptest::collection::vec(any::<u64>(), 0..4),
            others in proptest::collection::vec((2u64..1 << 20, proptest::collection::vec(any::<u8>(), 0..200)), 0..4),
        ) {
            let mut fields = vec![];
            for (number, text) in &others {
                put(&mut fields, number << 3 | 2);
                put(&mut fields, text.len() as u64);
                fields.extend(text);
            }
            for status in &statuses {
                put(&mut fields, 1 << 3);
                put(&mut fields, *status);
            }
            let mut message = vec![0];
            message.extend(u32::try_from(fields.len()).unwrap().to_be_bytes());
            message.extend(&fields);
            prop_assert_eq!(status(&message), Some(statuses.last().copied().unwrap_or_default()));
            // a part of it is none
            prop_assert!(message.len() == 5 || status(&message[..message.len() - 1]).is_none());
        }

        #[test]
        fn bytes_of_no_form_are_no_status(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut framed = vec![0];
            framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
            framed.extend(&bytes);
            let (_, _) = (status(&bytes), status(&framed));
        }
    }

    /// Seven bits a byte, the lowest first.
    fn put(bytes: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    #[test]
    fn the_service_is_a_text_of_any_length() {
        assert_eq!(&message("").unwrap()[..], [0, 0, 0, 0, 0]);
        assert_eq!(&message("ab").unwrap()[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(&message(&"a".repeat(300)).unwrap()[..9], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02, b'a']);
    }

    #[test]
    fn a_status_is_found_among_other_fields_and_nothing_is_made_up() {
        assert_eq!(status(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(status(&[0, 0, 0, 0, 6, 0x12, 2, 8, 1, 8, 2]), Some(2));
        assert_eq!(status(&[0, 0, 0, 0, 0]), Some(0));
        for broken in [
            &[][..],
            &[0, 0, 0, 0, 2, 8],
            &[1, 0, 0, 0, 2, 8, 1],
            &[0, 0, 0, 0, 1, 8],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 1, 7],
        ] {
            assert_eq!(status(broken), None, "{broken:?}");
        }
    }
}
