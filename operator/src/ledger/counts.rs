//! The counts of a namespace, and the keys with which its pods sign what they say, as they are kept between operators: compressed
//! JSON, of a form with a version.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use shekara_policy::exchange::{Checkpoint, FlowTotal};

use super::registrations::Registered;
use super::{Entry, Ledger, Open, State, Totals};
use crate::watch::Key;

/// The version of the form that is written and read.
const VERSION: u32 = 1;
/// The most bytes that are read of a compressed form.
const LARGEST: u64 = 64 << 20;

/// Counts that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CountsError {
    #[error("they cannot be decompressed: {0}")]
    Compressed(#[from] io::Error),
    #[error("they cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("they have version {0}, and version {VERSION} alone is read")]
    Version(u32),
}

/// The counts of a namespace.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Counts {
    version: u32,
    /// The sums of pods that are gone, by holding.
    ended: BTreeMap<String, Vec<FlowTotal>>,
    /// The pods that were there.
    pods: Vec<PodCounts>,
    /// The holdings that are not closed yet, by name.
    #[serde(default)]
    holdings: BTreeMap<String, Open>,
    /// The keys that count, by the names of the pods.
    #[serde(default)]
    keys: BTreeMap<String, Registered>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodCounts {
    name: String,
    uid: String,
    holdings: BTreeSet<String>,
    newest: Checkpoint,
    earlier: Vec<FlowTotal>,
}

