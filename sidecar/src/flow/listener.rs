//! Where redirected connections arrive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shekara_policy::Reason;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::carry::{carry, refuse};
use crate::context::Context;

/// Flows at once. Each takes two sockets and, while it carries nothing, a few hundred bytes.
const FLOWS: i64 = 8192;

/// Before the next try to accept, after the kernel had nothing left to accept with.
const PAUSE: Duration = Duration::from_millis(50);

/// Says where a connection wanted to go.
pub type Origin = fn(&TcpStream) -> io::Result<SocketAddr>;

/// Accepts until `stop`; then cuts off the flows that still live, each with its record.
///
/// # Errors
/// None at present: a failure to accept is waited out, since flows that live must go on.
pub async fn serve(listener: TcpListener, origin: Origin, context: Arc<Context>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut flows = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = flows.join_next() => tell_of_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(&mut flows, stream, origin, &context),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

fn begin(flows: &mut JoinSet<()>, stream: TcpStream, origin: Origin, context: &Arc<Context>) {
    let context = context.clone();
    match (origin(&stream), stream.local_addr()) {
        (Ok(destination), Ok(own)) if destination != own && context.metrics.live_flows.get() < FLOWS => {
            flows.spawn(carry(context, stream, destination));
        }
        (Ok(destination), Ok(own)) if destination != own => refuse(context, stream, destination, Reason::LimitReached),
        // Nobody redirected it: the application dialled this very port.
        (Ok(own), _) | (Err(_), Ok(own)) => refuse(context, stream, own, Reason::SelfConnection),
        (Err(error), Err(_)) => tracing::debug!(%error, "a connection was gone before it was accepted"),
    }
}

/// The destination of a connection before it was redirected, as the kernel's connection tracking remembers it.
///
/// # Errors
/// When it was not redirected, or the kernel has forgotten it.
pub fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let original = if stream.local_addr()?.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    original?.as_socket().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A flow whose task panicked is closed by then and has its record; the others go on.
fn tell_of_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "the task of a flow failed; the flow is closed");
    }
}
