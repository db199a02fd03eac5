//! Workloads that are annotated themselves, not in their template: that is what people type. Their metadata alone is watched, and
//! nothing is kept of those without the annotation; the labels of their pods are read once for each generation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use shekara_crds::DATA_ANNOTATION;
use tracing::warn;

use crate::controllers::Queues;
use crate::ledger::store::Resumed;
use crate::watch::Owner;

/// The kinds whose annotations count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    CronJob,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::Job, Self::CronJob];

    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
            Self::Job => ApiResource::erase::<Job>(&()),
            Self::CronJob => ApiResource::erase::<CronJob>(&()),
        }
    }

    /// Where the metadata of its pods stand.
    pub(super) fn template(self) -> &'static str {
        match self {
            Self::CronJob => "/spec/jobTemplate/spec/template/metadata",
            _ => "/spec/template/metadata",
        }
    }
}

/// A workload that says what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Annotated {
    pub(crate) kind: Kind,
    pub(crate) owner: Owner,
    /// The generation of its spec, and with it of its template.
    pub(crate) generation: Option<i64>,
    /// What the annotation says.
    pub(crate) data: String,
}

/// An object by kind, namespace and name.
type Id = (Kind, String, String);

/// Every workload that is annotated.
#[derive(Default)]
pub(crate) struct Workloads(Mutex<State>);

#[derive(Default)]
struct State {
    annotated: BTreeMap<Id, Annotated>,
    /// What the listings that are under way have named.
    listing: BTreeMap<Kind, BTreeSet<Id>>,
}

impl Workloads {
    /// Those of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Annotated> {
        let state = self.0.lock();
        state.annotated.iter().filter(|((_, of, _), _)| of == namespace).map(|(_, workload)| workload.clone()).collect()
    }

    /// Takes an event of a watch; the namespace in which a workload came or changed.
    pub(super) fn take(&self, kind: Kind, event: Event<PartialObjectMeta<DynamicObject>>) -> Option<String> {
        let mut state = self.0.lock();
        match event {
            Event::Init => {
                state.listing.insert(kind, BTreeSet::new());
                None
            }
            Event::InitApply(object) => {
                state.listing.entry(kind).or_default().insert(id(kind, &object.metadata));
                state.set(kind, &object.metadata)
            }
            Event::InitDone => {
                let listed = state.listing.remove(&kind).unwrap_or_default();
                state.annotated.retain(|id, _| id.0 != kind || listed.contains(id));
                None
            }
            Event::Apply(object) => state.set(kind, &object.metadata),
            Event::Delete(object) => {
                state.annotated.remove(&id(kind, &object.metadata));
                None
            }
        }
    }
}

impl State {
    fn set(&mut self, kind: Kind, meta: &ObjectMeta) -> Option<String> {
        let id = id(kind, meta);
        let Some(data) = meta.annotations.as_ref().and_then(|annotations| annotations.get(DATA_ANNOTATION)) else {
            self.annotated.remove(&id);
            return None;
        };
        let resource = kind.resource();
        let owner = Owner {
            api_version: resource.api_version,
            kind: resource.kind,
            name: id.2.clone(),
            uid: meta.uid.clone().unwrap_or_default(),
        };
        let now = Annotated { kind, owner, generation: meta.generation, data: data.clone() };
        let namespace = id.1.clone();
        let before = self.annotated.insert(id, now.clone());
        (before.as_ref() != Some(&now)).then_some(namespace)
    }
}

fn id(kind: Kind, meta: &ObjectMeta) -> Id {
    (kind, meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// A watch that ended, which it never should.
#[derive(Debug, thiserror::Error)]
#[error("the watch of {0} ended")]
pub(crate) struct WatchEnded(String);

/// Follows the workloads of a kind as soon as this replica leads: the others make no drafts of them. Watches that break off are begun
/// again with growing pauses.
pub(crate) async fn follow(
    kind: Kind,
    client: Client,
    workloads: Arc<Workloads>,
    queues: Arc<Queues>,
    mut resumed: Resumed,
) -> Result<(), WatchEnded> {
    resumed.wait().await;
    let resource = kind.resource();
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client, &resource);
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff());
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                if let Some(namespace) = workloads.take(kind, event) {
                    queues.drafts.push(namespace);
                }
            }
            Ok(None) => return Err(WatchEnded(resource.kind)),
            Err(problem) => warn!(kind = resource.kind, %problem, "a watch broke off and is begun again"),
        }
    }
}

