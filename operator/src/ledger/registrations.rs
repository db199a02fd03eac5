//! The keys of the sidecars: the first that a start registers counts, and no other for that start. They are kept with the counts, so
//! that a start has no second chance to register when the operator has restarted.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shekara_policy::exchange::Registration;

use crate::watch::{Key, PodSummary};

/// The keys, by pod.
#[derive(Default)]
pub(crate) struct Registrations(Mutex<BTreeMap<Key, Registered>>);

/// The key that counts for a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Registered {
    pub(super) uid: String,
    /// How often the kubelet had started the sidecar again when it registered, as far as was known.
    restarts: i32,
    registration: Registration,
}

/// What became of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Registering {
    /// The key counts.
    Accepted,
    /// It did so before.
    Known,
    /// Another key counts for this start. If there was another start, it was after this many restarts.
    Taken(i32),
}

impl Registrations {
    /// Takes the key of a start of a pod's sidecar. Another key than the one that is known counts only once the kubelet says that
    /// the sidecar was started again.
    pub(super) fn register(&self, pod: &PodSummary, registration: &Registration) -> Registering {
        let key = Key::new(&*pod.namespace, &*pod.name);
        let mut state = self.0.lock();
        let known = state.get(&key).filter(|known| known.uid == pod.uid);
        if let Some(known) = known.filter(|known| pod.restarts <= known.restarts) {
            let same = known.registration == *registration;
            return if same { Registering::Known } else { Registering::Taken(known.restarts) };
        }
        // the same start as before, of which the kubelet had not told yet
        let restarts = pod.restarts;
        state.insert(key, Registered { uid: pod.uid.clone(), restarts, registration: registration.clone() });
        Registering::Accepted
    }

    /// The key that counts for a pod.
    pub(crate) fn of(&self, pod: &PodSummary) -> Option<Registration> {
        let state = self.0.lock();
        let known = state.get(&Key::new(&*pod.namespace, &*pod.name)).filter(|known| known.uid == pod.uid)?;
        Some(known.registration.clone())
    }

    /// Says which pod now has a name, if any. Gives whether the key of another was forgotten.
    pub(super) fn keep_only(&self, pod: &Key, uid: Option<&str>) -> bool {
        let mut state = self.0.lock();
        let another = state.get(pod).is_some_and(|known| Some(known.uid.as_str()) != uid);
        another && state.remove(pod).is_some()
    }

    /// The keys of a namespace, by the names of the pods.
    pub(super) fn of_namespace(&self, namespace: &str) -> BTreeMap<String, Registered> {
        let state = self.0.lock();
        let there = state.range(Key::new(namespace, "")..).take_while(|(key, _)| key.namespace == namespace);
        there.map(|(key, registered)| (key.name.clone(), registered.clone())).collect()
    }

    /// Goes on from a key that was kept.
    pub(super) fn restore(&self, pod: Key, registered: Registered) {
        self.0.lock().entry(pod).or_insert(registered);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shekara_policy::signed::SigningKey;

    use super::*;

    fn registration(seed: u8) -> Registration {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap().public();
        Registration { instance: seed.to_string(), started: Timestamp::UNIX_EPOCH, key }
    }

    fn pod(uid: &str, restarts: i32) -> PodSummary {
        PodSummary { namespace: "n".into(), name: "p".into(), uid: uid.into(), restarts, ..PodSummary::default() }
    }

    #[test]
    fn the_first_key_of_a_start_counts_and_no_other() {
        let registrations = Registrations::default();
        assert_eq!(registrations.register(&pod("1", 0), &registration(1)), Registering::Accepted);
        assert_eq!(registrations.register(&pod("1", 0), &registration(1)), Registering::Known);
        assert_eq!(registrations.register(&pod("1", 0), &registration(2)), Registering::Taken(0));
        assert_eq!(registrations.of(&pod("1", 0)).unwrap(), registration(1));
        // the kubelet has started it again
        assert_eq!(registrations.register(&pod("1", 1), &registration(2)), Registering::Accepted);
        assert_eq!(registrations.register(&pod("1", 1), &registration(1)), Registering::Taken(1));
        // another pod of the name
        assert!(registrations.of(&pod("2", 0)).is_none());
        assert_eq!(registrations.register(&pod("2", 0), &registration(3)), Registering::Accepted);
        assert!(!registrations.keep_only(&Key::new("n", "p"), Some("2")));
        assert!(registrations.of(&pod("2", 0)).is_some());
        assert!(registrations.keep_only(&Key::new("n", "p"), None));
        assert!(registrations.of(&pod("2", 0)).is_none());
    }
}
