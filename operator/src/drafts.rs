//! Drafts: what an annotation makes of a workload that no holding claims. Whoever makes one looks at the holdings that the API server
//! has at that moment, since a cache may not know yet of one that was declared together with its workload.

pub(crate) mod keeper;
pub(crate) mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{Api, ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt as _};
use shekara_crds::data_holding::Mode;
use shekara_crds::draft::{Around, DraftError, Marked, draft, is_draft, possible};
use shekara_crds::{DATA_ANNOTATION, DRAFT_LABEL, DataHolding, PROTECT_LABEL, cover};
use tracing::info;

use crate::caches::Caches;
use crate::events::{Notice, Notices};
use crate::owners;
use crate::watch::Owner;

/// Under this name the operator owns the fields of a draft, until somebody changes them.
const FIELD_MANAGER: &str = "shekara-operator";
/// How often another name is tried where somebody else was faster.
const TRIES: usize = 4;

/// Makes drafts.
pub(crate) struct Drafts {
    client: Client,
    caches: Arc<Caches>,
    notices: Notices,
}

/// A workload that says by its annotation what it holds.
pub(crate) struct Subject<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) namespace_labels: &'a BTreeMap<String, String>,
    /// What controls its pods; the pod itself where nothing does.
    pub(crate) owner: Owner,
    /// The labels of its pods.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// The annotations of its pods.
    pub(crate) annotations: &'a BTreeMap<String, String>,
    /// What the annotation says.
    pub(crate) data: &'a str,
}

/// The holdings of a namespace, as the API server had them at one moment.
pub(crate) struct Listed {
    readable: Vec<DataHolding>,
    /// The names of all.
    taken: BTreeSet<String>,
    /// One that cannot be read.
    unreadable: Option<String>,
}

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DraftsError {
    /// The workload or its annotation is such that there can be none.
    #[error("{0} ({code})", code = .0.code())]
    Draft(#[from] DraftError),
    /// Nobody knows whether a holding claims the workload already.
    #[error(
        "the DataHolding {0} of the namespace cannot be read, and may cover the workload already: correct or delete it, then try \
         again (UnreadableHolding)"
    )]
    Unreadable(String),
    /// The API server did not take it, or did not say what is there.
    #[error("the DataHolding for it cannot be made: {0}")]
    Api(#[from] kube::Error),
    /// Others took every name that was tried.
    #[error("the DataHolding for it cannot be made: others took its name {TRIES} times; try again")]
    Contended,
}

impl Drafts {
    pub(crate) fn new(client: Client, caches: &Arc<Caches>, notices: Notices) -> Self {
        Self { client, caches: Arc::clone(caches), notices }
    }

    /// The draft that a workload needs; none where a holding claims it, perhaps one that the caches do not know yet. Where a holding
    /// cannot be read there is none either: a draft would take its place.
    pub(crate) async fn plan(&self, subject: &Subject<'_>) -> Result<Option<DataHolding>, DraftsError> {
        self.plan_among(subject, &mut None).await
    }

    /// The same, by what was listed of the namespace a moment ago. Where that is nothing yet, it is listed now.
    pub(crate) async fn plan_among(
        &self,
        subject: &Subject<'_>,
        listed: &mut Option<Listed>,
    ) -> Result<Option<DataHolding>, DraftsError> {
        self.is_possible(subject)?;
        let listed = match listed {
            Some(listed) => listed,
            None => listed.insert(self.list(subject.namespace).await?),
        };
        if listed.readable.iter().any(|holding| holding.claims(subject.labels, subject.annotations)) {
            return Ok(None);
        }
        if let Some(name) = &listed.unreadable {
            return Err(DraftsError::Unreadable(name.clone()));
        }
        let drafts = listed.readable.iter().filter(|holding| is_draft(holding)).count();
        possible(subject.data, subject.labels, drafts)?;
        let standards: Vec<_> = self.caches.standards.all().into_iter().map(|(_, standard)| (*standard).clone()).collect();
        let workload = self.workload(subject).await;
        let marked = Marked {
            namespace: subject.namespace,
            kind: &workload.kind,
            name: &workload.name,
            labels: subject.labels,
            data: subject.data,
        };
        let around = Around {
            standards: &standards,
            namespace_labels: subject.namespace_labels,
            taken: &listed.taken,
            drafts,
            now: Timestamp::now(),
        };
        Ok(Some(draft(&marked, &around)?))
    }

