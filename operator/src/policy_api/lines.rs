//! The body of an answer that goes on: a line an event, until there is nobody left to tell or the operator is told to stop.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use futures::{Stream, stream};
use tokio_util::sync::CancellationToken;

/// Where lines come from.
pub(super) trait Lines: Send {
    /// The next line, as soon as there is something to say; none where nobody is left to hear it.
    fn line(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The lines as they come, until the last one or until the operator is told to stop.
pub(super) fn until_told(lines: impl Lines, stop: CancellationToken) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold((lines, stop), |(mut lines, stop)| async move {
        let line = tokio::select! {
            line = lines.line() => line,
            () = stop.cancelled() => None,
        };
        Some((Ok(line?), (lines, stop)))
    })
}
