//! Drafts of workloads that run, and of those that are annotated themselves. A draft is made beside them; nothing that runs is
//! touched, and its pods are shown as uncovered until they are replaced.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, ResourceExt as _};
use shekara_crds::draft::{categories, differs, not_held};
use shekara_crds::{DATA_ANNOTATION, DataHolding};
use tracing::warn;

use super::workloads::{Annotated, Template, Workloads};
use super::{Drafts, DraftsError, Listed, Subject};
use crate::caches::Caches;
use crate::controllers::Queues;
use crate::events::{Notice, Notices};
use crate::ledger::store::Resumed;
use crate::watch::{Key, NamespaceLabels, Owner, PodSummary};

/// How long the cache may take to learn of a draft: until then every pod of the workload would be looked at anew.
const SETTLES: Duration = Duration::from_secs(2);
/// How many templates are remembered at most.
const TEMPLATES: usize = 10_000;

/// Makes the drafts that are missing.
pub(crate) struct Keeper {
    client: Client,
    caches: Arc<Caches>,
    workloads: Arc<Workloads>,
    queues: Arc<Queues>,
    drafts: Drafts,
    notices: Notices,
    resumed: Resumed,
    /// The templates of annotated workloads by UID, each with its generation.
    templates: HashMap<String, (Option<i64>, Arc<Template>)>,
}

impl Keeper {
    pub(crate) fn new(
        client: Client,
        caches: &Arc<Caches>,
        workloads: &Arc<Workloads>,
        queues: &Arc<Queues>,
        notices: Notices,
        resumed: Resumed,
    ) -> Self {
        Self {
            drafts: Drafts::new(client.clone(), caches, notices.clone()),
            client,
            caches: Arc::clone(caches),
            workloads: Arc::clone(workloads),
            queues: Arc::clone(queues),
            notices,
            resumed,
            templates: HashMap::new(),
        }
    }

    /// Looks at one namespace after another in which something has changed. What fails is tried again with growing pauses.
    pub(crate) async fn run(mut self) -> Result<(), Infallible> {
        // one replica makes drafts of what runs
        self.resumed.wait().await;
        self.caches.wait_until_synced().await;
        for namespace in self.caches.namespaces.keys() {
            self.queues.drafts.push(namespace.name);
        }
        let queues = Arc::clone(&self.queues);
        loop {
            let namespace = queues.drafts.next().await;
            let visited = self.visit(&namespace).await;
            queues.drafts.done(&namespace);
            match visited {
                Ok(()) => queues.drafts.succeeded(&namespace),
                Err(problem) => {
                    warn!(namespace, %problem, "a draft could not be made; it is tried again");
                    queues.drafts.retry(namespace);
                }
            }
        }
    }

    async fn visit(&mut self, namespace: &str) -> Result<(), DraftsError> {
        let Some(labels) = self.caches.namespaces.get(&Key::new("", namespace)) else {
            // it is gone, or comes with a change of its own
            self.queues.drafts.forget(&namespace.to_owned());
            return Ok(());
        };
        let mut outcome = Ok(());
        // of the API server at most once, and again after each draft that was made
        let mut listed = None;
        for pod in self.marked_pods(namespace) {
            let looked = self.look_at_pod(&labels, &pod, &mut listed).await;
            outcome = outcome.and(looked);
        }
        for workload in self.workloads.of(namespace) {
            let looked = self.look_at_workload(&labels, namespace, &workload, &mut listed).await;
            outcome = outcome.and(looked);
        }
        outcome
    }

    /// One pod of each owner that says what it holds: the others say the same, or are looked at when they do not.
    fn marked_pods(&self, namespace: &str) -> Vec<Arc<PodSummary>> {
        let pods = self.caches.pods.in_namespace(namespace).into_iter().map(|(_, pod)| pod);
        let mut seen = BTreeSet::new();
        let mut first = |pod: &Arc<PodSummary>| {
            let owner = pod.owner.as_ref().map_or(&pod.uid, |owner| &owner.uid);
            seen.insert((owner.clone(), pod.annotations.clone()))
        };
        pods.filter(|pod| !pod.ended && pod.annotations.contains_key(DATA_ANNOTATION) && first(pod)).collect()
    }