impl Ledger {
    /// The namespaces that have changed since this was last asked.
    pub(super) fn take_changed(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state.lock().changed)
    }

    /// Says that a namespace could not be written.
    pub(super) fn still_changed(&self, namespace: String) {
        self.state.lock().changed.insert(namespace);
    }

    /// The counts of a namespace, compressed; none where nothing was counted and no holding is. `whole` says whether what is known of
    /// living pods is among them: their sidecars would tell it again.
    pub(super) fn write(&self, namespace: &str, whole: bool) -> Result<Option<Vec<u8>>, CountsError> {
        let keys = if whole { self.registrations.of_namespace(namespace) } else { BTreeMap::new() };
        let counts = {
            let state = self.state.lock();
            let first = || Key::new(namespace, "");
            let of = |key: &Key| key.namespace == namespace;
            let ended = state.ended.range(first()..).take_while(|(key, _)| of(key));
            let pods = state.pods.range(first()..).take_while(|(key, _)| of(key)).filter(|_| whole);
            let holdings = state.holdings.range(first()..).take_while(|(key, _)| of(key));
            Counts {
                version: VERSION,
                ended: ended.map(|(key, totals)| (key.name.clone(), totals.to_list())).collect(),
                pods: pods.map(|(key, entry)| PodCounts::of(key, entry)).collect(),
                holdings: holdings.map(|(key, open)| (key.name.clone(), open.clone())).collect(),
                keys,
            }
        };
        if counts.ended.is_empty() && counts.pods.is_empty() && counts.holdings.is_empty() && counts.keys.is_empty() {
            return Ok(None);
        }
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(&serde_json::to_vec(&counts)?)?;
        Ok(Some(compressed.finish()?))
    }

    /// Goes on from counts that were kept. `present` gives the pods that are there now; the others have ended meanwhile.
    pub(super) fn restore(
        &self,
        namespace: &str,
        kept: &[u8],
        present: impl Fn(&Key) -> Option<String>,
    ) -> Result<(), CountsError> {
        let mut json = Vec::new();
        GzDecoder::new(kept).take(LARGEST).read_to_end(&mut json)?;
        let Form { version } = serde_json::from_slice(&json)?;
        if version != VERSION {
            return Err(CountsError::Version(version));
        }
        let counts: Counts = serde_json::from_slice(&json)?;
        for (pod, registered) in counts.keys {
            let key = Key::new(namespace, pod);
            if present(&key).as_ref() == Some(&registered.uid) {
                self.registrations.restore(key, registered);
            }
        }
        let mut state = self.state.lock();
        for (holding, totals) in &counts.ended {
            state.ended.entry(Key::new(namespace, &**holding)).or_default().add_list(totals);
        }
        for (holding, open) in counts.holdings {
            state.holdings.entry(Key::new(namespace, holding)).or_insert(open);
        }
        for pod in counts.pods {
            state.resume(namespace, pod, &present);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Form {
    version: u32,
}

impl PodCounts {
    fn of(key: &Key, entry: &Entry) -> Self {
        Self {
            name: key.name.clone(),
            uid: entry.uid.clone(),
            holdings: entry.holdings.clone(),
            newest: entry.newest.clone(),
            earlier: entry.earlier.to_list(),
        }
    }
}

impl State {
    fn resume(&mut self, namespace: &str, pod: PodCounts, present: &impl Fn(&Key) -> Option<String>) {
        let key = Key::new(namespace, &*pod.name);
        let mut earlier = Totals::default();
        earlier.add_list(&pod.earlier);
        let there = present(&key).as_ref() == Some(&pod.uid);
        self.pods.insert(key.clone(), Entry { uid: pod.uid, holdings: pod.holdings, newest: pod.newest, heard: false, earlier });
        if !there {
            self.end(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shekara_policy::exchange::Registration;
    use shekara_policy::signed::SigningKey;

    use super::super::{Recorded, Registering};
    use super::*;
    use crate::watch::PodSummary;

    fn pod(name: &str) -> PodSummary {
        PodSummary {
            namespace: "cameras".into(),
            name: name.into(),
            uid: format!("uid-of-{name}"),
            holdings: BTreeSet::from(["faces".to_owned()]),
            ..PodSummary::default()
        }
    }

    fn checkpoint(instance: &str, started: &str, sequence: u64, flows: u64) -> Checkpoint {
        serde_json::from_value(json!({
            "instance": instance, "started": started, "sequence": sequence, "documents": [], "serials": [], "standing": "Absent", "refused": null, "geo": null, "datagramsDenied": 0,
            "totals": [{"recipients": ["clinic"], "country": "KZ", "data": [], "reason": null, "flows": flows, "bytesOut": 10 * flows, "bytesIn": 0, "last": started, "lastDestination": "a.kz"}]
        }))
        .unwrap()
    }

    fn flows(ledger: &Ledger) -> u64 {
        ledger.totals(&Key::new("cameras", "faces")).iter().map(|(_, counted)| counted.flows).sum()
    }

    const MORNING: &str = "2026-06-01T10:00:00Z";
    const NOON: &str = "2026-06-01T12:00:00Z";

    /// A pod that has restarted its sidecar, and one that is gone.
    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        ledger.record(&pod("a"), checkpoint("1", MORNING, 1, 2), || true);
        ledger.record(&pod("a"), checkpoint("2", NOON, 1, 3), || true);
        ledger.record(&pod("b"), checkpoint("3", MORNING, 1, 5), || true);
        ledger.keep_only(&Key::new("cameras", "b"), None);
        ledger
    }

    #[test]
    fn the_next_operator_goes_on_and_counts_nothing_twice() {
        let before = ledger();
        assert_eq!(before.take_changed(), BTreeSet::from(["cameras".to_owned()]));
        let kept = before.write("cameras", true).unwrap().unwrap();
        let after = Ledger::default();
        after.restore("cameras", &kept, |key| Some(format!("uid-of-{}", key.name))).unwrap();
        assert_eq!(flows(&after), 10);
        assert_eq!(after.heard(&pod("a")), None, "what an earlier operator heard proves nothing now");
        // what the sidecar says again replaces what was kept of it
        assert_eq!(after.record(&pod("a"), checkpoint("2", NOON, 1, 3), || true), Recorded::Old);
        assert_eq!(after.record(&pod("a"), checkpoint("2", NOON, 2, 4), || true), Recorded::Accepted);
        assert_eq!(flows(&after), 11);
        assert_eq!(after.take_changed(), BTreeSet::from(["cameras".to_owned()]));
    }

    #[test]
    fn a_start_that_has_registered_has_no_second_chance_with_the_next_operator() {
        let registration = |seed: u8| Registration {
            instance: seed.to_string(),
            started: MORNING.parse().unwrap(),
            key: SigningKey::from_seed(&[seed; 32]).unwrap().public(),
        };
        let before = Ledger::default();
        assert_eq!(before.register(&pod("a"), &registration(1)), Registering::Accepted);
        assert_eq!(before.take_changed(), BTreeSet::from(["cameras".to_owned()]));
        assert_eq!(before.register(&pod("a"), &registration(1)), Registering::Known);
        assert_eq!(before.take_changed(), BTreeSet::new());
        let kept = before.write("cameras", true).unwrap().unwrap();
        let after = Ledger::default();
        after.restore("cameras", &kept, |key| Some(format!("uid-of-{}", key.name))).unwrap();
        assert_eq!(after.register(&pod("a"), &registration(2)), Registering::Taken(0));
        assert_eq!(after.registered(&pod("a")), Some(registration(1)));
        // of a pod that is gone nothing is left
        let later = Ledger::default();
        later.restore("cameras", &kept, |_| Some("another".into())).unwrap();
        assert_eq!(later.registered(&pod("a")), None);
        after.keep_only(&Key::new("cameras", "a"), None);
        assert_eq!(after.take_changed(), BTreeSet::from(["cameras".to_owned()]));
        assert_eq!(after.write("cameras", true).unwrap(), None);
    }

    #[test]
    fn a_pod_that_ended_between_two_operators_is_counted_once() {
        let kept = ledger().write("cameras", true).unwrap().unwrap();
        let after = Ledger::default();
        after.restore("cameras", &kept, |_| None).unwrap();
        assert_eq!(flows(&after), 10);
        assert_eq!(after.write("cameras", false).unwrap().map(|kept| kept.is_empty()), Some(false));
    }

    #[test]
    fn without_living_pods_their_sidecars_say_it_again() {
        let kept = ledger().write("cameras", false).unwrap().unwrap();
        let after = Ledger::default();
        after.restore("cameras", &kept, |_| None).unwrap();
        assert_eq!(flows(&after), 5);
    }

    #[test]
    fn a_checkpoint_that_says_nothing_new_is_no_change() {
        let ledger = ledger();
        ledger.take_changed();
        assert_eq!(ledger.record(&pod("a"), checkpoint("2", NOON, 2, 3), || true), Recorded::Accepted);
        assert_eq!(ledger.take_changed(), BTreeSet::new());
        assert_eq!(ledger.write("elsewhere", true).unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let compress = |text: &str| {
            let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
            compressed.write_all(text.as_bytes()).unwrap();
            compressed.finish().unwrap()
        };
        let read = |kept: &[u8]| Ledger::default().restore("cameras", kept, |_| None).unwrap_err();
        assert!(matches!(read(b"text"), CountsError::Compressed(_)));
        assert!(matches!(read(&compress("{}")), CountsError::Unreadable(_)));
        assert!(matches!(read(&compress(r#"{"version": 2}"#)), CountsError::Version(2)));
    }
}
