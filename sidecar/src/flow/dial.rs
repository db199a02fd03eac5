//! Sockets to the outside. Each is made such that the packet filter knows it as the sidecar's, for it lets nothing else out of the pod.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::source_ports::SourcePorts;
use crate::carve_out::CarveOut;
use crate::mark::mark_inward;

/// How long a destination may take to answer.
pub const CONNECT: Duration = Duration::from_secs(10);

/// How long one may take that is not the last to be tried: enough for a first packet that was lost (RFC 6298 has it sent again after
/// one second and after three).
pub const CONNECT_ONE_OF_MANY: Duration = Duration::from_millis(3500);

/// Connections that wait to be accepted.
const WAITING: u32 = 1024;

/// When a silent peer is asked whether it still lives, and how often: half-open flows end after some four minutes. Linux asks only
/// where nothing is under way to the peer. Else it sends that again until `net.ipv4.tcp_retries2` ends the connection, by default
/// after some fifteen minutes. `TCP_USER_TIMEOUT` (tcp(7)) would end it sooner, but also a connection whose peer answers every probe
/// and keeps its window closed for so long (`tcp_probe_timer` in the kernel's `net/ipv4/tcp_timer.c`), as a receiver does that reads
/// nothing for some minutes: a player that is paused, or a broker that holds its senders back.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(120)).with_interval(Duration::from_secs(30)).with_retries(4);

/// Makes every socket that leaves the pod.
#[derive(Clone, Debug)]
pub struct Dialler {
    carve_out: CarveOut,
    source_ports: SourcePorts,
    #[cfg(test)]
    detours: Option<std::sync::Arc<std::collections::HashMap<SocketAddr, SocketAddr>>>,
    /// How long a connection takes to fail or succeed, in milliseconds.
    #[cfg(test)]
    lingers: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Dialler {
    /// The only one there is outside tests: its sockets are let out or not made at all.
    #[must_use]
    pub fn new(carve_out: CarveOut) -> Self {
        Self {
            carve_out,
            source_ports: SourcePorts::read(),
            #[cfg(test)]
            detours: None,
            #[cfg(test)]
            lingers: std::sync::Arc::default(),
        }
    }

    /// Connects a TCP socket, with [`CONNECT`] for a limit.
    ///
    /// # Errors
    /// When the socket is not let out or the destination does not answer.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        self.connect_within(to, CONNECT).await
    }

    /// Connects a TCP socket within a time.
    ///
    /// # Errors
    /// When the socket is not let out or the destination does not answer.
    pub async fn connect_within(&self, to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        #[cfg(test)]
        tokio::time::sleep(Duration::from_millis(self.lingers.load(std::sync::atomic::Ordering::Relaxed))).await;
        let to = self.way(to)?;
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        self.let_out(&SockRef::from(&socket))?;
        let stream = timeout(limit, socket.connect(to)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tune(&stream);
        Ok(stream)
    }

    /// Connects to the application in the name of a client, with its port unless that is taken: the kernel then chooses one. A
    /// sidecar that is known by its user may not do so, and connects in the pod's own name.
    ///
    /// # Errors
    /// When the socket cannot be marked or have the client's address, or the application does not answer.
    pub async fn inward(&self, client: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
        let taken = |error: &io::Error| matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable);
        match self.inward_from(client, to).await {
            Err(error) if taken(&error) => {
                let mut any_port = client;
                any_port.set_port(0);
                self.inward_from(any_port, to).await
            }
            connected => connected,
        }
    }

    async fn inward_from(&self, client: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
        let to = self.way(to)?;
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        self.appear_as(&socket, client)?;
        let stream = timeout(CONNECT, socket.connect(to)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tune(&stream);
        Ok(stream)
    }

    /// A listener whose connections may leave the pod as the sidecar's own sockets do: they inherit its mark.
    ///
    /// # Errors
    /// When the port is taken or the socket is not let out.
    pub fn listen(&self, at: SocketAddr) -> io::Result<TcpListener> {
        let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if at.is_ipv6() {
            SockRef::from(&socket).set_only_v6(true)?;
        }
        socket.set_reuseaddr(true)?;
        self.let_out(&SockRef::from(&socket))?;
        socket.bind(at)?;
        socket.listen(WAITING)
    }

    /// Connects a UDP socket, so that it hears its destination alone.
    ///
    /// # Errors
    /// When the socket cannot be made or is not let out, or nothing leads to the destination.
    pub async fn datagrams(&self, to: SocketAddr) -> io::Result<UdpSocket> {
        let to = self.way(to)?;
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = self.source_ports.bind(any).await?;
        self.let_out(&SockRef::from(&socket))?;
        socket.connect(to).await?;
        // until the runtime has looked, a socket counts as full, and the first datagram would be lost
        socket.writable().await?;
        Ok(socket)
    }

    /// Where a socket for an address is connected to: there.
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests make detours")]
    fn way(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        Ok(to)
    }

    fn appear_as(&self, socket: &TcpSocket, client: SocketAddr) -> io::Result<()> {
        match self.carve_out {
            CarveOut::Mark => as_client(socket, client),
            CarveOut::User(_) => Ok(()),
        }
    }

    fn let_out(&self, socket: &SockRef<'_>) -> io::Result<()> {
        self.carve_out.let_out(socket)
    }
}

/// Gives a socket the client's address (`IP_TRANSPARENT`, ip(7), which a socket over IPv6 takes too). The client's own connection may
/// have the same address and port here: they differ by the port of the pod.
fn as_client(socket: &TcpSocket, client: SocketAddr) -> io::Result<()> {
    let options = SockRef::from(socket);
    mark_inward(&options)?;
    options.set_ip_transparent_v4(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(client)
}

/// What both sides of a flow need: no delay for small writes (it costs tens of milliseconds an exchange), and an end for peers
/// that are gone. A kernel that refuses either still carries the flow.
pub fn tune(stream: &TcpStream) {
    let tuned = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection keeps its delay or is not kept alive");
    }
}

#[cfg(test)]
impl Dialler {
    /// Leads to test servers instead of the addresses that were judged; elsewhere nobody is.
    pub(crate) fn detoured(detours: impl IntoIterator<Item = (SocketAddr, SocketAddr)>) -> Self {
        Self {
            detours: Some(std::sync::Arc::new(detours.into_iter().collect())),
            ..Self::new(CarveOut::User(std::num::NonZeroU32::MIN))
        }
    }

    /// Has every connection take so long, as one to an address that is far away does.
    pub(crate) fn linger(&self, time: Duration) {
        self.lingers.store(u64::try_from(time.as_millis()).unwrap(), std::sync::atomic::Ordering::Relaxed);
    }

    fn way(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        let Some(detours) = &self.detours else { return Ok(to) };
        detours.get(&to).copied().ok_or_else(|| io::ErrorKind::HostUnreachable.into())
    }
}

/// Whether the kernel has no file descriptor left for this process, or for any.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
