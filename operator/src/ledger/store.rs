//! Where the counts are kept: a ConfigMap for each namespace that has any, in the operator's own namespace, written by the
//! replica that leads, and only where something has changed. Beside them is one with the holdings that are closed, which is
//! written at once.
//!
//! What is lost when an operator is killed: of pods that end before the next one is there, what they reported since the last
//! writing. Sidecars that go on say all of their numbers again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use shekara_crds::closed;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Ledger;
use super::inventory::Entries;
use crate::caches::Caches;
use crate::config::Config;
use crate::leadership::Leadership;
use crate::metrics::Metrics;

/// How often changed counts are written.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a writing at the end may take.
const LAST: Duration = Duration::from_secs(5);
/// Between two tries to read what was kept.
const PAUSE: Duration = Duration::from_secs(2);
/// The most bytes that a ConfigMap takes, with room for the rest of the object (etcd takes 1.5 MiB, base64 needs a third more).
const LARGEST: usize = 700 * 1024;
/// The label of these ConfigMaps: its value is the namespace whose counts they keep.
const LABEL: &str = "shekara.dev/counts-of";
const ENTRY: &str = "counts.json.gz";
const FIELD_MANAGER: &str = "shekara-operator";

/// Counts could not be kept or read.
#[derive(Debug, thiserror::Error)]
enum StoreError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Counts(#[from] super::counts::CountsError),
    #[error("they have {0} bytes, more than a ConfigMap takes; what was kept before stays")]
    TooLarge(usize),
    #[error("what was kept before could not be read and stays, for an operator that can")]
    Unread,
}

/// Keeps the counts.
pub(crate) struct Store {
    maps: Api<ConfigMap>,
    ledger: Arc<Ledger>,
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    resumed: watch::Sender<Option<Instant>>,
    /// The namespaces whose counts were kept in a form that is not read: of a later version, for instance.
    unread: BTreeSet<String>,
}

/// Whether this replica leads and has read what was counted before it: from then on it takes checkpoints and writes status.
#[derive(Clone)]
pub(crate) struct Resumed(watch::Receiver<Option<Instant>>);

impl Resumed {
    /// Whether it is so.
    pub(crate) fn is_so(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// For how long it has been so.
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.borrow().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// It never will be so.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(watch::channel(None).1)
    }

    /// It has been so from the beginning.
    #[cfg(test)]
    pub(crate) fn always() -> Self {
        Self(watch::channel(Some(Instant::now())).1)
    }

