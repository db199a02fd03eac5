//! Keys whose objects are to be visited: each once however often it is asked for, no more often than its interval, and never by
//! two at a time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a key waits for further changes before its first visit.
const GATHER: Duration = Duration::from_millis(50);
/// The longest pause before a visit that failed is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A queue of keys.
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    interval: Duration,
}

struct State<K> {
    order: BTreeSet<(Instant, K)>,
    due: HashMap<K, Instant>,
    visited: HashMap<K, Instant>,
    running: HashSet<K>,
    /// How often visits have failed since the last that did not.
    failures: HashMap<K, u32>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// A queue that gives out each key at most once in the interval.
    pub(crate) fn new(interval: Duration) -> Self {
        let state = State {
            order: BTreeSet::new(),
            due: HashMap::new(),
            visited: HashMap::new(),
            running: HashSet::new(),
            failures: HashMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new(), interval }
    }

    /// Asks for a visit as soon as the interval allows.
    pub(crate) fn push(&self, key: K) {
        self.push_after(key, GATHER);
    }

    /// Asks for a visit after a time; an earlier one that was asked for stays.
    pub(crate) fn push_after(&self, key: K, delay: Duration) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let earliest = state.visited.get(&key).map_or(now, |visited| *visited + self.interval);
        let wanted = earliest.max(now + delay);
        match state.due.get(&key).copied() {
            Some(due) if due <= wanted => return,
            Some(due) => drop(state.order.remove(&(due, key.clone()))),
            None => {}
        }
        state.due.insert(key.clone(), wanted);
        state.order.insert((wanted, key));
        drop(state);
        self.changed.notify_one();
    }

    /// The next key whose time has come. It is not given out again before [`Self::done`].
    pub(crate) async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let wait = match self.take() {
                Ok(key) => {
                    // another visitor may be waiting for the keys behind this one
                    self.changed.notify_one();
                    return key;
                }
                Err(wait) => wait,
            };
            match wait {
                Some(due) => drop(tokio::time::timeout_at(due, changed).await),
                None => changed.await,
            }
        }
    }

    /// Says that the visit is over.
    pub(crate) fn done(&self, key: &K) {
        self.state.lock().running.remove(key);
        self.changed.notify_one();
    }

    /// Asks for another visit after one that failed, the later the more failed in a row.
    pub(crate) fn retry(&self, key: K) {
        let failures = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures = failures.saturating_add(1);
            *failures
        };
        let pause = Duration::from_secs(1 << (failures - 1).min(6));
        self.push_after(key, pause.min(LONGEST_PAUSE));
    }

    /// Says that a visit did not fail.
    pub(crate) fn succeeded(&self, key: &K) {
        self.state.lock().failures.remove(key);
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, key: &K) {
        let mut state = self.state.lock();
        state.visited.remove(key);
        state.failures.remove(key);
    }

    fn take(&self) -> Result<K, Option<Instant>> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { order, running, .. } = &*state;
        let Some((due, key)) = order.iter().find(|(_, key)| !running.contains(key)).cloned() else { return Err(None) };
        if due > now {
            return Err(Some(due));
        }
        state.order.remove(&(due, key.clone()));
        state.due.remove(&key);
        state.visited.insert(key.clone(), now);
        state.running.insert(key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_asked_for_often_comes_once_in_the_interval() {
        let queue = Queue::new(SECOND);
        let start = Instant::now();
        queue.push("a");
        queue.push("a");
        assert_eq!(queue.next().await, "a");
        assert!(start.elapsed() < SECOND);
        queue.done(&"a");
        queue.push("a");
        assert_eq!(queue.next().await, "a");
        assert!(start.elapsed() >= SECOND && start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
        queue.done(&"a");
        assert!(tokio::time::timeout(60 * SECOND, queue.next()).await.is_err(), "it was asked for twice in all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_not_given_out_twice_at_a_time() {
        let queue = Queue::new(Duration::ZERO);
        queue.push("a");
        assert_eq!(queue.next().await, "a");
        queue.push("a");
        queue.push("b");
        assert_eq!(queue.next().await, "b");
        assert!(tokio::time::timeout(SECOND, queue.next()).await.is_err());
        queue.done(&"a");
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test(start_paused = true)]
    async fn a_visit_that_fails_is_tried_again_with_growing_pauses() {
        let queue = Queue::new(Duration::ZERO);
        queue.push("a");
        let mut pauses = Vec::new();
        for _ in 0..9 {
            let start = Instant::now();
            assert_eq!(queue.next().await, "a");
            pauses.push(start.elapsed().as_secs());
            queue.done(&"a");
            queue.retry("a");
        }
        assert_eq!(pauses, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        queue.succeeded(&"a");
        queue.push("a");
        queue.next().await;
        queue.done(&"a");
        queue.retry("a");
        let start = Instant::now();
        queue.next().await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_wishes_counts() {
        let queue = Queue::new(SECOND);
        let start = Instant::now();
        queue.push_after("a", 60 * SECOND);
        queue.push("a");
        queue.push_after("a", 30 * SECOND);
        assert_eq!(queue.next().await, "a");
        assert!(start.elapsed() < SECOND);
        queue.done(&"a");
        assert!(tokio::time::timeout(100 * SECOND, queue.next()).await.is_err());
    }
}
