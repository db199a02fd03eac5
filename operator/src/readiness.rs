//! Whether the operator can serve: each part that must be there first holds a gate and opens it.

use std::sync::Arc;

use parking_lot::Mutex;

/// The parts that have not opened yet.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Vec<&'static str>>>);

/// Holds readiness back until it is opened.
pub(crate) struct Gate {
    name: &'static str,
    waiting: Arc<Mutex<Vec<&'static str>>>,
}

impl Readiness {
    /// A gate that holds readiness back. A gate that is dropped unopened stays closed.
    pub(crate) fn gate(&self, name: &'static str) -> Gate {
        self.0.lock().push(name);
        Gate { name, waiting: Arc::clone(&self.0) }
    }

    /// What is still awaited; empty when ready.
    pub(crate) fn waiting_for(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }
}

impl Gate {
    /// Opens the gate.
    pub(crate) fn open(self) {
        self.waiting.lock().retain(|name| *name != self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_every_gate_is_open_and_a_dropped_one_stays_closed() {
        let readiness = Readiness::default();
        let (first, second) = (readiness.gate("first"), readiness.gate("second"));
        first.open();
        assert_eq!(readiness.waiting_for(), ["second"]);
        drop(second);
        assert_eq!(readiness.waiting_for(), ["second"]);
    }
}
