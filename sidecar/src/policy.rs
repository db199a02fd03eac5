//! The documents in force, and how they come: by the stream of the policy API, or from the pod's files while that is away. Each
//! is verified before it counts, whichever way it came.

mod backoff;
mod body;
mod checkpoints;
pub mod client;
mod connect;
mod event;
mod files;
mod force;
mod keeper;
mod lines;
mod peers;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use shekara_policy::exchange::Standing;
use shekara_policy::signed::Held;
use shekara_policy::verdict::Denial;
use shekara_policy::{PolicyDocument, Reason};
use tokio::sync::watch;

/// What is enforced now: the documents of all holdings of the pod, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The documents. Empty before the first arrives, or when a holding of the pod is gone: then nothing leaves.
    pub documents: Vec<PolicyDocument>,
    /// What is known of each besides, in their order.
    pub held: Vec<Held>,
    /// How many sets of documents have been put in force since the start; 0 means that none has arrived.
    pub serial: u64,
    /// How sure it is that these are the newest.
    pub standing: Standing,
    /// Why what was given last was refused; absent once something was accepted.
    pub refused: Option<Reason>,
}

impl Enforced {
    /// The first instant at which one of the documents is no longer obeyed.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.held.iter().map(|held| held.not_after).min()
    }

    /// The same past its end: nothing leaves.
    #[must_use]
    pub fn past_its_end(&self) -> Self {
        Self { serial: self.serial, refused: Some(Reason::DocumentStale), ..Self::default() }
    }

    /// A denial for want of documents says why there are none.
    #[must_use]
    pub fn explained(&self, denial: Denial) -> Denial {
        Denial { reason: self.explain(denial.reason), ..denial }
    }

    /// The same for a reason alone.
    #[must_use]
    pub fn explain(&self, reason: Reason) -> Reason {
        if reason == Reason::NoDocument { self.refused.unwrap_or(reason) } else { reason }
    }

    /// The digests of the documents, in their order.
    #[must_use]
    pub fn digests(&self) -> Vec<String> {
        self.held.iter().map(|held| held.digest.clone()).collect()
    }

    /// The serials of the documents, in their order.
    #[must_use]
    pub fn serials(&self) -> Vec<u64> {
        self.held.iter().map(|held| held.serial).collect()
    }

    /// Who resolves names, in the order of the documents and of their preference.
    #[must_use]
    pub fn resolvers(&self) -> Vec<SocketAddr> {
        let mut resolvers = Vec::new();
        for resolver in self.documents.iter().flat_map(|document| &document.cluster.resolvers) {
            if !resolvers.contains(resolver) {
                resolvers.push(*resolver);
            }
        }
        resolvers
    }
}

/// The way from the policy client, which owns the sender, to everybody who judges.
#[must_use]
pub fn channel() -> (watch::Sender<Arc<Enforced>>, watch::Receiver<Arc<Enforced>>) {
    watch::channel(Arc::new(Enforced::default()))
}
