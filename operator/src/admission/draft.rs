//! A pod that says by its annotation what it holds: one that no holding claims gets a draft, which is made and signed before the pod
//! is admitted. What the annotation says never widens anything: it names no recipient, and a holding that holds less than it says
//! does not cover the pod quietly.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt as _;
use shekara_crds::draft::{categories, differs, not_held};
use shekara_crds::injection::Refusal;
use shekara_crds::{DATA_ANNOTATION, cover};
use shekara_policy::Category;
use shekara_policy::signed::Stamp;
use tokio::time::timeout;
use tracing::warn;

use super::{Admission, AdmissionError, Arriving, Outcome};
use crate::drafts::{DraftsError, Subject};
use crate::watch::{Key, Owner};

/// How long a draft may take until it is signed. The API server waits 5 s, and takes silence for leave.
const LIMIT: Duration = Duration::from_secs(4);

/// The UID that a holding has which a dry run does not make.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

impl Admission {
    /// A pod that says that it holds `data`, and which these holdings cover.
    pub(super) async fn marked(
        &self,
        arriving: &Arriving<'_>,
        data: &str,
        covering: BTreeSet<String>,
    ) -> Result<Outcome, AdmissionError> {
        let data_held = match categories(data) {
            Ok(categories) => categories,
            Err(problem) => return Ok(refused(covering, DraftsError::Draft(problem).to_string())),
        };
        let judged = async {
            if covering.is_empty() {
                self.drafted(arriving, data, &data_held).await
            } else {
                self.compared(arriving, &data_held, None).await
            }
        };
        let judged = timeout(LIMIT, judged).await;
        judged.unwrap_or_else(|_| {
            let sentence = "the DataHolding that covers the pod is not signed yet: try again in a moment";
            Ok(refused(covering, sentence.into()))
        })
    }

    /// Covers the pod by a draft that is made for it, or by a holding that claims it although the caches do not know it yet.
    async fn drafted(
        &self,
        arriving: &Arriving<'_>,
        data: &str,
        data_held: &BTreeSet<Category>,
    ) -> Result<Outcome, AdmissionError> {
        let subject = subject(arriving, data);
        let planned = match self.drafts.plan(&subject).await {
            Ok(planned) => planned,
            Err(problem) => return Ok(unmade(&problem)),
        };
        let Some(draft) = planned else { return self.compared(arriving, data_held, None).await };
        // as it will be, so that a pod that cannot be admitted makes nothing
        let name = draft.name_any();
        let stamps = vec![Stamp { name: name.clone(), uid: NOBODY.into(), serial: 0 }];
        let warning =
            |name: &str| format!("the annotation {DATA_ANNOTATION} makes a draft that covers the pod: the DataHolding {name}");
        let outcome = self.cover(arriving, [name.clone()].into(), stamps, Some(&draft), Some(warning(&name))).await?;
        if arriving.dry_run || !matches!(outcome, Outcome::Injected { .. }) {
            return Ok(outcome);
        }
        match self.drafts.make(&subject, draft).await {
            Ok(made) => self.compared(arriving, data_held, made.as_deref().map(warning)).await,
            Err(problem) => Ok(unmade(&problem)),
        }
    }

    /// The holdings that cover the pod, as soon as the caches know any and all of them are signed. Only the replica that leads signs:
    /// the others wait for it as for any change.
    async fn signed(&self, arriving: &Arriving<'_>) -> Result<(BTreeSet<String>, Vec<Stamp>), Refusal> {
        let mut changed = self.caches.holdings.subscribe();
        let mut documents = self.distributed.documents.subscribe(arriving.namespace);
        loop {
            changed.mark_unchanged();
            documents.mark_unchanged();
            let covering = self.covering(arriving)?;
            if !covering.is_empty()
                && let Ok(stamps) = self.stamps(arriving.namespace, &covering)
            {
                return Ok((covering, stamps));
            }
            // neither ends before the process
            tokio::select! {
                _ = changed.changed() => {}
                _ = documents.changed() => {}
            }
        }
    }

    /// Covers the pod by holdings that claim it, if they hold what it says that it holds.
    ///
    /// Where they do not, the routes of the pod are judged without the standards and permits of that data. In a protected namespace
    /// such a pod is refused: without the annotation it would be covered all the same, so that nobody gains a bare pod by taking it
    /// off. Elsewhere the annotation is what covers it, and a refusal would drive people to leave it out: they are warned.
    async fn compared(
        &self,
        arriving: &Arriving<'_>,
        data: &BTreeSet<Category>,
        warning: Option<String>,
    ) -> Result<Outcome, AdmissionError> {
        // it may be a draft that was made a moment ago for another pod of the workload
        let (covering, stamps) = match self.signed(arriving).await {
            Ok(signed) => signed,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let holdings = covering.iter().filter_map(|name| self.caches.holdings.get(&Key::new(arriving.namespace, name)));
        let holdings: Vec<_> = holdings.collect();
        let missing = not_held(data, holdings.iter().map(|holding| &**holding));
        if missing.is_empty() {
            return self.cover(arriving, covering, stamps, None, warning).await;
        }
        let sentence = differs(missing.iter(), covering.iter());
        if cover::is_protected(arriving.labels) {
            return Ok(refused(covering, sentence));
        }
        self.cover(arriving, covering, stamps, None, Some(format!("the annotation {DATA_ANNOTATION}: {sentence}"))).await
    }
}

fn subject<'a>(arriving: &Arriving<'a>, data: &'a str) -> Subject<'a> {
    let meta = &arriving.pod.metadata;
    let name = meta.name.as_ref().or(meta.generate_name.as_ref()).map_or("", String::as_str);
    Subject {
        namespace: arriving.namespace,
        namespace_labels: arriving.labels,
        owner: Owner::of(meta).unwrap_or_else(|| Owner::pod(name, arriving.pod.uid().unwrap_or_default())),
        labels: arriving.pod.labels(),
        annotations: arriving.pod.annotations(),
        data,
    }
}

/// A failure is a refusal too: where the webhook gives no answer, the pod could start bare.
fn unmade(problem: &DraftsError) -> Outcome {
    warn!(%problem, "a draft could not be made");
    refused(BTreeSet::new(), problem.to_string())
}

fn refused(holdings: BTreeSet<String>, sentence: String) -> Outcome {
    Outcome::Refused(Refusal::of_data(holdings, sentence))
}

#[cfg(test)]
mod tests;
