//! The conversation with one sidecar about peers: it says which addresses it uses, and hears who is there, at once and again
//! whenever that is another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt as _;
use shekara_policy::Peer;
use shekara_policy::exchange::{PEERS, PeerAnswer, PeerEvent, PeerQuestion};
use shekara_policy::peer::End;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error};

use super::PolicyApi;
use super::lines::{Lines, until_told};
use crate::caches::Caches;
use crate::documents::Documents;
use crate::peers::{Peers, Watch};
use crate::watch::Key;

/// The longest question: every address that a pod may watch, in the longest spelling, twice over.
const LONGEST: usize = 128 * 1024;
/// The longest line of answers; a sidecar reads twice as much.
const LINE: usize = 512 * 1024;
/// How long a change is let rest before the sidecar hears of it: what belongs together, such as a pod and its endpoints, comes by
/// several watches and not in order.
const REST: Duration = Duration::from_millis(50);

/// How many answers are told in one line, so that no line is longer than a sidecar reads: one of the greatest length has 12 KiB.
const TOGETHER: usize = 32;

/// A conversation that is open.
pub(super) struct Conversation {
    peers: Arc<Peers>,
    documents: Arc<Documents>,
    caches: Arc<Caches>,
    stop: CancellationToken,
    pod: Key,
    uid: String,
    pod_changes: watch::Receiver<()>,
    questions: BodyDataStream,
    /// What has come of the next question.
    begun: Vec<u8>,
    watch: Watch,
    captured: watch::Receiver<Arc<BTreeSet<IpAddr>>>,
    /// Each address with what was said of it last.
    asked: BTreeMap<SocketAddr, Option<PeerAnswer>>,
    /// When to look at an address again.
    due: BTreeMap<SocketAddr, Instant>,
    greeted: bool,
    /// What is to be told before anything else.
    untold: VecDeque<PeerEvent>,
}

/// What happened.
enum Happened {
    Said(Option<Result<Bytes, axum::Error>>),
    Touched(BTreeSet<IpAddr>),
    Due,
    Captured(bool),
    Pod(bool),
}

impl Conversation {
    pub(super) fn new(api: &PolicyApi, pod: Key, uid: String, pod_changes: watch::Receiver<()>, questions: Body) -> Self {
        Self {
            peers: Arc::clone(&api.peers),
            documents: Arc::clone(&api.documents),
            caches: Arc::clone(&api.caches),
            stop: api.stop.clone(),
            pod,
            uid,
            pod_changes,
            questions: questions.into_data_stream(),
            begun: Vec::new(),
            watch: api.peers.watch(),
            captured: api.peers.captured(),
            asked: BTreeMap::new(),
            due: BTreeMap::new(),
            greeted: false,
            untold: VecDeque::new(),
        }
    }

    /// The events, a line each, until the sidecar or its pod is gone or the operator is told to stop.
    pub(super) fn into_events(self) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
        let stop = self.stop.clone();
        until_told(self, stop)
    }
}

impl Lines for Conversation {
    async fn line(&mut self) -> Option<Bytes> {
        self.documents.wait_until_complete().await;
        if !self.greeted {
            self.greeted = true;
            return write(&PeerEvent { captured: Some((**self.captured.borrow_and_update()).clone()), peers: vec![] });
        }
        loop {
            if let Some(event) = self.untold.pop_front() {
                match self.fit(event)? {
                    Some(line) => return Some(line),
                    None => continue,
                }
            }
            let event = match self.happened().await {
                Happened::Said(said) => {
                    let said = said?.inspect_err(|problem| debug!(pod = %self.pod, %problem, "a sidecar broke off")).ok()?;
                    let questions = self.read(&said)?;
                    self.event(questions)
                }
                Happened::Touched(addresses) => {
                    self.rest(&addresses);
                    continue;
                }
                Happened::Due => {
                    let now = Instant::now();
                    let due: Vec<SocketAddr> = self.due.iter().filter(|(_, at)| **at <= now).map(|(at, _)| *at).collect();
                    self.event(due)
                }
                Happened::Captured(alive) => {
                    let captured = alive.then(|| (**self.captured.borrow_and_update()).clone())?;
                    // what leads outside may lead inside now
                    let event = self.event(self.asked.keys().copied().collect());
                    PeerEvent { captured: Some(captured), ..event }
                }
                Happened::Pod(alive) => {
                    let present = alive && self.caches.pods.get(&self.pod).is_some_and(|pod| pod.uid == self.uid);
                    present.then_some(())?;
                    continue;
                }
            };
            self.tell(event);
        }
    }
}

