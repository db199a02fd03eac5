//! What happens to one flow, from its first moment: it ends as a record, however it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use shekara_policy::record::{Decision, Direction, End, FlowRecord};
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Flow, HostName, Protocol, Reason, Verdict};
use tokio::time::Instant;

use crate::context::Context;
use crate::ledger::{Bytes, Kind};

/// The story of a flow. Dropping it writes the record.
pub struct Story {
    context: Arc<Context>,
    began: Timestamp,
    since: Instant,
    /// Who connected to the pod; absent for flows that the pod began.
    client: Option<IpAddr>,
    /// Where the application wanted to go; absent for DNS questions.
    destination: Option<SocketAddr>,
    port: u16,
    /// The protocol as far as it was read.
    pub protocol: Protocol,
    /// The name that the client gave.
    pub name: Option<HostName>,
    dialled: Option<IpAddr>,
    via: Option<SocketAddr>,
    grant: Option<Grant>,
    denial: Option<Denial>,
    /// The denial does not hold, since the pod observes.
    observed: bool,
    end: End,
    serials: Vec<u64>,
    bytes: Bytes,
    total: Option<Arc<Bytes>>,
}

impl Story {
    /// A TCP flow begins.
    #[must_use]
    pub fn tcp(context: Arc<Context>, destination: SocketAddr) -> Self {
        Self::new(context, Protocol::Tcp, None, Some(destination), destination.port())
    }

    /// A client connects to an address and port of the pod.
    #[must_use]
    pub fn inbound(context: Arc<Context>, client: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(context, Protocol::Tcp, Some(client.ip()), Some(destination), destination.port())
    }

    /// An association of UDP begins.
    #[must_use]
    pub fn udp(context: Arc<Context>, destination: SocketAddr) -> Self {
        Self::new(context, Protocol::Udp, None, Some(destination), destination.port())
    }

    /// A DNS question is asked.
    #[must_use]
    pub fn question(context: Arc<Context>, name: Option<HostName>) -> Self {
        let mut story = Self::new(context, Protocol::Dns, None, None, 53);
        story.name = name;
        story
    }

    fn new(
        context: Arc<Context>,
        protocol: Protocol,
        client: Option<IpAddr>,
        destination: Option<SocketAddr>,
        port: u16,
    ) -> Self {
        context.metrics.of(direction(client)).live.inc();
        let serials = context.enforced().serials();
        Self {
            context,
            client,
            serials,
            began: Timestamp::now(),
            since: Instant::now(),
            destination,
            port,
            protocol,
            name: None,
            dialled: None,
            via: None,
            grant: None,
            denial: None,
            observed: false,
            end: End::Stopped,
            bytes: Bytes::default(),
            total: None,
        }
    }

    /// It is denied: nothing of it left.
    pub fn refused(&mut self, denial: &Denial) {
        self.denied(denial, End::Refused);
    }

    /// It is denied, and may leave all the same, since the pod observes.
    pub fn observed(&mut self, denial: &Denial) {
        self.denial = Some(denial.clone());
        self.observed = true;
    }

    /// It was let pass and no longer is. One that was denied from the beginning is counted as that already.
    pub fn revoked(&mut self, denial: &Denial) {
        if self.observed {
            self.end = End::PolicyChanged;
        } else {
            self.denied(denial, End::PolicyChanged);
        }
    }

    /// It was allowed, and then the client asked for what is not.
    pub fn strayed(&mut self, denial: &Denial) {
        self.denied(denial, End::Broken);
    }

    fn denied(&mut self, denial: &Denial, end: End) {
        self.count(Kind::of(&Verdict::Deny(denial.clone())));
        self.denial = Some(denial.clone());
        self.end = end;
    }

    /// It may leave, to this address, which is about to be dialled.
    pub fn allowed(&mut self, grant: Grant) {
        self.grant = Some(grant);
    }

    /// The application answered a client at this address of the pod.
    pub fn reached(&mut self, application: IpAddr) {
        self.dialled = Some(application);
        self.total = self.passing().map(|kind| self.count(kind));
    }

