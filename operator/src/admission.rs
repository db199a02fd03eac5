//! Admission: the API server asks about each new pod, and the answer puts the sidecar into those that a holding covers, refuses
//! those that could lead round it, and leaves the others as they are.

mod draft;
mod foresight;
mod volumes;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use futures::future::try_join;
use ipnet::IpNet;
use jiff::Timestamp;
use json_patch::Patch;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, ResourceQuota};
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use kube::{Client, ResourceExt as _};
use shekara_crds::cover::{self, NoSuchHolding};
use shekara_crds::injection::{Level, Refusal, Room, Setting, Settings, cautions, inject};
use shekara_crds::pods::MIRROR_ANNOTATION as MIRROR;
use shekara_crds::{COVERED_LABEL, DATA_ANNOTATION, DataHolding};
use shekara_policy::PolicyDocument;
use shekara_policy::datagrams::{Datagrams, MOST, WIDEST, datagrams};
use shekara_policy::signed::Stamp;
use tokio::sync::{Semaphore, watch};
use tracing::info;

use crate::caches::Caches;
use crate::config::Config;
use crate::documents::Documents;
use crate::drafts::Drafts;
use crate::events::{Notice, Notices};
use crate::keys::Keys;
use crate::metrics::{self, Metrics};
use crate::watch::{Key, Owner};
pub(crate) use foresight::Foresight;
use webhook::AT_ONCE;

/// The port of the policy API, as sidecars reach it.
const POLICY_PORT: u16 = 8443;

/// Answers the API server.
pub(crate) struct Admission {
    client: Client,
    config: Arc<Config>,
    caches: Arc<Caches>,
    distributed: Distributed,
    drafts: Drafts,
    notices: Notices,
    metrics: Arc<Metrics>,
    /// A permit for each byte of the reviews that are under way.
    reviews: Semaphore,
}

/// What pods are admitted with.
pub(crate) struct Distributed {
    /// By what they recognise the policy API at first, in PEM.
    pub(crate) authorities: watch::Receiver<Vec<String>>,
    /// The paths at which the API server asks, and nobody else, since nobody else knows them.
    pub(crate) paths: watch::Receiver<Vec<String>>,
    /// What they trust for life, and the key set of the moment.
    pub(crate) keys: Arc<Keys>,
    /// The documents of the moment: no pod takes an older one than it was admitted with.
    pub(crate) documents: Arc<Documents>,
}

/// A pod that is to be judged, and where.
struct Arriving<'a> {
    pod: &'a DynamicObject,
    namespace: &'a str,
    /// The labels of the namespace.
    labels: &'a BTreeMap<String, String>,
    /// Its UID.
    uid: &'a str,
    /// Whether nothing may come of it.
    dry_run: bool,
}

/// What becomes of a pod.
enum Outcome {
    /// It is nobody's.
    Untouched { warning: Option<String> },
    /// It is covered by these holdings and changed.
    Injected { holdings: BTreeSet<String>, patch: Patch, warnings: Vec<String> },
    /// It is covered and may not be so.
    Refused(Refusal),
}