    async fn look_at_pod(
        &self,
        labels: &NamespaceLabels,
        pod: &PodSummary,
        listed: &mut Option<Listed>,
    ) -> Result<(), DraftsError> {
        let Some(data) = pod.annotations.get(DATA_ANNOTATION) else { return Ok(()) };
        let subject = Subject {
            namespace: &pod.namespace,
            namespace_labels: &labels.0,
            owner: pod.owner.clone().unwrap_or_else(|| Owner::pod(&pod.name, pod.uid.clone())),
            labels: &pod.labels,
            annotations: &pod.annotations,
            data,
        };
        self.look(&subject, listed).await
    }

    async fn look_at_workload(
        &mut self,
        labels: &NamespaceLabels,
        namespace: &str,
        workload: &Annotated,
        listed: &mut Option<Listed>,
    ) -> Result<(), DraftsError> {
        let Some(template) = self.template(namespace, workload).await? else { return Ok(()) };
        let subject = Subject {
            namespace,
            namespace_labels: &labels.0,
            owner: workload.owner.clone(),
            labels: &template.labels,
            annotations: &template.annotations,
            data: &workload.data,
        };
        self.look(&subject, listed).await
    }

    async fn look(&self, subject: &Subject<'_>, listed: &mut Option<Listed>) -> Result<(), DraftsError> {
        let holdings = self.caches.holdings.in_namespace(subject.namespace).into_iter().map(|(_, holding)| holding);
        let claiming: Vec<Arc<DataHolding>> =
            holdings.filter(|holding| holding.claims(subject.labels, subject.annotations)).collect();
        if !claiming.is_empty() {
            self.compare(subject, &claiming);
            return Ok(());
        }
        match self.drafts.plan_among(subject, listed).await {
            Ok(None) => Ok(()),
            Ok(Some(draft)) => {
                *listed = None;
                if let Some(name) = self.drafts.make(subject, draft).await? {
                    self.caches.holdings.wait_for(&Key::new(subject.namespace, name), |_| true, SETTLES).await;
                }
                Ok(())
            }
            // trying again changes nothing before the workload does
            Err(DraftsError::Draft(problem)) => {
                self.tell(subject, &DraftsError::Draft(problem).to_string());
                Ok(())
            }
            // nothing of the workload changes when that ends
            Err(problem @ DraftsError::Unreadable(_)) => {
                self.tell(subject, &problem.to_string());
                Err(problem)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Tells the workload where it says that it holds something else than its holdings say.
    fn compare(&self, subject: &Subject<'_>, claiming: &[Arc<DataHolding>]) {
        match categories(subject.data) {
            Ok(data) => {
                let missing = not_held(&data, claiming.iter().map(|holding| &**holding));
                if !missing.is_empty() {
                    self.tell(subject, &differs(missing.iter(), claiming.iter().map(|holding| holding.name_any())));
                }
            }
            Err(problem) => self.tell(subject, &DraftsError::Draft(problem).to_string()),
        }
    }

    fn tell(&self, subject: &Subject<'_>, sentence: &str) {
        let sentence = format!("The annotation {DATA_ANNOTATION}: {sentence}");
        self.notices.send(Notice::not_drafted(subject.namespace, subject.owner.clone(), sentence));
    }

    /// The template of a workload, read anew when its generation is another.
    async fn template(&mut self, namespace: &str, workload: &Annotated) -> Result<Option<Arc<Template>>, DraftsError> {
        let uid = &workload.owner.uid;
        if let Some((generation, template)) = self.templates.get(uid)
            && *generation == workload.generation
        {
            return Ok(Some(Arc::clone(template)));
        }
        let Some(template) = Template::read(&self.client, namespace, workload).await?.map(Arc::new) else { return Ok(None) };
        if self.templates.len() >= TEMPLATES {
            self.templates.clear();
        }
        self.templates.insert(uid.clone(), (workload.generation, Arc::clone(&template)));
        Ok(Some(template))
    }
}

#[cfg(test)]
mod tests;
