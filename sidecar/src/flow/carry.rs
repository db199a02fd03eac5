//! One flow, from the connection that the packet filter redirected to its end.

mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shekara_policy::decide::is_inside;
use shekara_policy::record::End;
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Address, Flow, HostName, Protocol, Reason, Verdict};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::close::Abrupt;
use super::dial::tune;
use super::hello::http::{Authority, Head, Host};
use super::hello::{Hello, Within, await_hello};
use super::judge::{Plan, dialable, most_telling, plan};
use super::registry::Entry;
use super::relay::{Outcome, Pair, relay};
use super::requests::Requests;
use super::resolve::resolve;
use super::server_hello::Negotiation;
use super::story::Story;
use crate::bound::Place;
use crate::context::Context;
use crate::dns::lookup::{Family, LookupError};
use crate::proof;
use crate::spending::Purse;

/// How long one address after the other is tried: applications do not wait for much longer than for one.
const DIALLING: Duration = Duration::from_secs(15);

/// Leave to send the body (RFC 9110, section 15.2.1), for a client that waits for it.
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

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
        let pins = self.context.pins.names(self.address.ip(), Instant::now());
        let planned = self.context.judge(|judge| plan(judge, self.address, self.port, &pins));
        match planned {
            Plan::Refuse(denial, name) => {
                story.name = name;
                let said = self.observed_hello(client, story).await;
                self.refuse(client, story, Refusal { said, ..Refusal::untold(denial) }).await
            }
            Plan::Dial(flow) => {
                story.name.clone_from(&flow.name);
                self.dial(client, story, vec![flow], Said::default()).await
            }
            Plan::Tunnel => self.tunnel(client, story).await,
            Plan::Read { as_chosen } => match self.read(client, story, as_chosen).await {
                Ok((flows, said)) => self.dial(client, story, flows, said).await,
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
        let name = || self.context.pins.names(self.address.ip(), Instant::now()).into_iter().next();
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
        match self.connect(client, story, &mut entry, &flow, &mut said).await {
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

    /// Reads whom the client names, and finds the addresses that may be dialled for it.
    async fn read(&self, client: &Abrupt, story: &mut Story, as_chosen: bool) -> Result<(Vec<Flow>, Said), Refusal> {
        let mut bytes = Vec::new();
        let observes = self.context.observes();
        let hello = match await_hello(client.stream(), &mut bytes, self.within(observes)).await {
            Ok(hello) => hello,
            Err(unread) => {
                story.protocol = unread.protocol;
                return Err(Refusal { denial: Denial::of(unread.reason), told: !unread.gone, said: bytes });
            }
        };
        let protocol = hello.protocol();
        let (tls, ech) = if let Hello::Tls { version, ech, .. } = &hello { (*version, *ech) } else { (None, false) };
        story.protocol = protocol;
        let flows = match self.named(&hello) {
            Ok(name) => {
                story.name.clone_from(&name);
                self.flows(Flow { protocol, name, address: None, port: self.port, tls, ech, via: None }, as_chosen).await
            }
            Err(reason) => Err(Denial::of(reason)),
        };
        match (flows, hello) {
            (Err(denial), _) => Err(Refusal { denial, told: true, said: bytes }),
            (Ok(flows), Hello::Http(head)) if !observes => Ok((flows, Said { bytes, head: Some(head), unread: false })),
            (Ok(flows), hello) => Ok((flows, Said { bytes, head: None, unread: matches!(hello, Hello::Http(_)) })),
        }
    }

    /// Within what the client must have named its destination.
    fn within(&self, observing: bool) -> Within {
        let within = Within::limits(self.context.config.limits);
        if observing { within.observing() } else { within }
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

    /// The flows that may be dialled, in order, for one of which all is known that the client says.
    async fn flows(&self, said: Flow, as_chosen: bool) -> Result<Vec<Flow>, Denial> {
        // A name that the client gave says nothing about an address that was not resolved from it: a listed network is judged
        // without the name.
        let chosen = Flow { name: None, address: Some(self.address), ..said.clone() };
        let unnamed = as_chosen.then(|| self.context.decide(&chosen));
        match (unnamed, said.name.clone()) {
            (Some(Verdict::Allow(_)), _) => Ok(vec![chosen]),
            (Some(Verdict::Deny(denial)), None) => Err(denial),
            (None, None) => Err(Denial::of(Reason::NoName)),
            (_, Some(name)) => self.resolved(said, &name).await,
        }
    }

    /// The addresses that the name has and that may be dialled, those of the family that the application chose first.
    async fn resolved(&self, named: Flow, name: &HostName) -> Result<Vec<Flow>, Denial> {
        if let Verdict::Deny(denial) = self.context.decide(&named) {
            return Err(denial);
        }
        self.context.spell(name).map_err(Denial::of)?;
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
    async fn dial(&self, client: &Abrupt, story: &mut Story, flows: Vec<Flow>, mut said: Said) -> Closing {
        let mut last = None;
        let begun = Instant::now();
        for flow in flows {
            if begun.elapsed() > DIALLING {
                break;
            }
            // Judged again, for time has passed. From here on the registry says when it is no longer allowed: no await between.
            let mut entry = match self.admit(&flow, said.unread) {
                Ok((grant, entry)) => {
                    story.allowed(grant);
                    entry
                }
                // an address that may no longer be dialled was not refused before anything left: another one was dialled
                Err(denial) if last.is_some() && !self.context.observes() => {
                    story.revoked(&denial);
                    return Closing::Reset;
                }
                Err(denial) => return self.refuse(client, story, Refusal { denial, told: true, said: said.bytes }).await,
            };
            if let Some(closing) = self.connect(client, story, &mut entry, &flow, &mut said).await {
                return closing;
            }
            last = Some(flow);
        }
        if let Some(flow) = last {
            story.unreachable(&flow);
        }
        Closing::Reset
    }

    /// A place among the flows that live, for one that may begin.
    fn admit(&self, flow: &Flow, unread: bool) -> Result<(Grant, Entry<'_>), Denial> {
        let registry = &self.context.registry;
        match self.context.admit(flow) {
            Verdict::Deny(denial) => Err(denial),
            Verdict::Allow(_) if unread && !self.context.observes() => Err(Denial::of(Reason::ObserveEnded)),
            Verdict::Allow(grant) if unread => Ok((grant, registry.enter_unread(flow.clone()))),
            Verdict::Allow(grant) => {
                let entry = registry.enter(flow.clone(), grant.budgets.clone());
                Ok((grant, entry))
            }
        }
    }

    /// Dials the flow's address and relays; nothing where it does not answer.
    async fn connect(
        &self,
        client: &Abrupt,
        story: &mut Story,
        entry: &mut Entry<'_>,
        flow: &Flow,
        said: &mut Said,
    ) -> Option<Closing> {
        let to = flow.via.or_else(|| Some(SocketAddr::new(flow.address?.ip(), self.port)))?;
        tokio::select! {
            denial = entry.denied() => {
                story.revoked(&denial);
                Some(Closing::Reset)
            }
            connected = self.context.dialler.connect(to) => match connected {
                Ok(server) => {
                    drop(self.half_open.lock().unwrap_or_else(PoisonError::into_inner).take());
                    story.opened(flow);
                    Some(self.relayed(client, Abrupt::new(server), entry, flow, story, std::mem::take(said)).await)
                }
                Err(error) if is_exhausted(&error) => {
                    tracing::warn!("a destination could not be dialled for want of a file descriptor");
                    story.refused(&Denial::of(Reason::DescriptorsExhausted));
                    Some(Closing::Reset)
                }
                Err(error) => {
                    tracing::debug!(%to, %error, "a destination does not answer");
                    None
                }
            }
        }
    }

    async fn relayed(
        &self,
        client: &Abrupt,
        server: Abrupt,
        entry: &mut Entry<'_>,
        flow: &Flow,
        story: &mut Story,
        said: Said,
    ) -> Closing {
        let purse = Purse::new(&self.context.spending, entry.bounds());
        let mut requests = said.head.as_ref().map(Requests::after);
        let (first, passed) = match (said.head, &mut requests) {
            (Some(head), Some(requests)) => {
                let (mut first, behind) = (head.rewritten, said.bytes.get(head.length..).unwrap_or_default());
                if head.waits && behind.is_empty() {
                    // nothing else was said to the client yet, so a short write is no danger: it goes on by itself
                    let _ = client.stream().try_write(CONTINUE);
                }
                let passed = requests.pass(behind, &mut first);
                (first, passed)
            }
            _ => (said.bytes, Ok(())),
        };
        let pair = Pair { client: client.stream(), server: server.stream() };
        let seat = entry.seat();
        let judge = |version| {
            seat.negotiated(version);
            self.fit(Flow { tls: version, ..flow.clone() })
        };
        let negotiation = (flow.protocol == Protocol::Tls).then(|| Negotiation::new(&judge));
        let outcome = match passed {
            Ok(()) => relay(pair, first, requests, negotiation, entry, &purse, story).await,
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
            Outcome::Unfit(denial) => {
                story.strayed(&denial);
                return Closing::Refuse(denial);
            }
        }
        Closing::Reset
    }

    /// Whether a flow may go on with the version that its server has chosen. While the pod observes every flow may; those that may
    /// not are closed by its end.
    fn fit(&self, flow: Flow) -> Result<(), Denial> {
        match self.context.decide(&flow) {
            Verdict::Deny(denial) if denial.reason == Reason::TLSTooOld && !self.context.observes() => {
                Err(Denial { reason: Reason::TLSDowngraded, ..denial })
            }
            // whatever else has changed, the registry tells
            _ => Ok(()),
        }
    }
}

/// Whether the kernel has no file descriptor left for this process, or for any.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn lookup_failed(name: &HostName, error: &LookupError) -> Denial {
    tracing::debug!(%name, %error, "a name could not be resolved");
    Denial::of(Reason::LookupFailed)
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
