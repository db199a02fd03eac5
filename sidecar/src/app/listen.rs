//! The ports of the proxy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shekara_policy::Limits;
use tokio::net::{TcpListener, UdpSocket};

use crate::config::Ports;
use crate::flow::dial::Dialler;

/// Open files that a sidecar needs beside those of flows, associations and questions: its listeners, and whoever asks it.
const OTHERS: u64 = 1024;

/// Everything that is listened on: loopback in both families, and what comes in and the administration port at every address.
pub(super) struct Listeners {
    pub(super) flow: Vec<TcpListener>,
    pub(super) inward: Vec<TcpListener>,
    pub(super) dns_tcp: Vec<TcpListener>,
    pub(super) dns_udp: Vec<UdpSocket>,
    pub(super) sink: Vec<UdpSocket>,
    /// With the endpoint whose datagrams each gets.
    pub(super) datagrams: Vec<(UdpSocket, SocketAddr)>,
    pub(super) admin: Vec<TcpListener>,
}

/// Where a proxy listens: the first of each is IPv4.
#[derive(Clone, Debug)]
pub struct Bound {
    /// Redirected TCP.
    pub flow: Vec<SocketAddr>,
    /// TCP that comes in.
    pub inward: Vec<SocketAddr>,
    /// DNS over TCP.
    pub dns_tcp: Vec<SocketAddr>,
    /// DNS over UDP.
    pub dns_udp: Vec<SocketAddr>,
    /// All other UDP.
    pub sink: Vec<SocketAddr>,
    /// Datagrams to listed endpoints, in their order.
    pub datagrams: Vec<SocketAddr>,
    /// Metrics and readiness.
    pub admin: Vec<SocketAddr>,
}

impl Listeners {
    pub(super) async fn bind(ports: Ports, endpoints: &[SocketAddr], dialler: &Dialler) -> anyhow::Result<Self> {
        let (mut flow, mut dns_tcp, mut dns_udp, mut sink) = (vec![], vec![], vec![], vec![]);
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            flow.extend(if_there(ip, TcpListener::bind((ip, ports.flow)).await).with_context(|| port(ports.flow))?);
            dns_tcp.extend(if_there(ip, TcpListener::bind((ip, ports.dns)).await).with_context(|| port(ports.dns))?);
            dns_udp.extend(if_there(ip, UdpSocket::bind((ip, ports.dns)).await).with_context(|| port(ports.dns))?);
            sink.extend(if_there(ip, UdpSocket::bind((ip, ports.sink)).await).with_context(|| port(ports.sink))?);
        }
        let mut datagrams = Vec::with_capacity(endpoints.len());
        for (endpoint, offset) in endpoints.iter().zip(0..) {
            let own: IpAddr = if endpoint.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let at = if ports.datagrams == 0 { 0 } else { ports.datagrams.saturating_add(offset) };
            let bound = if_there(own, UdpSocket::bind((own, at)).await).with_context(|| port(at))?;
            datagrams.extend(bound.map(|socket| (socket, *endpoint)));
        }
        let (mut inward, mut admin) = (vec![], vec![]);
        for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let listen = |number: u16| if_there(ip, dialler.listen((ip, number).into())).with_context(|| port(number));
            inward.extend(listen(ports.inward)?);
            admin.extend(listen(ports.admin)?);
        }
        Ok(Self { flow, inward, dns_tcp, dns_udp, sink, datagrams, admin })
    }

    pub(super) fn bound(&self) -> io::Result<Bound> {
        let tcp = |listeners: &[TcpListener]| listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>();
        let udp = |sockets: &[UdpSocket]| sockets.iter().map(UdpSocket::local_addr).collect::<io::Result<_>>();
        Ok(Bound {
            flow: tcp(&self.flow)?,
            inward: tcp(&self.inward)?,
            dns_tcp: tcp(&self.dns_tcp)?,
            dns_udp: udp(&self.dns_udp)?,
            sink: udp(&self.sink)?,
            datagrams: self.datagrams.iter().map(|(socket, _)| socket.local_addr()).collect::<io::Result<_>>()?,
            admin: tcp(&self.admin)?,
        })
    }
}

fn port(port: u16) -> String {
    format!("port {port} cannot be listened on")
}

/// A pod without IPv6 has no way out over it, so nothing needs to listen there.
fn if_there<T>(ip: IpAddr, bound: io::Result<T>) -> io::Result<Option<T>> {
    match bound {
        Err(error) if ip.is_ipv6() && is_without_ipv6(&error) => Ok(None),
        bound => bound.map(Some),
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    let codes = [rustix::io::Errno::AFNOSUPPORT, rustix::io::Errno::ADDRNOTAVAIL].map(|code| Some(code.raw_os_error()));
    codes.contains(&error.raw_os_error())
}

/// Open files that a full sidecar needs: two for each flow in each direction, one for each association and question, and the
/// rest.
fn wanted(limits: Limits) -> u64 {
    let of_flows = u64::from(limits.flows) * 4;
    let of_others = u64::from(limits.associations) + u64::from(limits.questions) + OTHERS;
    // an eighth of all is never that of flows (`bound::flows_within`)
    (of_flows + of_others).max(of_flows * 8 / 7 + 1)
}

/// Raises the soft limit of open files: container runtimes set it to 1024, for programs that use `select`.
pub(super) fn raise_limit(limits: Limits) -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(wanted(limits), |maximum| maximum.min(wanted(limits)));
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?)
}