/// Why no answer can be given; the API server then does what the webhook's failure policy says.
#[derive(Debug, thiserror::Error)]
enum AdmissionError {
    #[error("the operator has not read the cluster's objects yet")]
    Starting,
    #[error("the review has no pod in a namespace")]
    NoPod,
    #[error("the namespace {0} cannot be read: {1}")]
    Namespace(String, #[source] Box<kube::Error>),
    #[error("the Service {0}/{1} has no address, so no sidecar would find the policy API")]
    NoResolver(String, String),
    #[error("the DataHolding {0} has no policy document yet")]
    NoDocument(String),
    #[error("what the LimitRanges and ResourceQuotas of the namespace ask cannot be read: {0}")]
    Room(#[source] Box<kube::Error>),
    #[error("what the volumes of the pod lead to cannot be read: {0}")]
    Volumes(#[source] Box<kube::Error>),
    #[error("the answer cannot be written: {0}")]
    Answer(String),
}

impl Admission {
    pub(crate) fn new(
        client: Client,
        config: &Arc<Config>,
        caches: &Arc<Caches>,
        distributed: Distributed,
        notices: Notices,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let drafts = Drafts::new(client.clone(), caches, notices.clone());
        let (config, caches, metrics) = (Arc::clone(config), Arc::clone(caches), Arc::clone(metrics));
        Self { client, config, caches, distributed, drafts, notices, metrics, reviews: Semaphore::new(AT_ONCE) }
    }

    async fn answer(&self, request: &AdmissionRequest<DynamicObject>) -> Result<AdmissionResponse, AdmissionError> {
        let (Some(pod), Some(namespace)) = (&request.object, &request.namespace) else { return Err(AdmissionError::NoPod) };
        let response = AdmissionResponse::from(request);
        let name =
            Key::new(namespace, pod.metadata.name.as_ref().or(pod.metadata.generate_name.as_ref()).map_or("", |name| name));
        match self.decide(request, pod, namespace).await? {
            Outcome::Untouched { warning } => {
                self.metrics.admission(metrics::Admission::Untouched);
                Ok(warned(response, warning.into_iter().collect()))
            }
            Outcome::Injected { holdings, patch, warnings } => {
                info!(pod = %name, ?holdings, dry_run = request.dry_run, "the sidecar is put in");
                self.metrics.admission(metrics::Admission::Injected);
                warned(response, warnings).with_patch(patch).map_err(|problem| AdmissionError::Answer(problem.to_string()))
            }
            Outcome::Refused(refusal) => {
                info!(pod = %name, %refusal, dry_run = request.dry_run, "refused");
                self.metrics.admission(metrics::Admission::Refused);
                if !request.dry_run {
                    let owner = Owner::of(&pod.metadata).unwrap_or_else(|| Owner::pod(&name.name, pod.uid().unwrap_or_default()));
                    self.notices.send(Notice::refused(namespace, owner, refusal.to_string()));
                }
                let mut response = response.deny(&refusal);
                response.result.code = StatusCode::FORBIDDEN.as_u16();
                response.result.reason = "Forbidden".into();
                Ok(response)
            }
        }
    }

    async fn decide(
        &self,
        request: &AdmissionRequest<DynamicObject>,
        pod: &DynamicObject,
        namespace: &str,
    ) -> Result<Outcome, AdmissionError> {
        if request.operation != Operation::Create || request.kind.kind != "Pod" || request.sub_resource.is_some() {
            return Ok(Outcome::Untouched { warning: None });
        }
        if is_mirror(request, pod) {
            let warning = "a static pod cannot be covered: the kubelet runs it without asking".to_owned();
            return Ok(Outcome::Untouched { warning: Some(warning) });
        }
        if !self.caches.are_synced() {
            return Err(AdmissionError::Starting);
        }
        self.judge(pod, namespace, request.dry_run).await
    }

    /// What becomes of a pod that is new in a namespace.
    async fn judge(&self, pod: &DynamicObject, namespace: &str, dry_run: bool) -> Result<Outcome, AdmissionError> {
        let (labels, uid) = self.namespace(namespace).await?;
        let arriving = Arriving { pod, namespace, labels: &labels, uid: &uid, dry_run };
        let covering = match self.covering(&arriving) {
            Ok(covering) => covering,
            Err(missing) => return Ok(Outcome::Refused(missing.into())),
        };
        if let Some(data) = pod.annotations().get(DATA_ANNOTATION) {
            return self.marked(&arriving, data, covering).await;
        }
        if covering.is_empty() {
            let faults = self.claims_of_others(&arriving, &covering).await?;
            if !faults.is_empty() {
                return Ok(Outcome::Refused(Refusal { holdings: BTreeSet::new(), faults }));
            }
            let claims = pod.labels().contains_key(COVERED_LABEL);
            let warning = claims.then(|| format!("no DataHolding covers the pod, although its label {COVERED_LABEL} says so"));
            return Ok(Outcome::Untouched { warning });
        }
        let stamps = self.stamps(namespace, &covering)?;
        self.cover(&arriving, covering, stamps, None, None).await
    }

    /// The holdings that cover a pod, as far as the caches know.
    fn covering(&self, arriving: &Arriving<'_>) -> Result<BTreeSet<String>, NoSuchHolding> {
        let holdings = self.caches.holdings.in_namespace(arriving.namespace);
        let holdings = holdings.iter().map(|(_, holding)| &**holding);
        cover::covering(arriving.labels, arriving.pod.labels(), arriving.pod.annotations(), holdings)
    }

    /// Puts the sidecar into a pod of these holdings, which it knows by the stamps. One of them may be planned and not there yet.
    async fn cover(
        &self,
        arriving: &Arriving<'_>,
        holdings: BTreeSet<String>,
        stamps: Vec<Stamp>,
        planned: Option<&DataHolding>,
        warning: Option<String>,
    ) -> Result<Outcome, AdmissionError> {
        let pod = serde_json::to_value(arriving.pod).map_err(|problem| AdmissionError::Answer(problem.to_string()))?;
        let documents = self.documents(arriving.namespace, &holdings);
        let observe_until = PolicyDocument::observed_until(&documents).filter(|until| *until > Timestamp::now());
        let Datagrams { endpoints, left_out } = datagrams(&documents);
        let room = self.room(arriving.namespace).await?;
        let settings = self.settings(arriving, room, stamps, observe_until, endpoints)?;
        let mut foreign = self.foreign_volumes(arriving, &holdings, planned).await?;
        foreign.extend(self.claims_of_others(arriving, &holdings).await?);
        Ok(match inject(&pod, &holdings, &settings) {
            Ok(_) if !foreign.is_empty() => Outcome::Refused(Refusal { holdings, faults: foreign }),
            Ok(patch) => {
                let warnings = warning.into_iter().chain(unopened(&left_out)).chain(cautions(&pod)).collect();
                Outcome::Injected { holdings, patch, warnings }
            }
            Err(mut refusal) => {
                refusal.faults.extend(foreign);
                Outcome::Refused(refusal)
            }
        })
    }

    /// The labels and the UID of a namespace, from the API server where the cache does not have it yet.
    async fn namespace(&self, name: &str) -> Result<(BTreeMap<String, String>, String), AdmissionError> {
        if let Some(namespace) = self.caches.namespaces.get(&Key::new("", name)) {
            return Ok((namespace.0.clone(), namespace.1.clone()));
        }
        let namespace = Api::<Namespace>::all(self.client.clone()).get(name).await;
        let namespace = namespace.map_err(|problem| AdmissionError::Namespace(name.to_owned(), Box::new(problem)))?;
        Ok((namespace.metadata.labels.unwrap_or_default(), namespace.metadata.uid.unwrap_or_default()))
    }

    /// The holdings of a pod, as it is told of them.
    fn stamps(&self, namespace: &str, holdings: &BTreeSet<String>) -> Result<Vec<Stamp>, AdmissionError> {
        let documents = self.distributed.documents.of(namespace);
        let stamp = |name: &String| {
            let signed = &documents.get(name).ok_or_else(|| AdmissionError::NoDocument(name.clone()))?.signed;
            Ok(Stamp { name: name.clone(), uid: signed.holding_uid.clone(), serial: signed.serial })
        };
        holdings.iter().map(stamp).collect()
    }

    /// The documents of these holdings; none of them where one is missing, since the others would say too much.
    fn documents(&self, namespace: &str, holdings: &BTreeSet<String>) -> Vec<PolicyDocument> {
        let documents = self.distributed.documents.of(namespace);
        let every = holdings.iter().map(|name| Some(documents.get(name)?.document.clone()));
        every.collect::<Option<Vec<_>>>().unwrap_or_default()
    }

    /// What the namespace asks of the containers of its pods, as the API server has it in its cache.
    async fn room(&self, namespace: &str) -> Result<Room, AdmissionError> {
        let (ranges, quotas): (Api<LimitRange>, Api<ResourceQuota>) =
            (Api::namespaced(self.client.clone(), namespace), Api::namespaced(self.client.clone(), namespace));
        let list = ListParams::default().match_any();
        let (ranges, quotas) =
            try_join(ranges.list(&list), quotas.list(&list)).await.map_err(|problem| AdmissionError::Room(Box::new(problem)))?;
        Ok(Room { limit_ranges: ranges.items, quotas: quotas.items })
    }

    fn settings(
        &self,
        arriving: &Arriving<'_>,
        room: Room,
        stamps: Vec<Stamp>,
        observe_until: Option<Timestamp>,
        datagrams: Vec<SocketAddr>,
    ) -> Result<Settings, AdmissionError> {
        let config = &self.config;
        let resolvers = self.caches.resolvers(config);
        if resolvers.is_empty() {
            let (namespace, name) = config.dns_service.clone();
            return Err(AdmissionError::NoResolver(namespace, name));
        }
        let keyring = self.distributed.keys.current();
        let (service, namespace, domain) = (&config.policy_service, &config.namespace, config.cluster_domain.as_str());
        Ok(Settings {
            image: config.sidecar_image.clone(),
            pull_policy: config.sidecar_pull_policy.clone(),
            setting: Setting::of(config.filter, Level::of(arriving.labels, config.pod_security)),
            resources: config.sidecar_resources.clone(),
            room,
            log: config.sidecar_log.clone(),
            limits: config.sidecar_limits,
            policy_api: format!("{service}.{namespace}.svc.{domain}:{POLICY_PORT}"),
            authority: self.distributed.authorities.borrow().concat(),
            root: keyring.root,
            key_set: keyring.version,
            namespace_uid: arriving.uid.to_owned(),
            stamps,
            observe_until,
            datagrams,
            resolvers,
        })
    }
}

/// What is said of networks that are listed for datagrams and cannot be opened.
fn unopened(left_out: &BTreeSet<IpNet>) -> Option<String> {
    let networks: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    (!networks.is_empty()).then(|| {
        format!(
            "UDP stays closed to {}: a network has {WIDEST} addresses at most, and a pod {MOST} addresses and ports, to be opened for datagrams",
            networks.join(", ")
        )
    })
}

fn warned(mut response: AdmissionResponse, warnings: Vec<String>) -> AdmissionResponse {
    response.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
    response
}

/// Whether a kubelet shows one of its static pods. From anybody else the annotation means nothing.
fn is_mirror(request: &AdmissionRequest<DynamicObject>, pod: &DynamicObject) -> bool {
    let groups = request.user_info.groups.iter().flatten();
    pod.annotations().contains_key(MIRROR) && groups.into_iter().any(|group| group == "system:nodes")
}

#[cfg(test)]
impl Admission {
    /// One that knows what these caches know, and no document.
    pub(crate) fn of_test(
        client: Client,
        config: &Arc<Config>,
        caches: &Arc<Caches>,
        notices: Notices,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        let distributed = Distributed {
            authorities: watch::channel(vec![]).1,
            paths: watch::channel(vec![]).1,
            keys: Keys::of_test(),
            documents: Arc::default(),
        };
        Arc::new(Self::new(client, config, caches, distributed, notices, metrics))
    }
}

#[cfg(test)]
mod tests;
