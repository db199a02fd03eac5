//! Probes and lifecycle hooks of the pod's containers: the kubelet asks the sidecar for them, and the sidecar asks the application,
//! from within the pod. Nobody who asks hears more of the application than whether it answers.

mod grpc;
mod http;
mod node;
mod tls;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use shekara_policy::probes::{Ask, HOOK, Probe, Probes};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::carve_out::as_anybody;
use crate::config::ConfigError;
use crate::context::Context;

/// The variable with what is asked, as JSON.
const PROBES: &str = "SHEKARA_PROBES";

/// The variable with the addresses of the node, joined by commas, as the kubelet fills it in.
const NODE: &str = "SHEKARA_NODE";

/// Probes under way at once for others than the node.
pub const AT_ONCE: u32 = 8;

/// Why a probe failed, in words of the sidecar's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// There is no place.
    #[error("as many probes are under way as the sidecar asks at once for others than the node")]
    Busy,
    /// There is no answer yet.
    #[error("the application did not answer in time")]
    Late,
    /// Nobody listens.
    #[error("the application takes no connection at the port of the probe")]
    Closed,
    /// It speaks no TLS.
    #[error("the application does not speak TLS at the port of the probe")]
    Tls,
    /// It does not speak what it was to speak.
    #[error("the application ended the connection or answered in another protocol")]
    Protocol,
    /// It says that it is not well.
    #[error("the application answered, with another status than those from 200 to 399")]
    Status,
    /// It says by gRPC that it is not well, or nothing of it.
    #[error("the application does not say that it serves")]
    NotServing,
    /// The probe itself cannot be sent.
    #[error("the path or a header of the probe cannot be sent")]
    Unsendable,
}

/// Something that is asked for, at the path of a request.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    probe: &'a Probe,
    /// Whether the node asks for it.
    for_node: bool,
    /// Whether it is a lifecycle hook, of whose answer the kubelet takes note only if it does not come.
    pub is_hook: bool,
}

impl Asked<'_> {
    /// How long it may take.
    #[must_use]
    pub fn within(&self) -> Duration {
        Duration::from_secs(self.probe.within.into())
    }

    /// Asks the application at the address at which the sidecar was asked.
    ///
    /// # Errors
    /// When the application does not answer as it should, or not in time.
    pub async fn ask(&self, context: &Context, at: SocketAddr) -> Result<(), ProbeError> {
        // whoever else asks takes no place of the kubelet, which would end the container
        let _place = if self.for_node { None } else { Some(context.probes.take().ok_or(ProbeError::Busy)?) };
        let mut to = at;
        to.set_port(self.probe.port);
        timeout(self.within(), self.once(to)).await.unwrap_or(Err(ProbeError::Late))
    }

    async fn once(&self, to: SocketAddr) -> Result<(), ProbeError> {
        // as anybody: a connection of this socket can lead nowhere but into the pod itself
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.and_then(|socket| as_anybody(&socket).map(|()| socket)).map_err(|_| ProbeError::Closed)?;
        let stream = socket.connect(to).await.map_err(|_| ProbeError::Closed)?;
        match &self.probe.ask {
            Ask::Tcp {} => Ok(()),
            Ask::Grpc { service } => grpc::check(stream, to, service).await,
            Ask::Http { tls, path, headers } => {
                let status = http::get(stream, to, *tls, path, headers).await?;
                let is_well = (200..400).contains(&status.as_u16());
                if is_well || self.is_hook { Ok(()) } else { Err(ProbeError::Status) }
            }
        }
    }
}

/// What is asked for at this path by whom. Hooks change what an application does, so that the node alone may ask for them.
#[must_use]
pub fn find<'a>(context: &'a Context, path: &str, from: IpAddr) -> Option<Asked<'a>> {
    let probe = context.config.probes.0.get(path)?;
    let (is_hook, for_node) = (path.starts_with(HOOK), is_node(context, from));
    (!is_hook || for_node).then_some(Asked { probe, for_node, is_hook })
}

/// Whether this is the node's address, from which its kubelet asks.
#[must_use]
pub fn is_node(context: &Context, address: IpAddr) -> bool {
    node::is_node(address, &context.config.node)
}

/// What the pod's environment says of its probes, by a function that gives the value of a variable.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn probes(variable: impl Fn(&str) -> Option<String>) -> Result<Probes, ConfigError> {
    let value = variable(PROBES).unwrap_or_default();
    if value.trim().is_empty() {
        return Ok(Probes::default());
    }
    Probes::from_json(&value).map_err(|error| ConfigError::Invalid { variable: PROBES, problem: error.to_string(), value })
}

/// What it says of its node.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn node(variable: impl Fn(&str) -> Option<String>) -> Result<BTreeSet<IpAddr>, ConfigError> {
    let value = variable(NODE).unwrap_or_default();
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let invalid = |_| ConfigError::Invalid {
        variable: NODE,
        value: value.clone(),
        problem: "it has addresses, joined by commas".to_owned(),
    };
    parts.map(|part| part.parse().map_err(invalid)).collect()
}

#[cfg(test)]
mod tests;
