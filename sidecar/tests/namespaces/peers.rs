//! What the policy API of the tests knows of the peers inside the cluster, and how it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use futures::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use shekara_policy::Peer;
use shekara_policy::exchange::{PeerAnswer, PeerEvent, PeerQuestion};
use shekara_policy::peer::{Cover, End, ServiceName};
use tokio::sync::watch;

use crate::policy_api;
use crate::world::{ARCHIVE, ECHO, MEMBER, POLICY_API, STRANGER};

/// Who is where. Who is not here is not answered for.
#[derive(Clone, Default)]
pub(crate) struct Known {
    peers: BTreeMap<SocketAddr, Peer>,
    captured: BTreeSet<IpAddr>,
}

impl Known {
    /// The archive, the stranger, the member, and the policy API itself.
    pub(crate) fn new() -> Self {
        let mut known = Self::default();
        known.at(ARCHIVE, ECHO, service("vectors", [bare()]));
        known.at(STRANGER, ECHO, service("stranger", [bare()]));
        known.at(MEMBER, ECHO, service("member", [covered(true)]));
        known.at(POLICY_API, policy_api::PORT, service("shekara-policy", [bare()]));
        known
    }

    /// Somebody is at an address.
    pub(crate) fn at(&mut self, address: &str, port: u16, peer: Peer) {
        self.peers.insert(SocketAddr::new(address.parse().unwrap(), port), peer);
    }

    /// The operator does not say who is at an address.
    pub(crate) fn forget(&mut self, address: &str, port: u16) {
        self.peers.remove(&SocketAddr::new(address.parse().unwrap(), port));
    }

    /// The cluster takes what is sent to an address outside its networks.
    pub(crate) fn capture(&mut self, address: &str) {
        self.captured.insert(address.parse().unwrap());
    }
}

/// A Service of the namespace `archive` that leads there.
pub(crate) fn service(name: &str, ends: impl IntoIterator<Item = End>) -> Peer {
    let name = ServiceName { namespace: "archive".into(), name: name.into() };
    Peer { services: [name].into(), ends: ends.into_iter().collect(), sources: [].into() }
}

/// A pod that no holding covers.
pub(crate) fn bare() -> End {
    End::Pod([].into())
}

/// A pod that a holding covers for the data of the test pod.
pub(crate) fn covered(enforcing: bool) -> End {
    let data = ["biometric.face".parse().unwrap()].into();
    End::Pod([Cover { holding: "city/faces".into(), data, standards: ["kz".to_owned()].into(), enforcing }].into())
}

/// Answers questions, and says what has changed.
pub(crate) fn events(body: Incoming, known: watch::Receiver<Known>) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let talk = Talk { body, known, begun: Vec::new(), asked: BTreeSet::new(), said: None };
    futures::stream::unfold(talk, |mut talk| async move { Some((Ok(Frame::data(talk.next().await?)), talk)) })
}

struct Talk {
    body: Incoming,
    known: watch::Receiver<Known>,
    begun: Vec<u8>,
    asked: BTreeSet<SocketAddr>,
    said: Option<PeerEvent>,
}

impl Talk {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let known = self.known.borrow_and_update().clone();
            let there = known.peers.into_iter().filter(|(at, _)| self.asked.contains(at));
            let peers = there.map(|(at, peer)| PeerAnswer { at, peer, own: None }).collect();
            let event = PeerEvent { captured: Some(known.captured), peers };
            if self.said.as_ref() != Some(&event) {
                let mut line = serde_json::to_vec(&event).unwrap();
                line.push(b'\n');
                self.said = Some(event);
                return Some(line.into());
            }
            tokio::select! {
                changed = self.known.changed() => changed.ok()?,
                frame = self.body.frame() => {
                    self.begun.extend_from_slice(&frame?.ok()?.into_data().ok()?);
                    self.read();
                }
            }
        }
    }

    fn read(&mut self) {
        while let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.begun.drain(..=end).collect();
            let question: PeerQuestion = serde_json::from_slice(&line).unwrap();
            self.asked.extend(question.watch);
            self.asked.retain(|at| !question.forget.contains(at));
        }
    }
}
