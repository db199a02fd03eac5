//! Whether the sidecar can judge and carry flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::policy::Enforced;

/// Ready means: every listener is bound, and there is a document to judge by.
#[derive(Debug)]
pub struct Readiness {
    bound: AtomicBool,
    policy: watch::Receiver<Arc<Enforced>>,
}

impl Readiness {
    /// Not ready, until listeners and documents are there.
    #[must_use]
    pub fn new(policy: watch::Receiver<Arc<Enforced>>) -> Self {
        Self { bound: AtomicBool::new(false), policy }
    }

    /// Every listener is bound.
    pub fn listeners_bound(&self) {
        self.bound.store(true, Ordering::Release);
    }

    /// What is still missing, in words; `None` when ready.
    #[must_use]
    pub fn missing(&self) -> Option<&'static str> {
        if !self.bound.load(Ordering::Acquire) {
            Some("the listeners are not bound yet")
        } else if self.policy.borrow().documents.is_empty() {
            Some("there is no policy document")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_alone_or_listeners_alone_are_not_enough() {
        let (sender, receiver) = crate::policy::channel();
        let readiness = Readiness::new(receiver);
        assert_eq!(readiness.missing(), Some("the listeners are not bound yet"));
        readiness.listeners_bound();
        assert_eq!(readiness.missing(), Some("there is no policy document"));
        sender.send_replace(Arc::new(Enforced { documents: vec![crate::flow::tests::document()], ..Enforced::default() }));
        assert_eq!(readiness.missing(), None);
        sender.send_replace(Arc::new(Enforced { serial: 2, ..Enforced::default() }));
        assert_eq!(readiness.missing(), Some("there is no policy document"));
    }
}
