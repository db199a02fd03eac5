//! Connections that come in: each is judged by who the client is, and carried to the application in the client's name.
//!
//! The packet filter led it here ([`crate::filter`]). The connection to the application has the client's own address for a source, so
//! the application sees what it would see without a sidecar; packet filter and routing keep it within the pod.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Inflow, Reason, Verdict};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::close::Abrupt;
use super::dial::{is_exhausted, tune};
use super::listener::{Origin, PAUSE, Spare, at_once, is_own, tell_of_panic};
use super::registry::Entry;
use super::relay::{Outcome, Pair, relay};
use super::story::Story;
use crate::context::Context;
use crate::proof;
use crate::spending::Purse;

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
                Ok((stream, client)) => begin(&mut flows, stream, client, origin, &context),
                Err(error) if is_exhausted(&error) && spare.give() => {
                    // the descriptor that was kept for this lets one connection be refused
                    if let Some(Ok((stream, client))) = at_once(listener.accept()).await
                        && let Ok(to) = origin(&stream).or_else(|_| stream.local_addr())
                    {
                        refuse(context.clone(), stream, client, to, Reason::DescriptorsExhausted);
                    }
                    spare.take_back();
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection that came in could not be accepted");
                    sleep(PAUSE).await;
                    spare.take_back();
                }
            },
        }
    }
}

fn begin(flows: &mut JoinSet<()>, stream: TcpStream, client: SocketAddr, origin: Origin, context: &Arc<Context>) {
    let context = context.clone();
    match (origin(&stream), stream.local_addr()) {
        // servers on loopback are for the pod itself, whoever led a client there
        (Ok(destination), Ok(own)) if destination != own && destination.ip().to_canonical().is_loopback() => {
            refuse(context, stream, client, destination, Reason::SelfConnection);
        }
        (Ok(destination), Ok(own)) if destination != own => match context.inflows.take() {
            Some(place) => drop(flows.spawn(async move {
                carry(context, stream, client, destination).await;
                // kept until the last word to the client, since its socket is
                drop(place);
            })),
            None => refuse(context, stream, client, destination, Reason::LimitReached),
        },
        // Nobody led it here: the proof asks, or somebody dialled this very port.
        (Ok(own), _) | (Err(_), Ok(own)) if own.ip().is_loopback() => {
            // the pod itself dialled it, so it takes no place of a client
            match context.proofs.take() {
                place if place.is_some() || is_own(&stream, &context) => drop(flows.spawn(async move {
                    if proof::answer(stream, own, &context.sink).await.is_err() {
                        Story::inbound(context, client, own).refused(&Denial::of(Reason::SelfConnection));
                    }
                    drop(place);
                })),
                _ => refuse(context, stream, client, own, Reason::LimitReached),
            }
        }
        (Ok(own), _) | (Err(_), Ok(own)) => refuse(context, stream, client, own, Reason::SelfConnection),
        (Err(error), Err(_)) => tracing::debug!(%error, "a connection was gone before it was accepted"),
    }
}

/// Refuses a flow without a look at it.
fn refuse(context: Arc<Context>, stream: TcpStream, client: SocketAddr, destination: SocketAddr, reason: Reason) {
    Story::inbound(context, client, destination).refused(&Denial::of(reason));
    drop(Abrupt::new(stream));
}

/// Carries a flow from a client that wants to go to `destination`, an address and port of the pod.
pub async fn carry(context: Arc<Context>, stream: TcpStream, client: SocketAddr, destination: SocketAddr) {
    tune(&stream);
    let outside = Abrupt::new(stream);
    let mut story = Story::inbound(context.clone(), client, destination);
    let carrier = Carrier { context: &context, client, destination };
    let completed = carrier.carry(&outside, &mut story).await;
    // The record is written before the client sees the end, so that whoever sees it also finds the record.
    drop(story);
    if completed {
        outside.done();
    }
}

struct Carrier<'a> {
    context: &'a Arc<Context>,
    client: SocketAddr,
    destination: SocketAddr,
}

impl Carrier<'_> {
    /// Whether both sides finished.
    async fn carry(&self, outside: &Abrupt, story: &mut Story) -> bool {
        let flow = Inflow { client: Address::new(self.client.ip()), port: self.destination.port() };
        let unknown = self.learn(&flow).await;
        // Judged after the last await. From here on the registry says when it is no longer allowed.
        let Some(mut entry) = self.enter(flow, unknown, story) else { return false };
        let connected = tokio::select! {
            denial = entry.denied() => {
                story.revoked(&denial);
                return false;
            }
            connected = self.context.dialler.inward(self.client, self.destination) => connected,
        };
        match connected {
            Ok(application) => {
                story.reached(self.destination.ip());
                self.relayed(outside, Abrupt::new(application), &mut entry, story).await
            }
            Err(error) if is_exhausted(&error) => {
                tracing::warn!("the application could not be dialled for want of a file descriptor");
                story.refused(&Denial::of(Reason::DescriptorsExhausted));
                false
            }
            Err(error) => {
                self.unreachable(&error);
                story.reached(self.destination.ip());
                story.ended(End::Unreachable);
                false
            }
        }
    }

    /// Has it known who the client is, where that is needed; why it cannot be, where that is so.
    async fn learn(&self, flow: &Inflow) -> Option<Reason> {
        if self.context.decide_inbound(flow).reason() != Some(Reason::PeerUnanswered) {
            return None;
        }
        self.context.know(&[flow.client.ip()], 0).await.err()
    }

    /// A place among the flows that live, for one that may begin.
    fn enter(&self, flow: Inflow, unknown: Option<Reason>, story: &mut Story) -> Option<Entry<'_>> {
        let registry = &self.context.registry;
        let verdict = unknown.map_or_else(|| self.context.decide_inbound(&flow), Verdict::from);
        match verdict {
            Verdict::Allow(grant) => {
                story.allowed(grant);
                Some(registry.enter(flow, vec![]))
            }
            Verdict::Deny(denial) if self.context.observes() => {
                story.observed(&denial);
                Some(registry.enter_observed(flow, denial))
            }
            Verdict::Deny(denial) => {
                story.refused(&denial);
                None
            }
        }
    }

    fn unreachable(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::PermissionDenied {
            tracing::error!(%error, "a client cannot be led to the application: the container needs the capability NET_RAW");
        } else {
            tracing::debug!(destination = %self.destination, %error, "the application does not answer");
        }
    }

    async fn relayed(&self, outside: &Abrupt, application: Abrupt, entry: &mut Entry<'_>, story: &mut Story) -> bool {
        let purse = Purse::new(&self.context.spending, entry.bounds());
        // what leaves the pod is what the application says
        let pair = Pair { client: application.stream(), server: outside.stream() };
        match relay(pair, vec![], None, None, entry, &purse, story).await {
            Outcome::Completed => {
                story.ended(End::Completed);
                application.done();
                return true;
            }
            Outcome::Broken => story.ended(End::Broken),
            Outcome::Revoked(denial) | Outcome::Spent(denial) | Outcome::Unfit(denial) => story.revoked(&denial),
            Outcome::Strayed(reason) | Outcome::Parted(reason) => story.strayed(&Denial::of(reason)),
        }
        false
    }
}

#[cfg(test)]
mod tests;