/// The labels and annotations of the pods that a workload makes.
#[derive(Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(super) struct Template {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Template {
    /// Reads it from the API server; none where the workload is gone.
    pub(super) async fn read(client: &Client, namespace: &str, workload: &Annotated) -> Result<Option<Self>, kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &workload.kind.resource());
        let Some(object) = api.get_opt(&workload.owner.name).await? else { return Ok(None) };
        if object.uid().as_deref() != Some(workload.owner.uid.as_str()) {
            // another one of the name, of which the watch will tell
            return Ok(None);
        }
        let template = object.data.pointer(workload.kind.template()).cloned().unwrap_or_default();
        // a template without metadata has no labels, and that is said where they are needed
        Ok(Some(serde_json::from_value(template).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(name: &str, data: Option<&str>, generation: i64) -> PartialObjectMeta<DynamicObject> {
        let mut meta = json!({"name": name, "namespace": "n", "uid": format!("uid-of-{name}"), "generation": generation});
        if let Some(data) = data {
            meta["annotations"] = json!({"shekara.dev/data": data});
        }
        let object: Value = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": meta});
        serde_json::from_value(object).unwrap()
    }

    fn names(workloads: &Workloads) -> Vec<String> {
        workloads.of("n").into_iter().map(|workload| workload.owner.name).collect()
    }

    #[test]
    fn those_that_are_annotated_are_known_and_what_changes_is_told() {
        let (workloads, kind) = (Workloads::default(), Kind::Deployment);
        assert_eq!(workloads.take(kind, Event::Apply(object("web", None, 1))), None);
        assert!(workloads.of("n").is_empty());
        let told = Some("n".to_owned());
        assert_eq!(workloads.take(kind, Event::Apply(object("web", Some("vehicle.location"), 1))), told);
        let found = &workloads.of("n")[0];
        assert_eq!((found.owner.api_version.as_str(), found.owner.kind.as_str()), ("apps/v1", "Deployment"));
        assert_eq!(workloads.take(kind, Event::Apply(object("web", Some("vehicle.location"), 1))), None, "nothing is new");
        assert_eq!(workloads.take(kind, Event::Apply(object("web", Some("vehicle.location"), 2))), told);
        assert_eq!(workloads.take(kind, Event::Apply(object("web", Some("vehicle.identity"), 2))), told);
        assert!(workloads.of("elsewhere").is_empty());
        workloads.take(kind, Event::Apply(object("web", None, 3)));
        assert!(workloads.of("n").is_empty());
    }

    #[test]
    fn a_listing_forgets_what_is_gone_of_its_own_kind_alone() {
        let workloads = Workloads::default();
        workloads.take(Kind::Job, Event::Apply(object("job", Some("vehicle.location"), 1)));
        for name in ["a", "b"] {
            workloads.take(Kind::Deployment, Event::Apply(object(name, Some("vehicle.location"), 1)));
        }
        workloads.take(Kind::Deployment, Event::Init);
        workloads.take(Kind::Deployment, Event::InitApply(object("b", Some("vehicle.location"), 1)));
        assert_eq!(names(&workloads), ["a", "b", "job"]);
        workloads.take(Kind::Deployment, Event::InitDone);
        assert_eq!(names(&workloads), ["b", "job"]);
        workloads.take(Kind::Deployment, Event::Delete(object("b", Some("vehicle.location"), 1)));
        assert_eq!(names(&workloads), ["job"]);
    }

    #[test]
    fn a_template_is_read_where_its_kind_has_it() {
        for kind in Kind::ALL {
            assert!(kind.template().ends_with("/template/metadata"));
        }
        let template: Template = serde_json::from_value(json!({"labels": {"app": "web"}, "creationTimestamp": null})).unwrap();
        assert_eq!(template.labels["app"], "web");
    }
}
