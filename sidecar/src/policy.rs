//! The documents in force, and how they come.

mod backoff;
mod body;
mod checkpoints;
pub mod client;
mod connect;
mod event;
mod lines;
mod peers;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;

use shekara_policy::PolicyDocument;
use tokio::sync::watch;

/// What is enforced now: the documents of all holdings of the pod, all or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The documents. Empty before the first arrives, or when a holding of the pod is gone: then nothing leaves.
    pub documents: Vec<PolicyDocument>,
    /// The digests of the documents, in their order.
    pub digests: Vec<String>,
    /// How many sets of documents have been put in force since the start; 0 means that none has arrived.
    pub serial: u64,
}

impl Enforced {
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
