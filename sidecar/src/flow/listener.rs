//! Where redirected connections arrive.

use std::fs::File;
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
use super::dial::is_exhausted;
use crate::context::Context;
use crate::proof;

/// Before the next try to accept, after the kernel had nothing left to accept with.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// A file that is always there.
const SPARE: &str = "/dev/null";

/// Says where a connection wanted to go.
pub type Origin = fn(&TcpStream) -> io::Result<SocketAddr>;

/// Accepts until `stop`; then cuts off the flows that still live, each with its record.
///
/// # Errors
/// None at present: a failure to accept is waited out, since flows that live must go on.
pub async fn serve(listener: TcpListener, origin: Origin, context: Arc<Context>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut flows = JoinSet::new();
    let mut spare = Spare::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = flows.join_next() => tell_of_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => begin(&mut flows, stream, origin, &context),
                Err(error) if is_exhausted(&error) && spare.give() => {
                    // the descriptor that was kept for this lets one connection be told why
                    if let Some(Ok((stream, _))) = at_once(listener.accept()).await
                        && let Ok(to) = origin(&stream).or_else(|_| stream.local_addr())
                    {
                        refuse(context.clone(), stream, to, Reason::DescriptorsExhausted);
                    }
                    spare.take_back();
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(PAUSE).await;
                    spare.take_back();
                }
            },
        }
    }
}

fn begin(flows: &mut JoinSet<()>, stream: TcpStream, origin: Origin, context: &Arc<Context>) {
    let context = context.clone();
    match (origin(&stream), stream.local_addr()) {
        (Ok(destination), Ok(own)) if destination != own => {
            if proof::DESTINATIONS.contains(&destination) && is_own(&stream, &context) {
                return drop(flows.spawn(carry(context, stream, destination)));
            }
            let places = if proof::DESTINATIONS.contains(&destination) { &context.proofs } else { &context.flows };
            match places.take() {
                Some(place) => drop(flows.spawn(async move {
                    carry(context, stream, destination).await;
                    // kept until the last word to the client, since its socket is
                    drop(place);
                })),
                None => refuse(context, stream, destination, Reason::LimitReached),
            }
        }
        // Nobody redirected it: the application dialled this very port.
        (Ok(own), _) | (Err(_), Ok(own)) => refuse(context, stream, own, Reason::SelfConnection),
        (Err(error), Err(_)) => tracing::debug!(%error, "a connection was gone before it was accepted"),
    }
}

/// Whether the sidecar itself asks for a proof, which needs no place: an application could take all of them.
pub(super) fn is_own(stream: &TcpStream, context: &Context) -> bool {
    stream.peer_addr().is_ok_and(|client| context.proven.asks_from(client.port()))
}

/// A file descriptor that is kept for the moment when there is none left: without it a connection could neither be accepted nor
/// refused, and would wait.
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(File::open(SPARE).ok())
    }

    /// Gives it away; false where it is not there.
    pub(super) fn give(&mut self) -> bool {
        self.0.take().is_some()
    }

    pub(super) fn take_back(&mut self) {
        self.0 = self.0.take().or_else(|| File::open(SPARE).ok());
    }
}

/// What comes of something if it is there already.
pub(super) async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        outcome = future => Some(outcome),
        () = std::future::ready(()) => None,
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
    use shekara_policy::Limits;
    use shekara_policy::record::End;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::config::Config;
    use crate::flow::tests::{Place, config, document};

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

    /// A proxy with this many places for flows, and where it listens. Whoever connects wants to go to an address that never answers.
    async fn listening(limits: Limits) -> (Place, SocketAddr) {
        let mut place = Place::configured(Config { limits, ..config() }, document(), []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap();
        let (context, stop) = (place.context.clone(), CancellationToken::new());
        place.begin(async { serve(listener, |_| Ok(([192, 0, 2, 1], 443).into()), context, stop).await.unwrap() });
        (place, front)
    }

    /// What a client hears that is refused, which may be as early as it is connected.
    async fn heard(front: SocketAddr) -> io::ErrorKind {
        let hears = async { TcpStream::connect(front).await?.read(&mut [0]).await };
        hears.await.unwrap_err().kind()
    }

    /// As many clients as there are places live on, and the next is refused.
    async fn one_too_many(limits: Limits, places: usize, reason: Reason) {
        let (place, front) = listening(limits).await;
        let mut within = Vec::new();
        for number in 1..=places {
            within.push(TcpStream::connect(front).await.unwrap());
            while place.context.metrics.live_flows() < number as i64 {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(heard(front).await, io::ErrorKind::ConnectionReset);
        assert_eq!(place.record().await.reason, Some(reason));
        for mut client in within {
            assert!(tokio::time::timeout(Duration::from_millis(1), client.read(&mut [0])).await.is_err());
        }
    }

    #[tokio::test]
    async fn one_flow_too_many_is_refused_and_the_others_live_on() {
        one_too_many(Limits { flows: 2, ..Limits::default() }, 2, Reason::LimitReached).await;
    }

    #[tokio::test]
    async fn one_flow_too_many_that_has_not_begun_is_refused_and_the_others_live_on() {
        one_too_many(Limits { half_open: 3, ..Limits::default() }, 3, Reason::HalfOpenLimitReached).await;
    }

    #[tokio::test]
    async fn proofs_have_places_of_their_own() {
        let mut place =
            Place::configured(Config { limits: Limits { flows: 1, ..Limits::default() }, ..config() }, document(), []);
        let flow = place.context.flows.take().unwrap();
        assert!(place.context.flows.take().is_none());
        let half_open: Vec<_> = std::iter::from_fn(|| place.context.half_open.take()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap();
        let (context, stop) = (place.context.clone(), CancellationToken::new());
        place.begin(async { serve(listener, |_| Ok(proof::DESTINATIONS[0]), context, stop).await.unwrap() });
        let mut asking = Vec::new();
        for _ in 0..proof::AT_ONCE {
            asking.push(TcpStream::connect(front).await.unwrap());
        }
        assert_eq!(heard(front).await, io::ErrorKind::ConnectionReset);
        assert_eq!(place.record().await.reason, Some(Reason::LimitReached));
        for mut stream in asking {
            stream.write_all(b"SHEKARA-VERIFY a\n").await.unwrap();
            assert!(stream.read_u8().await.is_ok());
        }
        drop((flow, half_open));
    }

    #[tokio::test]
    async fn the_sidecars_own_proof_is_answered_when_others_have_taken_every_place() {
        let mut place = Place::new(document(), []);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = listener.local_addr().unwrap();
        let (context, stop) = (place.context.clone(), CancellationToken::new());
        place.begin(async { serve(listener, |_| Ok(proof::DESTINATIONS[0]), context, stop).await.unwrap() });
        let taken: Vec<_> = std::iter::from_fn(|| place.context.proofs.take()).collect();
        assert_eq!(heard(front).await, io::ErrorKind::ConnectionReset);
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        crate::verify::Witness::asks_from(&*place.context, socket.local_addr().unwrap().port());
        let mut own = socket.connect(front).await.unwrap();
        own.write_all(b"SHEKARA-VERIFY a\n").await.unwrap();
        assert!(own.read_u8().await.is_ok());
        drop(taken);
    }
}
