//! What must hold whatever an application or a resolver sends: the bodies of the fuzz targets of `fuzz/`. Each panics where it does
//! not hold. The seeds of each target, and with them everything that was ever found, also run in an ordinary test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold is a failed test"
)]

mod client_hello;
mod dns_message;
mod http_head;
mod lenient;
mod plain_hello;

pub use client_hello::client_hello;
pub use dns_message::dns_message;
pub use http_head::http_head;

use crate::flow::hello::{Hello, Progress, read};

/// A beginning of the bytes is waited on, or read as all of them are: whichever pieces they come in makes no difference.
fn pieces_change_nothing(bytes: &[u8], whole: &Progress<Hello>) {
    let step = (bytes.len() / 64).max(1);
    for end in (0..bytes.len()).step_by(step) {
        let so_far = read(&bytes[..end]);
        assert!(so_far == Progress::More || so_far == *whole, "{end} bytes are {so_far:?}, and all of them {whole:?}");
    }
    if *whole != Progress::More {
        assert_eq!(read(&[bytes, b"GET / HTTP/1.1\r\n\r\n\x16\x03\x01"].concat()), *whole, "what follows changes it");
    }
}

#[cfg(test)]
mod tests;
