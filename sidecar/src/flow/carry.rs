//! One flow, from the connection that the packet filter redirected to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use shekara_policy::flow::TlsVersion;
use shekara_policy::record::End;
use shekara_policy::verdict::Denial;
use shekara_policy::{Address, Flow, HostName, Protocol, Reason, Verdict};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::close::Abrupt;
use super::dial::tune;
use super::hello::http::{Authority, Head, Host};
use super::hello::{Hello, await_hello};
use super::judge::{Plan, dialable, most_telling, plan};
use super::registry::Entry;
use super::relay::{Outcome, Pair, relay};
use super::requests::Requests;
use super::resolve::resolve;
use super::story::Story;
use crate::context::Context;
use crate::dns::lookup::{Family, LookupError};
use crate::proof;
use crate::spending::Purse;

/// How long one address after the other is tried: applications do not wait for much longer than for one.
const DIALLING: Duration = Duration::from_secs(15);

/// Carries a flow that wants to go to `destination`.
pub async fn carry(context: Arc<Context>, stream: TcpStream, destination: SocketAddr) {
    let address = Address::new(destination.ip());
    if proof::DESTINATIONS.contains(&destination) {
        if let Err(error) = proof::answer(stream, destination, &context.sink).await {
            tracing::debug!(%error, "a proof was begun and not finished");
        }
        return;
    }
    tune(&stream);
    let client = Abrupt::new(stream);
    let mut story = Story::tcp(context.clone(), destination);
    let carrier = Carrier { context: &context, address, port: destination.port() };
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
    first: Vec<u8>,
    head: Option<Head>,
}

struct Carrier<'a> {
    context: &'a Arc<Context>,
    address: Address,
    port: u16,
}

