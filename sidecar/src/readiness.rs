//! Whether the sidecar can judge and carry flows.

use std::sync::atomic::{AtomicBool, Ordering};

use shekara_policy::Reason;

use crate::policy::Enforced;

/// Ready means: every listener is bound, and there is a document to judge by.
#[derive(Debug, Default)]
pub struct Readiness {
    bound: AtomicBool,
}

impl Readiness {
    /// Every listener is bound.
    pub fn listeners_bound(&self) {
        self.bound.store(true, Ordering::Release);
    }

    /// What is still missing, in words, with these documents in force; `None` when ready.
    #[must_use]
    pub fn missing(&self, enforced: &Enforced) -> Option<&'static str> {
        if !self.bound.load(Ordering::Acquire) {
            Some("the listeners are not bound yet")
        } else if enforced.documents.is_empty() {
            Some(enforced.refused.map_or("there is no policy document", Reason::sentence))
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
        let readiness = Readiness::default();
        let with = Enforced { documents: vec![crate::flow::tests::document()], ..Enforced::default() };
        assert_eq!(readiness.missing(&with), Some("the listeners are not bound yet"));
        readiness.listeners_bound();
        assert_eq!(readiness.missing(&Enforced::default()), Some("there is no policy document"));
        assert_eq!(readiness.missing(&with), None);
        let refused = Enforced { refused: Some(Reason::DocumentForged), ..Enforced::default() };
        assert_eq!(readiness.missing(&refused), Some(Reason::DocumentForged.sentence()));
    }
}
