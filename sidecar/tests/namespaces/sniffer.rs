//! What arrived in the world from the pod, seen on the wire.

use std::io::{ErrorKind, Read as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;
use shekara_sidecar::mark::MARK;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::watch;

use crate::actor::USER;
use crate::namespace::Namespace;
use crate::wait::within;

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMP_V6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

/// All protocols of Ethernet (`ETH_P_ALL` of packet(7)), in network byte order.
const EVERYTHING: u16 = 3u16.to_be();

/// Where nobody is and packets are sent to mark a moment.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

/// The hardware address of the pod, by which its packets are told from all others whatever they say of themselves.
pub(crate) const POD_HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// A packet of the pod, or a frame of it that has none of IP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The frame's type (EtherType).
    pub(crate) frame: u16,
    /// `0.0.0.0` where it is none of IP, whose payload is all that follows its type.
    pub(crate) to: IpAddr,
    pub(crate) protocol: u8,
    /// Whence and where to, of TCP, UDP and SCTP.
    pub(crate) from_port: u16,
    pub(crate) port: u16,
    pub(crate) payload: Vec<u8>,
}

/// Listens in the world for as long as it lives.
pub(crate) struct Sniffer {
    packets: Arc<watch::Sender<Vec<Packet>>>,
    moments: AtomicU16,
    /// Whether the packet filter lets a user out in place of a mark.
    pub(crate) by_user: bool,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sniffer {
    /// Begins to listen.
    pub(crate) fn new(world: &Namespace) -> Self {
        let packets = Arc::new(watch::Sender::new(Vec::new()));
        let sender = packets.clone();
        let socket =
            world.inside(|| Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(EVERYTHING)))).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut frame = vec![0; 65536];
            while !stopped.load(Ordering::Relaxed) {
                match (&socket).read(&mut frame) {
                    Ok(length) => {
                        if let Some(packet) = read(&frame[..length]) {
                            sender.send_modify(|packets| packets.push(packet));
                        }
                    }
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Err(error) => panic!("the sniffer cannot hear: {error}"),
                }
            }
        });
        Self { packets, moments: AtomicU16::new(1), by_user: false, stop, thread: Some(thread) }
    }

    /// Whether anything like this has arrived so far. What the pod sent before this call and will ever arrive has arrived: a
    /// packet is sent behind it, as the sidecar sends, and waited for.
    pub(crate) async fn has_seen(&self, pod: &Namespace, like: impl Fn(&Packet) -> bool) -> bool {
        let moment = SocketAddr::from((NOBODY, self.moments.fetch_add(1, Ordering::Relaxed)));
        pod.inside(|| {
            if self.by_user {
                // the user of this thread alone, which ends with this
                let user = Uid::from_raw(USER);
                set_thread_res_uid(user, user, user).unwrap();
            }
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            if !self.by_user {
                SockRef::from(&socket).set_mark(MARK).unwrap();
            }
            socket.send_to(b"now", moment).unwrap();
        });
        self.until(|packet| (packet.to, packet.port) == (moment.ip(), moment.port())).await;
        self.packets.borrow().iter().any(like)
    }

    /// Everything that has arrived so far.
    pub(crate) async fn packets(&self, pod: &Namespace) -> Vec<Packet> {
        self.has_seen(pod, |_| false).await;
        self.packets.borrow().clone()
    }

    /// Forgets what has arrived so far.
    pub(crate) async fn forget(&self, pod: &Namespace) {
        self.has_seen(pod, |_| false).await;
        self.packets.send_modify(Vec::clear);
    }

    /// Waits until something like this arrives.
    pub(crate) async fn until(&self, like: impl Fn(&Packet) -> bool) {
        within("a packet to arrive in the world", self.packets.subscribe().wait_for(|packets| packets.iter().any(&like)))
            .await
            .unwrap();
    }

    /// Whether anything arrived for this address so far.
    pub(crate) async fn has_seen_any_to(&self, pod: &Namespace, address: IpAddr) -> bool {
        self.has_seen(pod, |packet| packet.to == address).await
    }

    /// Everything that arrived, shortly.
    pub(crate) fn summary(&self) -> String {
        let packets = self.packets.borrow();
        packets.iter().map(|packet| format!("  {} protocol {} port {}\n", packet.to, packet.protocol, packet.port)).collect()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads an Ethernet frame from the pod. The kernel has taken a tag (VLAN) off by then.
fn read(frame: &[u8]) -> Option<Packet> {
    let (from, packet) = (frame.get(6..12)?, frame.get(14..)?);
    let kind = u16::from_be_bytes(frame.get(12..14)?.try_into().ok()?);
    let (to, protocol, inner) = match kind {
        0x0800 => {
            let to = <[u8; 4]>::try_from(packet.get(16..20)?).ok()?;
            (IpAddr::from(to), *packet.get(9)?, packet.get(usize::from(packet.first()? & 0xf) * 4..)?)
        }
        0x86dd => {
            let to = <[u8; 16]>::try_from(packet.get(24..40)?).ok()?;
            (IpAddr::from(to), *packet.get(6)?, packet.get(40..)?)
        }
        _ => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0, packet),
    };
    let (from_port, port) = match protocol {
        TCP | UDP | SCTP => {
            (u16::from_be_bytes([*inner.first()?, *inner.get(1)?]), u16::from_be_bytes([*inner.get(2)?, *inner.get(3)?]))
        }
        _ => (0, 0),
    };
    (from == POD_HARDWARE).then(|| Packet { frame: kind, to, protocol, from_port, port, payload: inner.to_vec() })
}
