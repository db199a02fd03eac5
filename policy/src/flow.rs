//! What is judged: one flow, described by what is known of it at the moment.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::host_name::HostName;

/// The protocol of a flow as the sidecar read it, or as it has to take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TLS over TCP; the ClientHello was read.
    Tls,
    /// HTTP/1 over TCP without TLS; the request head was read.
    Http,
    /// TCP whose bytes are not read.
    Tcp,
    /// UDP other than DNS.
    Udp,
    /// A DNS question over UDP or TCP.
    Dns,
}

impl Protocol {
    /// The protocol's name as records and metrics write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Dns => "DNS",
        }
    }
}

/// A version of TLS, in the order of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V13,
}

/// A flow, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The protocol.
    pub protocol: Protocol,
    /// The name that the client gave, or that a DNS pin of this pod gives.
    pub name: Option<HostName>,
    /// The address that would be dialled; absent before the name is resolved, and then only the name is judged.
    pub address: Option<Address>,
    /// The destination port.
    pub port: u16,
    /// The TLS version that the server has chosen, and before it has the highest that the client offers; absent for other protocols
    /// and for older versions.
    pub tls: Option<TlsVersion>,
    /// Whether the ClientHello has the extension `encrypted_client_hello` (RFC 9849). By design nobody on the way can tell whether
    /// another name is hidden in it or it has random bytes (GREASE, section 6.2).
    pub ech: bool,
    /// The egress proxy that the flow is handed to by CONNECT (RFC 9110, section 9.3.6), which resolves the name itself; absent for
    /// flows that the sidecar dials.
    pub via: Option<SocketAddr>,
}

/// A connection from a client to a covered pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inflow {
    /// The client's address.
    pub client: Address,
    /// The port of the pod.
    pub port: u16,
}