impl Carrier<'_> {
    async fn carry(&self, client: &Abrupt, story: &mut Story) -> Closing {
        if let Err(reason) = self.context.know(&[self.address.ip()], self.port).await {
            story.refused(&Denial::of(reason));
            return Closing::Reset;
        }
        let pins = self.context.pins.names(self.address.ip(), Instant::now());
        let planned = self.context.judge(|judge| plan(judge, self.address, self.port, &pins));
        match planned {
            Plan::Refuse(denial, name) => {
                story.name = name;
                story.refused(&denial);
                Closing::Reset
            }
            Plan::Dial(flow) => {
                story.name.clone_from(&flow.name);
                self.dial(client, story, vec![flow], Said::default()).await
            }
            Plan::Read { as_chosen } => match self.read(client, story, as_chosen).await {
                Ok((flows, said)) => self.dial(client, story, flows, said).await,
                Err(Refusal { denial, told }) => {
                    story.refused(&denial);
                    if told { Closing::Refuse(denial) } else { Closing::Reset }
                }
            },
        }
    }

    /// Reads whom the client names, and finds the addresses that may be dialled for it.
    async fn read(&self, client: &Abrupt, story: &mut Story, as_chosen: bool) -> Result<(Vec<Flow>, Said), Refusal> {
        let mut first = Vec::new();
        let hello = match await_hello(client.stream(), &mut first).await {
            Ok(hello) => hello,
            Err(unread) => {
                story.protocol = unread.protocol;
                return Err(Refusal { denial: Denial::of(unread.reason), told: !unread.gone });
            }
        };
        let (protocol, tls) = match &hello {
            Hello::Tls { version, .. } => (Protocol::Tls, *version),
            Hello::Http(_) => (Protocol::Http, None),
        };
        story.protocol = protocol;
        let told = |denial| Refusal { denial, told: true };
        let name = self.named(&hello).map_err(|reason| told(Denial::of(reason)))?;
        story.name.clone_from(&name);
        let flows = self.flows(protocol, name, tls, as_chosen).await.map_err(told)?;
        let said = match hello {
            Hello::Tls { .. } => Said { first, head: None },
            Hello::Http(head) => Said { first: first.split_off(head.length.min(first.len())), head: Some(head) },
        };
        Ok((flows, said))
    }

    /// The name in a hello. An address in its place must be the one that was chosen, and a port the chosen port.
    fn named(&self, hello: &Hello) -> Result<Option<HostName>, Reason> {
        match hello {
            Hello::Tls { name, .. } => Ok(name.clone()),
            Hello::Http(Head { authority: None, .. }) => Ok(None),
            Hello::Http(Head { authority: Some(Authority { port: Some(port), .. }), .. }) if *port != self.port => {
                Err(Reason::AmbiguousAuthority)
            }
            Hello::Http(Head { authority: Some(Authority { host, .. }), .. }) => match host {
                Host::Name(name) => Ok(Some(name.clone())),
                Host::Address(ip) if Address::new(*ip) == self.address => Ok(None),
                Host::Address(_) => Err(Reason::AmbiguousAuthority),
            },
        }
    }

    /// The flows that may be dialled, in order.
    async fn flows(
        &self,
        protocol: Protocol,
        name: Option<HostName>,
        tls: Option<TlsVersion>,
        as_chosen: bool,
    ) -> Result<Vec<Flow>, Denial> {
        let port = self.port;
        // A name that the client gave says nothing about an address that was not resolved from it: a listed network is judged
        // without the name.
        let chosen = Flow { protocol, name: None, address: Some(self.address), port, tls };
        let unnamed = as_chosen.then(|| self.context.decide(&chosen));
        match (unnamed, name) {
            (Some(Verdict::Allow(_)), _) => Ok(vec![chosen]),
            (Some(Verdict::Deny(denial)), None) => Err(denial),
            (None, None) => Err(Denial::of(Reason::NoName)),
            (_, Some(name)) => self.resolved(Flow { protocol, name: Some(name.clone()), address: None, port, tls }, &name).await,
        }
    }

    /// The addresses that the name has and that may be dialled, those of the family that the application chose first.
    async fn resolved(&self, named: Flow, name: &HostName) -> Result<Vec<Flow>, Denial> {
        if let Verdict::Deny(denial) = self.context.decide(&named) {
            return Err(denial);
        }
        let family = Family::of(self.address.ip());
        let mut denials = Vec::new();
        for family in [family, family.other()] {
            let found = match resolve(self.context, name, family).await {
                Ok(found) => {
                    // an address for which there is no room has no answer, and is denied
                    let _ = self.context.know(&found, self.port).await;
                    self.context.judge(|judge| dialable(judge, &named, self.address, &found))
                }
                // Nobody is there who could be asked for the other family.
                Err(error @ LookupError::Forward(_)) => return Err(lookup_failed(name, &error)),
                Err(error) => Err(lookup_failed(name, &error)),
            };
            match found {
                Ok(flows) => return Ok(flows),
                Err(denial) => denials.push(denial),
            }
        }
        Err(most_telling(denials))
    }

    /// Dials one flow after the other until one answers, and relays.
    async fn dial(&self, client: &Abrupt, story: &mut Story, flows: Vec<Flow>, said: Said) -> Closing {
        let mut last = None;
        let begun = Instant::now();
        for flow in flows {
            if begun.elapsed() > DIALLING {
                break;
            }
            let Some(address) = flow.address else { continue };
            // Judged again, for time has passed. From here on the registry says when it is no longer allowed: no await between.
            let budgets = match self.context.admit(&flow) {
                Verdict::Allow(grant) => {
                    let budgets = grant.budgets.clone();
                    story.allowed(grant);
                    budgets
                }
                Verdict::Deny(denial) => {
                    story.refused(&denial);
                    return Closing::Refuse(denial);
                }
            };
            let mut entry = self.context.registry.enter(flow.clone(), budgets);
            tokio::select! {
                denial = entry.denied() => {
                    story.revoked(&denial);
                    return Closing::Reset;
                }
                connected = self.context.dialler.connect(SocketAddr::new(address.ip(), self.port)) => match connected {
                    Ok(server) => {
                        story.opened(&flow);
                        let purse = Purse::new(&self.context.spending, entry.bounds());
                        return relayed(client, Abrupt::new(server), &mut entry, &purse, story, said).await;
                    }
                    Err(error) => tracing::debug!(%address, %error, "a destination does not answer"),
                }
            }
            last = Some(flow);
        }
        if let Some(flow) = last {
            story.unreachable(&flow);
        }
        Closing::Reset
    }
}

fn lookup_failed(name: &HostName, error: &LookupError) -> Denial {
    tracing::debug!(%name, %error, "a name could not be resolved");
    Denial::of(Reason::LookupFailed)
}

async fn relayed(
    client: &Abrupt,
    server: Abrupt,
    entry: &mut Entry<'_>,
    purse: &Purse<'_>,
    story: &mut Story,
    said: Said,
) -> Closing {
    let mut requests = said.head.as_ref().map(Requests::after);
    let mut first = said.head.map(|head| head.rewritten).unwrap_or_default();
    let passed = match &mut requests {
        None => {
            first.extend_from_slice(&said.first);
            Ok(())
        }
        Some(requests) => requests.pass(&said.first, &mut first),
    };
    let pair = Pair { client: client.stream(), server: server.stream() };
    let outcome = match passed {
        Ok(()) => relay(pair, first, requests, entry, purse, story).await,
        Err(reason) => Outcome::Strayed(reason),
    };
    match outcome {
        Outcome::Completed => {
            story.ended(End::Completed);
            server.done();
            return Closing::Done;
        }
        Outcome::Broken => story.ended(End::Broken),
        Outcome::Revoked(denial) => story.revoked(&denial),
        Outcome::Strayed(reason) => story.strayed(&Denial::of(reason)),
        Outcome::Spent(denial) => story.strayed(&denial),
    }
    Closing::Reset
}

/// A denial, and whether the client is to be told why.
struct Refusal {
    denial: Denial,
    told: bool,
}

#[cfg(test)]
mod tests;