impl Conversation {
    /// The line of an event; none where it was too long and was put back in two halves. An answer that is too long by itself cannot
    /// be told, and what cannot be told is not known. The outer none is an event that cannot be written.
    fn fit(&mut self, mut event: PeerEvent) -> Option<Option<Bytes>> {
        let line = write(&event)?;
        if line.len() <= LINE || event.peers.is_empty() {
            return Some(Some(line));
        }
        if event.peers.len() > 1 {
            let rest = event.peers.split_off(event.peers.len() / 2);
            self.untold.push_front(PeerEvent { captured: None, peers: rest });
            self.untold.push_front(event);
            return Some(None);
        }
        for answer in &mut event.peers {
            answer.peer = Peer { services: [].into(), ends: [End::Unknown].into(), sources: [].into() };
        }
        Some(Some(write(&event)?))
    }

    /// Puts what there is to say into lines.
    fn tell(&mut self, event: PeerEvent) {
        let PeerEvent { mut captured, peers } = event;
        let mut lines: Vec<&[PeerAnswer]> = peers.chunks(TOGETHER).collect();
        if lines.is_empty() && captured.is_some() {
            lines.push(&[]);
        }
        let lines = lines.into_iter().map(|peers| PeerEvent { captured: captured.take(), peers: peers.to_vec() });
        self.untold.extend(lines);
    }

    async fn happened(&mut self) -> Happened {
        let due = self.due.values().min().copied();
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            said = self.questions.next() => Happened::Said(said),
            addresses = self.watch.touched() => Happened::Touched(addresses),
            () = due => Happened::Due,
            changed = self.captured.changed() => Happened::Captured(changed.is_ok()),
            changed = self.pod_changes.changed() => Happened::Pod(changed.is_ok()),
        }
    }

    /// Takes what came of questions, and gives the addresses that are asked about for the first time. None where it makes no
    /// sense, or asks for too much: then the conversation ends.
    fn read(&mut self, said: &[u8]) -> Option<Vec<SocketAddr>> {
        self.begun.extend_from_slice(said);
        let mut new = Vec::new();
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(end + 1);
            let line = std::mem::replace(&mut self.begun, rest);
            let question: PeerQuestion = serde_json::from_slice(&line)
                .inspect_err(|problem| error!(pod = %self.pod, %problem, "a question about peers cannot be read"))
                .ok()?;
            for at in question.forget {
                self.forget(at);
            }
            for at in question.watch {
                self.asked.insert(at, None);
                self.watch.add(at.ip());
                new.push(at);
            }
        }
        let within = self.asked.len() <= PEERS && self.begun.len() <= LONGEST;
        if !within {
            error!(pod = %self.pod, "a sidecar asks about more peers than it may");
        }
        within.then_some(new)
    }

    fn forget(&mut self, at: SocketAddr) {
        self.asked.remove(&at);
        self.due.remove(&at);
        if !self.asked.keys().any(|other| other.ip() == at.ip()) {
            self.watch.remove(at.ip());
        }
    }

    /// Has these addresses looked at when the change has rested.
    fn rest(&mut self, addresses: &BTreeSet<IpAddr>) {
        let soon = Instant::now() + REST;
        for at in self.asked.keys().filter(|at| addresses.contains(&at.ip())) {
            let due = self.due.entry(*at).or_insert(soon);
            *due = soon.min(*due);
        }
    }

    /// What there is to say about these addresses.
    fn event(&mut self, addresses: Vec<SocketAddr>) -> PeerEvent {
        let mut event = PeerEvent::default();
        for at in addresses {
            let answer = self.peers.answer(at);
            match answer.again {
                Some(rest) => drop(self.due.insert(at, Instant::now() + rest.max(REST))),
                None => drop(self.due.remove(&at)),
            }
            let Some(said) = self.asked.get_mut(&at) else { continue };
            let told = answer.peer.map(|peer| PeerAnswer { at, peer, own: self.peers.own_end(at, &self.pod) });
            if told.is_some() && *said != told {
                debug!(pod = %self.pod, %at, ?told, "a peer is told");
                said.clone_from(&told);
                event.peers.extend(told);
            }
        }
        event
    }
}

fn write(event: &PeerEvent) -> Option<Bytes> {
    let mut line = serde_json::to_vec(event).inspect_err(|problem| error!(%problem, "peers cannot be written")).ok()?;
    line.push(b'\n');
    Some(line.into())
}

#[cfg(test)]
mod tests;