    /// The address answered.
    pub fn opened(&mut self, flow: &Flow) {
        self.via = flow.via;
        self.dialled = flow.via.map(|proxy| proxy.ip()).or_else(|| flow.address.map(shekara_policy::Address::ip));
        self.total = self.passing().map(|kind| self.count(kind));
    }

    /// An answer was given to the question.
    pub fn answered(&mut self) {
        self.total = self.passing().map(|kind| self.count(kind));
        self.end = End::Completed;
    }

    /// How it counts if it passes.
    fn passing(&self) -> Option<Kind> {
        match (&self.denial, &self.grant) {
            (Some(denial), _) => self.observed.then(|| Kind::observed(denial)),
            (None, grant) => grant.clone().map(|grant| Kind::of(&Verdict::Allow(grant))),
        }
    }

    /// No address answered.
    pub fn unreachable(&mut self, flow: &Flow) {
        self.opened(flow);
        self.end = End::Unreachable;
    }

    /// It ended by itself.
    pub fn ended(&mut self, end: End) {
        self.end = end;
    }

    /// Bytes went from the pod to the destination or client.
    pub fn carried_out(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.bytes.add_out(bytes);
        self.context.metrics.of(direction(self.client)).bytes_out.inc_by(bytes);
        if let Some(total) = &self.total {
            total.add_out(bytes);
        }
    }

    /// Bytes that were counted have not left and never will.
    pub fn kept_back(&self, bytes: u64) {
        self.bytes.take_back(bytes);
        if let Some(total) = &self.total {
            total.take_back(bytes);
        }
    }

    /// Bytes came from the destination or client to the pod.
    pub fn carried_in(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.bytes.add_in(bytes);
        self.context.metrics.of(direction(self.client)).bytes_in.inc_by(bytes);
        if let Some(total) = &self.total {
            total.add_in(bytes);
        }
    }

    fn count(&self, kind: Kind) -> Arc<Bytes> {
        let kind = if self.client.is_some() { kind.inbound() } else { kind };
        self.context.metrics.flow(direction(self.client), self.protocol, kind.reason(), self.observed);
        let address = self.client.or(self.destination.map(|destination| destination.ip()));
        let other = self.name.as_ref().map(ToString::to_string).or(address.map(|address| address.to_string()));
        self.context.ledger.count(kind, self.began, &other.unwrap_or_default())
    }

    fn record(&self) -> FlowRecord {
        let (grant, denial) = (self.grant.as_ref(), self.denial.as_ref());
        FlowRecord {
            sequence: 0,
            time: self.began,
            duration_ms: u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            direction: direction(self.client),
            client: self.client,
            protocol: self.protocol,
            name: self.name.as_ref().map(ToString::to_string),
            destination: self.destination.map(|destination| destination.ip()),
            port: self.port,
            dialled: self.dialled,
            via: self.via,
            country: denial.and_then(|denial| denial.country).or_else(|| grant.and_then(|grant| grant.country)),
            verdict: if denial.is_some() { Decision::Deny } else { Decision::Allow },
            observed: self.observed,
            reason: denial.map(|denial| denial.reason),
            rules: grant.map(|grant| grant.rules.clone()).unwrap_or_default(),
            denied_by: denial.and_then(|denial| denial.holding.clone()),
            standard: denial.and_then(|denial| denial.standard.clone()),
            data: grant.map(|grant| grant.data.clone()).unwrap_or_default(),
            serials: self.serials.clone(),
            bytes_out: self.bytes.out(),
            bytes_in: self.bytes.inward(),
            end: self.end,
        }
    }
}

fn direction(client: Option<IpAddr>) -> Direction {
    if client.is_some() { Direction::Inbound } else { Direction::Outbound }
}

impl Drop for Story {
    fn drop(&mut self) {
        match (&self.grant, &self.denial, &self.total) {
            // It ended with the sidecar, before anything was known of it: nothing of it left.
            (None, None, _) => {
                let reason = if self.client.is_some() { Reason::InboundUnlisted } else { Reason::NoName };
                self.denied(&Denial::of(reason), End::Stopped);
            }
            // It ended with the sidecar, while it was dialled.
            (_, _, None) => drop(self.passing().map(|kind| self.count(kind))),
            _ => {}
        }
        self.context.metrics.of(direction(self.client)).live.dec();
        self.context.records.write(self.record());
    }
}