    /// Waits until it is so.
    pub(crate) async fn wait(&mut self) {
        // fails only when the store ended, and with it the process
        if self.0.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    pub(crate) fn new(
        client: Client,
        config: &Config,
        ledger: &Arc<Ledger>,
        caches: &Arc<Caches>,
        metrics: &Arc<Metrics>,
        leadership: Leadership,
    ) -> (Self, Resumed) {
        let (resumed, receiver) = watch::channel(None);
        let store = Self {
            maps: Api::namespaced(client, &config.namespace),
            ledger: Arc::clone(ledger),
            caches: Arc::clone(caches),
            metrics: Arc::clone(metrics),
            leadership,
            resumed,
            unread: BTreeSet::new(),
        };
        (store, Resumed(receiver))
    }

    /// Goes on from what was kept once this replica leads, and keeps what changes; for a last time when the process is told to
    /// stop, and then says `kept`, so that the next one may lead.
    pub(crate) async fn run(mut self, stop: CancellationToken, kept: CancellationToken) -> Result<(), std::convert::Infallible> {
        let leading = async {
            self.leadership.here().await;
            self.caches.wait_until_synced().await;
            while let Err(problem) = self.resume().await {
                warn!(%problem, "what was counted before cannot be read");
                sleep(PAUSE).await;
            }
        };
        let led = tokio::select! {
            () = leading => true,
            () = stop.cancelled() => false,
        };
        if led {
            self.metrics.leads.set(1);
            self.resumed.send_replace(Some(Instant::now()));
            let mut due = Instant::now() + INTERVAL;
            loop {
                tokio::select! {
                    () = sleep_until(due) => {
                        self.keep().await;
                        due = Instant::now() + INTERVAL;
                    }
                    () = self.ledger.closed.changed() => self.keep_closed().await,
                    () = stop.cancelled() => break,
                }
            }
            if tokio::time::timeout(LAST, self.keep_last()).await.is_err() {
                warn!("the counts could not be written in time");
            }
        }
        kept.cancel();
        Ok(())
    }

    /// Reads what was kept. Counts that cannot be read are said and left out: they must not keep others from being counted.
    async fn resume(&mut self) -> Result<(), StoreError> {
        // by name, whatever became of its labels
        let named = ListParams::default().fields(&format!("metadata.name={}", closed::NAME));
        for map in self.maps.list(&named).await? {
            let left_out = map.annotations().get(closed::LEFT_OUT).and_then(|number| number.parse().ok()).unwrap_or_default();
            self.ledger.closed.restore(Entries { holdings: map.data.unwrap_or_default(), left_out });
        }
        let maps = self.maps.list(&ListParams::default().labels(LABEL)).await?;
        let mut namespaces = 0;
        for map in maps {
            let Some(namespace) = map.labels().get(LABEL).cloned() else { continue };
            let Some(ByteString(counts)) = map.binary_data.as_ref().and_then(|data| data.get(ENTRY)) else { continue };
            let present = |key: &crate::watch::Key| self.caches.pods.get(key).map(|pod| pod.uid.clone());
            match self.ledger.restore(&namespace, counts, present) {
                Ok(()) => namespaces += 1,
                Err(problem) => {
                    warn!(namespace, %problem, "the counts of before are left out, and stay as they are");
                    self.unread.insert(namespace);
                }
            }
        }
        info!(namespaces, "this replica leads and goes on from the counts that were kept");
        Ok(())
    }

    async fn keep_last(&self) {
        self.keep().await;
        if self.ledger.closed.changed().now_or_never().is_some() {
            self.keep_closed().await;
        }
    }

    /// Writes the holdings that are closed. Where that fails it is tried again after a while.
    async fn keep_closed(&self) {
        let Entries { holdings, left_out } = self.ledger.closed.within(LARGEST);
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(closed::NAME.to_owned()),
                annotations: (left_out > 0).then(|| [(closed::LEFT_OUT.to_owned(), left_out.to_string())].into()),
                ..ObjectMeta::default()
            },
            data: Some(holdings),
            ..ConfigMap::default()
        };
        let written = self.maps.patch(closed::NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&map)).await;
        if let Err(problem) = written {
            self.metrics.counts_not_kept.inc();
            warn!(%problem, "the holdings that are closed could not be written; it is tried again");
            sleep(PAUSE).await;
            self.ledger.closed.still_changed();
        }
    }

    async fn keep(&self) {
        for namespace in self.ledger.take_changed() {
            if let Err(problem) = self.keep_one(&namespace).await {
                self.metrics.counts_not_kept.inc();
                warn!(namespace, %problem, "counts could not be written; they are tried again");
                self.ledger.still_changed(namespace);
            }
        }
    }

    async fn keep_one(&self, namespace: &str) -> Result<(), StoreError> {
        if self.unread.contains(namespace) {
            return Err(StoreError::Unread);
        }
        let name = format!("shekara-counts-{namespace}");
        let whole = self.ledger.write(namespace, true)?;
        let counts = match whole {
            Some(counts) if counts.len() > LARGEST => {
                warn!(namespace, bytes = counts.len(), "the counts of living pods are too many to be kept");
                self.ledger.write(namespace, false)?
            }
            other => other,
        };
        if let Some(counts) = counts.as_ref().filter(|counts| counts.len() > LARGEST) {
            return Err(StoreError::TooLarge(counts.len()));
        }
        let Some(counts) = counts else {
            return match self.maps.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                other => Ok(other.map(drop)?),
            };
        };
        let map = ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some([(LABEL.to_owned(), namespace.to_owned())].into()),
                ..ObjectMeta::default()
            },
            binary_data: Some([(ENTRY.to_owned(), ByteString(counts))].into()),
            ..ConfigMap::default()
        };
        self.maps.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&map)).await?;
        Ok(())
    }
}
