//! Workloads whose pods have no sidecar are restarted where a standard asks for it: a few at a time, and none whose pods a
//! PodDisruptionBudget keeps.

mod workload;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use shekara_crds::DataHolding;
use shekara_crds::draft::is_draft;
use tokio::time::Instant;
use tracing::{info, warn};

use super::coverage::{State, Survey};
use crate::admission::Foresight;
use crate::events::{Notice, Notices};
use crate::owners;
use crate::watch::{Key, Owner, PodSummary};
use workload::{Budgets, Restartable};

/// Between two looks at the workloads of a holding.
const LOOK: Duration = Duration::from_secs(5);

/// How long the pods of a workload may take to be replaced before the next workload has its turn all the same.
const PATIENCE: Duration = Duration::from_secs(600);

/// What is said of a workload whose restart did not help.
const NO_BETTER: &str = "it was restarted, and pods of it still lack the sidecar or were not replaced: see its rollout, the label \
    shekara.dev/protect of the namespace, and the webhook zz-shekara-sidecar-injector; it is tried again a day later";

/// A workload is not restarted more often, whatever becomes of its pods.
const AGAIN: Duration = Duration::from_secs(24 * 3600);

/// When the workloads of each holding were looked at, and which were restarted.
#[derive(Default)]
pub(crate) struct Pace {
    looked: Mutex<HashMap<Key, Instant>>,
    /// When, by UID: whoever owns a template may take the annotation away.
    restarted: Mutex<HashMap<String, Timestamp>>,
}

impl Pace {
    /// How long it is until the next look; nothing where it is due, which counts as the look.
    fn rest(&self, key: &Key) -> Option<Duration> {
        let mut looked = self.looked.lock();
        match looked.get(key).and_then(|last| LOOK.checked_sub(last.elapsed())) {
            Some(rest) if !rest.is_zero() => Some(rest),
            _ => {
                looked.insert(key.clone(), Instant::now());
                None
            }
        }
    }

    /// Forgets a holding that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.looked.lock().remove(key);
    }

    /// When a workload was restarted last, by its annotation or as it is remembered here.
    fn last(&self, workload: &Restartable) -> Option<Timestamp> {
        let restarted = self.restarted.lock();
        workload.restarted.max(restarted.get(&workload.owner.uid).copied())
    }

    fn remember(&self, workload: &Restartable, now: Timestamp) {
        let mut restarted = self.restarted.lock();
        // what is older says nothing any more
        restarted.retain(|_, at| !is_over(*at, now, AGAIN));
        restarted.insert(workload.owner.uid.clone(), now);
    }
}

/// What restarts.
pub(super) struct Restarts<'a> {
    pub(super) client: &'a Client,
    /// Who is asked whether the new pods would be admitted, with the sidecar in them.
    pub(super) admission: &'a dyn Foresight,
    pub(super) notices: &'a Notices,
    pub(super) pace: &'a Pace,
}

/// A workload, and its pods that have to be replaced.
struct Uncovered<'a> {
    workload: Restartable,
    pods: Vec<Needy<'a>>,
}

/// A pod that has to be replaced, since it is in this state.
type Needy<'a> = (&'a PodSummary, State);

/// Where a workload stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It was not restarted yet.
    Waits,
    /// It was, and its pods are being replaced.
    Runs,
    /// Its pods were replaced and are no better, or are not replaced.
    Stuck,
}

