//! UDP to endpoints that recipients list: relayed and judged. All other UDP goes to the sink.
//!
//! The packet filter leads each listed address and port to a local port of its own, so a datagram needs no more than the port that it
//! came to for its destination to be known. Which there are is fixed when the pod is admitted; whether one is open, the documents say
//! at each moment.

mod association;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shekara_policy::Reason;
use shekara_policy::datagrams::MOST;
use shekara_policy::ports::DATAGRAMS;
use shekara_policy::verdict::Denial;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::association::Association;
use crate::carve_out::CarveOut;
use crate::config::ConfigError;
use crate::context::Context;
use crate::flow::story::Story;

/// The variable with the endpoints, told to packet filter and proxy alike.
pub const VARIABLE: &str = "SHEKARA_UDP";

/// Datagrams of one association that wait to be sent; more are lost, as on any full link.
const QUEUE: usize = 64;

/// The longest datagram.
const LONGEST: usize = 65_535;

/// Before the next try to receive, after the kernel reported an error.
const PAUSE: Duration = Duration::from_millis(10);

/// The endpoints in the order of their local ports, by a function that gives the value of a variable.
///
/// # Errors
/// When the variable is no list of addresses with ports, or too long.
pub fn endpoints(variable: impl Fn(&str) -> Option<String>) -> Result<Vec<SocketAddr>, ConfigError> {
    let value = variable(VARIABLE).unwrap_or_default();
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    match parts.map(str::parse).collect::<Result<Vec<SocketAddr>, _>>() {
        Ok(endpoints) if endpoints.len() <= MOST => Ok(endpoints),
        _ => {
            let problem = format!("it is a list of address:port, {MOST} at most, joined by commas");
            Err(ConfigError::Invalid { variable: VARIABLE, value, problem })
        }
    }
}

/// The lines that are added to the packet filter for these endpoints: before all others, so that neither the sink nor what lets
/// datagrams pass in a pod that observes gets them.
#[must_use]
pub(crate) fn rules(endpoints: &[SocketAddr], carve_out: CarveOut) -> String {
    let others = carve_out.others();
    let rule = |(endpoint, port): (&SocketAddr, u16)| {
        let family = if endpoint.is_ipv4() { "ip" } else { "ip6" };
        let (address, to) = (endpoint.ip(), endpoint.port());
        format!("insert rule inet shekara nat-out {others} {family} daddr {address} udp dport {to} redirect to :{port}\n")
    };
    endpoints.iter().zip(DATAGRAMS..).map(rule).collect()
}

/// Relays the datagrams to one endpoint for as long as it is polled.
///
/// # Errors
/// None at present: errors of the socket are those of single datagrams.
pub async fn serve(socket: UdpSocket, endpoint: SocketAddr, context: Arc<Context>) -> anyhow::Result<()> {
    let socket = Arc::new(socket);
    let mut open: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        tokio::select! {
            Some(ended) = tasks.join_next() => match ended {
                Ok(client) => drop(open.remove(&client)),
                // which one it was is not known; those that live on are found by their queues
                Err(_) => open.retain(|_, queue| !queue.is_closed()),
            },
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, client)) => {
                    let datagram = buffer.get(..length).unwrap_or_default().to_vec();
                    let Err(datagram) = send(&open, client, datagram) else { continue };
                    let Some(place) = context.associations.take() else {
                        context.metrics.datagrams_denied.inc();
                        Story::udp(context.clone(), endpoint).refused(&Denial::of(Reason::AssociationLimitReached));
                        continue;
                    };
                    let (queue, waiting) = mpsc::channel(QUEUE);
                    // the queue is empty and open
                    let _ = queue.try_send(datagram);
                    open.insert(client, queue);
                    let association = Association { context: context.clone(), local: socket.clone(), client, endpoint, waiting };
                    tasks.spawn(async move {
                        association.carry().await;
                        drop(place);
                        client
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be received");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

/// Gives a datagram to the association of its sender; back where there is none.
fn send(open: &HashMap<SocketAddr, mpsc::Sender<Vec<u8>>>, client: SocketAddr, datagram: Vec<u8>) -> Result<(), Vec<u8>> {
    let Some(queue) = open.get(&client) else { return Err(datagram) };
    match queue.try_send(datagram) {
        Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
        Err(mpsc::error::TrySendError::Closed(datagram)) => Err(datagram),
    }
}

#[cfg(test)]
mod tests;