    /// Whether there can be a draft, as far as the caches know: what cannot be asks the API server nothing.
    fn is_possible(&self, subject: &Subject<'_>) -> Result<(), DraftsError> {
        let holdings = self.caches.holdings.in_namespace(subject.namespace);
        possible(subject.data, subject.labels, holdings.iter().filter(|(_, holding)| is_draft(holding)).count())?;
        let unreadable = self.caches.holdings.all_unreadable();
        let unreadable = unreadable.into_iter().find(|key| key.namespace == subject.namespace);
        unreadable.map_or(Ok(()), |key| Err(DraftsError::Unreadable(key.name)))
    }

    async fn list(&self, namespace: &str) -> Result<Listed, DraftsError> {
        let api: Api<DeserializeGuard<DataHolding>> = Api::namespaced(self.client.clone(), namespace);
        let listed = api.list(&ListParams::default()).await?.items;
        Ok(Listed {
            taken: listed.iter().map(|holding| holding.name_any()).collect(),
            unreadable: listed.iter().find(|holding| holding.0.is_err()).map(|holding| holding.name_any()),
            readable: listed.into_iter().filter_map(|holding| holding.0.ok()).collect(),
        })
    }

    /// Makes a draft that was planned, under another name where that was taken meanwhile, and tells its workload. Says its name; none
    /// where a holding claims the workload by now, which is left as it is.
    pub(crate) async fn make(&self, subject: &Subject<'_>, planned: DataHolding) -> Result<Option<String>, DraftsError> {
        let api: Api<DataHolding> = Api::namespaced(self.client.clone(), subject.namespace);
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let mut draft = planned;
        for _ in 0..TRIES {
            match api.create(&parameters, &draft).await {
                Ok(_) => {
                    info!(
                        namespace = subject.namespace,
                        holding = draft.name_any(),
                        owner = subject.owner.name,
                        "a draft was made"
                    );
                    let sentence = sentence(subject, &draft);
                    self.notices.send(Notice::drafted(subject.namespace, subject.owner.clone(), sentence));
                    return Ok(Some(draft.name_any()));
                }
                Err(kube::Error::Api(answer)) if answer.is_already_exists() => match self.plan(subject).await? {
                    Some(other) => draft = other,
                    None => return Ok(None),
                },
                Err(problem) => return Err(problem.into()),
            }
        }
        Err(DraftsError::Contended)
    }

    /// After which workload a draft is called. Nothing but its name hangs on that, so an owner that cannot be read is taken itself.
    async fn workload(&self, subject: &Subject<'_>) -> Owner {
        owners::workload(&self.client, subject.namespace, &subject.owner).await.unwrap_or_else(|_| subject.owner.clone())
    }
}

/// What was made, and what to do next.
fn sentence(subject: &Subject<'_>, draft: &DataHolding) -> String {
    let (name, namespace) = (draft.name_any(), subject.namespace);
    let enforcement = &draft.spec.enforcement;
    let does = match (enforcement.mode, &enforcement.observe_until) {
        (Mode::Observe, Some(until)) => format!("It observes until {until}, and enforces then"),
        _ => "It enforces and allows nothing, since no standard lets drafts observe here".into(),
    };
    let new = if cover::is_protected(subject.namespace_labels) || subject.annotations.contains_key(DATA_ANNOTATION) {
        "new ones are covered".to_owned()
    } else {
        format!(
            "new ones are covered once the namespace has the label {PROTECT_LABEL}=true, or their template has the annotation"
        )
    };
    format!(
        "The annotation {DATA_ANNOTATION} made the DataHolding {name}, a draft that nobody has declared yet. {does}. Pods that run are left \
         alone; {new}. Next: kubectl shekara propose {name} -n {namespace} says whom they want to reach; fill in the placeholders and the \
         transfers with kubectl edit dataholding {name} -n {namespace}, and take the label {DRAFT_LABEL} off."
    )
}

#[cfg(test)]
mod tests;
