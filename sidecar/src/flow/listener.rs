//! Where redirected connections arrive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
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

/// Open files that no flow takes, at least: for listeners, questions, the policy API, and the probes, without whose answers the
/// kubelet starts the sidecar anew and cuts off every flow.
const OTHER_FILES: u64 = 64;

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
    let most = most_flows(getrlimit(Resource::Nofile).current);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = flows.join_next() => tell_of_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(&mut flows, stream, origin, &context, most),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

/// How many flows there may be at once with so many open files.
fn most_flows(open_files: Option<u64>) -> i64 {
    let enough = |files: u64| i64::try_from(files.saturating_sub(OTHER_FILES.max(files / 8)) / 2).unwrap_or(FLOWS).min(FLOWS);
    open_files.map_or(FLOWS, enough)
}

fn begin(flows: &mut JoinSet<()>, stream: TcpStream, origin: Origin, context: &Arc<Context>, most: i64) {
    let context = context.clone();
    match (origin(&stream), stream.local_addr()) {
        (Ok(destination), Ok(own)) if destination != own && context.metrics.live_flows.get() < most => {
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

    #[test]
    fn flows_leave_open_files_for_everything_else() {
        for (open_files, flows) in [(None, FLOWS), (Some(20_000), FLOWS), (Some(4096), 1792), (Some(100), 18), (Some(64), 0)] {
            assert_eq!(most_flows(open_files), flows, "{open_files:?}");
        }
    }

    #[tokio::test]
    async fn one_flow_too_many_is_refused_and_the_others_live_on() {
        let mut place = Place::new(document(), []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap();
        let (context, stop) = (place.context.clone(), CancellationToken::new());
        place.begin(async { serve(listener, |_| Ok(([192, 0, 2, 1], 443).into()), context, stop).await.unwrap() });
        let most = most_flows(getrlimit(Resource::Nofile).current);
        place.context.metrics.live_flows.set(most - 1);
        let mut within = TcpStream::connect(front).await.unwrap();
        while place.context.metrics.live_flows.get() < most {
            tokio::task::yield_now().await;
        }
        let mut beyond = TcpStream::connect(front).await.unwrap();
        assert_eq!(beyond.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(place.record().await.reason, Some(Reason::LimitReached));
        assert!(tokio::time::timeout(Duration::from_millis(1), within.read(&mut [0])).await.is_err());
    }
}
