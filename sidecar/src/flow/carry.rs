//! One flow, from the connection that the packet filter redirected to its end.

mod destination;
mod onward;
mod tunnel;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use shekara_policy::decide::is_inside;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, Reason};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::close::Abrupt;
use super::dial::{CONNECT, tune};
use super::hello::await_hello;
use super::hello::http::Head;
use super::judge::{Plan, plan};
use super::pinned;
use super::story::Story;
use crate::bound::Place;
use crate::context::Context;
use crate::proof;
use destination::Candidates;

/// Carries a flow that wants to go to `destination`.
pub async fn carry(context: Arc<Context>, stream: TcpStream, destination: SocketAddr) {
    if proof::DESTINATIONS.contains(&destination) {
        if let Err(error) = proof::answer(stream, destination, &context.sink).await {
            tracing::debug!(%error, "a proof was begun and not finished");
        }
        return;
    }
    let address = Address::new(destination.ip());
    let Some(half_open) = context.half_open.take() else {
        return refuse(context, stream, destination, Reason::HalfOpenLimitReached);
    };
    tune(&stream);
    let client = Abrupt::new(stream);
    let mut story = Story::tcp(context.clone(), destination);
    let half_open = Mutex::new(Some(half_open));
    let carrier = Carrier { context: &context, address, port: destination.port(), half_open };
    let end = carrier.carry(&client, &mut story).await;
    // The record is written before the client has been told, so that whoever sees the end also finds the record.
    let protocol = story.protocol;
    drop(story);
    match end {
        Closing::Reset => {}
        Closing::Done => client.done(),
        Closing::Refuse(denial) => client.refuse(protocol, &denial).await,
    }
}

/// Refuses a flow without a look at it.
pub fn refuse(context: Arc<Context>, stream: TcpStream, destination: SocketAddr, reason: Reason) {
    Story::tcp(context, destination).refused(&Denial::of(reason));
    drop(Abrupt::new(stream));
}

/// How the client's connection is to be closed.
enum Closing {
    Reset,
    Done,
    Refuse(Denial),
}

/// What was read of the client, and must be passed on.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    /// The head of a request with which the bytes begin, where every request is read.
    head: Option<Head>,
    /// Requests follow that are not read, since the pod observed.
    unread: bool,
}

struct Carrier<'a> {
    context: &'a Arc<Context>,
    address: Address,
    port: u16,
    /// Given back once the destination is reached.
    half_open: Mutex<Option<Place>>,
}

impl Carrier<'_> {
    async fn carry(&self, client: &Abrupt, story: &mut Story) -> Closing {
        if let Err(reason) = self.context.know(&[self.address.ip()], self.port).await {
            return self.refuse(client, story, Refusal::untold(Denial::of(reason))).await;
        }
        let pins = pinned::names(self.context, self.address.ip()).await;
        let planned = self.context.judge(|judge| plan(judge, self.address, self.port, &pins));
        match planned {
            Plan::Refuse(denial, name) => {
                story.name = name;
                let said = self.observed_hello(client, story).await;
                self.refuse(client, story, Refusal { said, ..Refusal::untold(denial) }).await
            }
            Plan::Dial(flow) => {
                story.name.clone_from(&flow.name);
                self.dial(client, story, Candidates::of(vec![flow]), Said::default()).await
            }
            Plan::Tunnel => self.tunnel(client, story).await,
            Plan::Read { as_chosen } => match self.read(client, story, as_chosen).await {
                Ok((candidates, said)) => self.dial(client, story, candidates, said).await,
                Err(refusal) => self.refuse(client, story, refusal).await,
            },
        }
    }

    /// Refuses the flow, or lets it pass as it is while the pod observes. What was said without a document holds in any case.
    async fn refuse(&self, client: &Abrupt, story: &mut Story, refusal: Refusal) -> Closing {
        let denial = self.context.enforced().explained(refusal.denial);
        if self.context.observes() {
            return self.observe(client, story, denial, refusal.said).await;
        }
        story.refused(&denial);
        if refusal.told { Closing::Refuse(denial) } else { Closing::Reset }
    }

    /// Records the denial and carries the flow to where the application wanted it to go, until the pod observes no more.
    async fn observe(&self, client: &Abrupt, story: &mut Story, denial: Denial, said: Vec<u8>) -> Closing {
        let name = || self.context.pins.names(self.address.ip(), Instant::now()).0.into_iter().next();
        story.name = story.name.take().or_else(name);
        let flow = Flow {
            protocol: story.protocol,
            name: None,
            address: Some(self.address),
            port: self.port,
            tls: None,
            ech: false,
            via: None,
        };
        story.observed(&denial);
        let mut entry = self.context.registry.enter_observed(flow.clone(), denial);
        let mut said = Said { bytes: said, ..Said::default() };
        match self.connect(client, story, &mut entry, &flow, CONNECT, &mut said).await {
            Some(closing) => closing,
            None => {
                story.unreachable(&flow);
                Closing::Reset
            }
        }
    }

    /// What a client outside the cluster says first, which is not needed for the denial and tells whoever is to declare the party
    /// what to declare. Nothing where the pod enforces.
    async fn observed_hello(&self, client: &Abrupt, story: &mut Story) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.context.observes() || self.context.judge(|judge| is_inside(judge, self.address)) {
            return bytes;
        }
        match await_hello(client.stream(), &mut bytes, self.within(true)).await {
            Ok(hello) => {
                story.protocol = hello.protocol();
                story.name = self.named(&hello).ok().flatten().or(story.name.take());
            }
            Err(unread) => story.protocol = unread.protocol,
        }
        bytes
    }
}

/// A denial, whether the client is to be told why, and what was read of it.
struct Refusal {
    denial: Denial,
    told: bool,
    said: Vec<u8>,
}

impl Refusal {
    /// Of a client of which nothing was read: whether it has words for it is not known.
    fn untold(denial: Denial) -> Self {
        Self { denial, told: false, said: vec![] }
    }
}

#[cfg(test)]
mod tests;