impl Restarts<'_> {
    /// Restarts as many workloads as may be, of those whose pods need it; how long it is until the next look, if any is needed.
    /// What cannot be done now is tried again then.
    pub(super) async fn look(
        &self,
        holding: &DataHolding,
        at_once: usize,
        survey: &Survey,
        pods: &[&PodSummary],
        now: Timestamp,
    ) -> Option<Duration> {
        let needy = survey.pods.iter().filter(|pod| matches!(pod.state, State::Bare | State::RestartNeeded));
        let states: HashMap<&str, State> = needy.map(|pod| (pod.name.as_str(), pod.state)).collect();
        let uncovered: Vec<Needy<'_>> = pods.iter().filter_map(|pod| Some((*pod, *states.get(pod.name.as_str())?))).collect();
        // an annotation cuts nothing off that runs
        if uncovered.is_empty() || is_draft(holding) {
            return None;
        }
        let key = Key::new(holding.namespace().unwrap_or_default(), holding.name_any());
        if let Some(rest) = self.pace.rest(&key) {
            return Some(rest);
        }
        if let Err(problem) = self.restart(&key, at_once, &uncovered, now).await {
            warn!(holding = %key, %problem, "a workload could not be restarted; it is tried again");
        }
        Some(LOOK)
    }

    async fn restart(&self, key: &Key, at_once: usize, pods: &[Needy<'_>], now: Timestamp) -> Result<(), kube::Error> {
        let workloads = self.workloads(&key.namespace, pods).await?;
        let turn = |uncovered: &Uncovered<'_>| turn(self.pace.last(&uncovered.workload), &uncovered.pods, now);
        let running = workloads.iter().filter(|workload| turn(workload) == Turn::Runs).count();
        for stuck in workloads.iter().filter(|workload| turn(workload) == Turn::Stuck) {
            self.tell(key, &stuck.workload, NO_BETTER);
        }
        let waiting = workloads.iter().filter(|workload| turn(workload) == Turn::Waits);
        let mut free = at_once.saturating_sub(running);
        let mut budgets = None;
        for Uncovered { workload, pods } in waiting {
            if free == 0 {
                break;
            }
            let budgets = match &mut budgets {
                Some(budgets) => budgets,
                None => budgets.insert(Budgets::list(self.client, &key.namespace).await?),
            };
            if workload.paused || pods.iter().any(|(pod, _)| budgets.keep(&pod.labels)) {
                continue;
            }
            // its pods would be gone, and no others come
            if let Err(why) = self.admission.foresees(&key.namespace, &workload.owner.name, &workload.template).await {
                self.tell(key, workload, &format!("its new pods would be refused: {why}"));
                continue;
            }
            match workload.restart(self.client, &key.namespace, now).await {
                Ok(true) => {
                    free -= 1;
                    self.pace.remember(workload, now);
                    info!(holding = %key, kind = workload.owner.kind, name = workload.owner.name, "a workload is restarted");
                    self.notices.send(Notice::restarted(&key.namespace, workload.owner.clone(), &key.name));
                }
                Ok(false) => {}
                // another one may go
                Err(problem) => self.tell(key, workload, &format!("the API server refuses it: {problem}")),
            }
        }
        Ok(())
    }

    /// Says on a workload why it is not restarted.
    fn tell(&self, key: &Key, workload: &Restartable, why: &str) {
        self.notices.send(Notice::not_restarted(&key.namespace, workload.owner.clone(), &key.name, why));
    }

    /// The workloads behind these pods that can be restarted, by name.
    async fn workloads<'a>(&self, namespace: &str, pods: &[Needy<'a>]) -> Result<Vec<Uncovered<'a>>, kube::Error> {
        let mut by_owner: HashMap<&Owner, Vec<Needy<'_>>> = HashMap::new();
        for (pod, state) in pods {
            if let Some(owner) = &pod.owner {
                by_owner.entry(owner).or_default().push((pod, *state));
            }
        }
        let mut found: BTreeMap<(String, String), Uncovered<'_>> = BTreeMap::new();
        for (owner, pods) in by_owner {
            // a ReplicaSet that is gone has no pods for long
            let Some(behind) = gone(owners::workload(self.client, namespace, owner).await)? else { continue };
            let name = (behind.kind.clone(), behind.name.clone());
            if let Some(known) = found.get_mut(&name) {
                known.pods.extend(pods);
            } else if let Some(workload) = Restartable::read(self.client, namespace, behind).await? {
                found.insert(name, Uncovered { workload, pods });
            }
        }
        Ok(found.into_values().collect())
    }
}

fn gone<T>(read: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Where a workload stands, given when it was restarted and which of its pods need it.
fn turn(restarted: Option<Timestamp>, pods: &[Needy<'_>], now: Timestamp) -> Turn {
    match restarted {
        Some(at) if is_over(at, now, AGAIN) => Turn::Waits,
        Some(at) if is_over(at, now, PATIENCE) => Turn::Stuck,
        Some(at) if pods.iter().any(|(pod, state)| *state == State::Bare && pod.created() > at) => Turn::Stuck,
        Some(_) => Turn::Runs,
        None => Turn::Waits,
    }
}

/// Whether something that began then has lasted so long.
fn is_over(at: Timestamp, now: Timestamp, lasts: Duration) -> bool {
    Duration::try_from(now.duration_since(at)).is_ok_and(|since| since >= lasts)
}

#[cfg(test)]
mod tests;
