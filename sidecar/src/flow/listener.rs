//! Where redirected connections arrive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shekara_policy::Reason;
use shekara_policy::record::Direction;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::carry::{carry, refuse};
use crate::context::Context;

/// Flows at once, in each direction. Each takes two sockets and, while it carries nothing, a few hundred bytes.
pub(super) const FLOWS: i64 = 8192;

/// Before the next try to accept, after the kernel had nothing left to accept with.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

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
        (Ok(destination), Ok(own)) if destination != own && context.metrics.of(Direction::Outbound).live.get() < FLOWS => {
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
pub(super) fn tell_of_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "the task of a flow failed; the flow is closed");
    }
}

#[cfg(test)]
mod tests {
    use shekara_policy::record::End;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::flow::tests::{Place, document};

    #[tokio::test]
    async fn who_dials_the_port_itself_is_refused() {
        let mut place = Place::new(document(), []);
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(any).await.unwrap();
            let own = listener.local_addr().unwrap();
            let (context, stop) = (place.context.clone(), CancellationToken::new());
            place.begin(async { serve(listener, original_destination, context, stop).await.unwrap() });
            let mut client = TcpStream::connect(own).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            let record = place.record().await;
            assert_eq!((record.reason, record.end), (Some(Reason::SelfConnection), End::Refused));
            assert_eq!((record.destination, record.port), (Some(own.ip()), own.port()));
        }
    }

    #[tokio::test]
    async fn one_flow_too_many_is_refused_and_the_others_live_on() {
        let mut place = Place::new(document(), []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap();
        let (context, stop) = (place.context.clone(), CancellationToken::new());
        place.begin(async { serve(listener, |_| Ok(([192, 0, 2, 1], 443).into()), context, stop).await.unwrap() });
        place.context.metrics.of(Direction::Outbound).live.set(FLOWS - 1);
        let mut within = TcpStream::connect(front).await.unwrap();
        while place.context.metrics.of(Direction::Outbound).live.get() < FLOWS {
            tokio::task::yield_now().await;
        }
        let mut beyond = TcpStream::connect(front).await.unwrap();
        assert_eq!(beyond.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(place.record().await.reason, Some(Reason::LimitReached));
        assert!(tokio::time::timeout(Duration::from_millis(1), within.read(&mut [0])).await.is_err());
    }
}
