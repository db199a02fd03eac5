//! From the flows that may be dialled to the end of the one that answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use shekara_policy::record::End;
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Flow, Protocol, Reason, Verdict};
use tokio::time::Instant;

use super::destination::Candidates;
use super::{Carrier, Closing, Refusal, Said};
use crate::flow::close::Abrupt;
use crate::flow::dial::{CONNECT, CONNECT_ONE_OF_MANY, is_exhausted};
use crate::flow::registry::Entry;
use crate::flow::relay::{Outcome, Pair, relay};
use crate::flow::requests::Requests;
use crate::flow::server_hello::Negotiation;
use crate::flow::story::Story;
use crate::spending::Purse;

/// How long one address after the other is tried: applications do not wait for much longer than for one.
const DIALLING: Duration = Duration::from_secs(15);

impl Carrier<'_> {
    /// Dials one flow after the other until one answers, and relays.
    pub(super) async fn dial(&self, client: &Abrupt, story: &mut Story, candidates: Candidates, mut said: Said) -> Closing {
        let mut last = None;
        let begun = Instant::now();
        let (mut flows, mut otherwise) = (VecDeque::from(candidates.flows), candidates.otherwise);
        while begun.elapsed() <= DIALLING {
            let Some(flow) = flows.pop_front() else {
                let Some((named, family)) = otherwise.take() else { break };
                flows = self.of_family(&named, family).await.map(VecDeque::from).unwrap_or_default();
                continue;
            };
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
            let limit = if flows.is_empty() && otherwise.is_none() { CONNECT } else { CONNECT_ONE_OF_MANY };
            if let Some(closing) = self.connect(client, story, &mut entry, &flow, limit, &mut said).await {
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
    pub(super) fn admit(&self, flow: &Flow, unread: bool) -> Result<(Grant, Entry<'_>), Denial> {
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

    /// Dials the flow's address and relays; nothing where it does not answer within the limit.
    pub(super) async fn connect(
        &self,
        client: &Abrupt,
        story: &mut Story,
        entry: &mut Entry<'_>,
        flow: &Flow,
        limit: Duration,
        said: &mut Said,
    ) -> Option<Closing> {
        let to = flow.via.or_else(|| Some(self.dialled(SocketAddr::new(flow.address?.ip(), self.port))))?;
        tokio::select! {
            denial = entry.denied() => {
                story.revoked(&denial);
                Some(Closing::Reset)
            }
            connected = self.context.dialler.connect_within(to, limit) => match connected {
                Ok(server) => {
                    drop(self.half_open.lock().take());
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

    /// Where an address is dialled: there, but for a Service that may lead back to this pod, where clients are judged. What kube-proxy leads
    /// back comes from the node's address, so it would be judged as the node. One of its own ends is as good as another.
    fn dialled(&self, at: SocketAddr) -> SocketAddr {
        let judged = self.context.judge(|judge| judge.documents.iter().any(|document| document.inbound.is_some()));
        self.context.peers.own_end(at).filter(|_| judged).unwrap_or(at)
    }

    pub(super) async fn relayed(
        &self,
        client: &Abrupt,
        server: Abrupt,
        entry: &mut Entry<'_>,
        flow: &Flow,
        story: &mut Story,
        said: Said,
    ) -> Closing {
        let purse = Purse::new(&self.context.spending, entry.bounds());
        let mut requests = said.head.as_ref().map(|head| Requests::after(head, self.port, self.context.half_open.clone()));
        let (first, passed) = match (said.head, &mut requests) {
            (Some(head), Some(requests)) => {
                let (mut first, behind) = (head.rewritten, said.bytes.get(head.length..).unwrap_or_default());
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
            Outcome::Parted(reason) => {
                story.strayed(&Denial::of(reason));
                server.done();
                return Closing::Done;
            }
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
