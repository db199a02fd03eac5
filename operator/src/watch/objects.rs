//! What is kept of the objects of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod, Volume};
use kube::ResourceExt as _;
use shekara_crds::injection::{DOCUMENTS_VARIABLE, ROOT_VARIABLE};
pub(crate) use shekara_crds::pods::Proof;
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard, cover, node_logs, pods};
use shekara_policy::signed::Stamp;

use super::{Cached, Kind};

/// The labels of a namespace, and its UID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespaceLabels(pub(crate) BTreeMap<String, String>, pub(crate) String);

/// What there is to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodSummary {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    /// When the API server created it.
    pub(crate) created: Option<Timestamp>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Its addresses; none where it shares those of its node.
    pub(crate) addresses: Vec<IpAddr>,
    /// The annotations of the project alone.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The PersistentVolumeClaims that it mounts.
    pub(crate) claims: BTreeSet<String>,
    /// Whether it mounts what other containers of its node print.
    pub(crate) reads_logs: bool,
    pub(crate) service_account: String,
    /// Whether every container has ended for good.
    pub(crate) ended: bool,
    /// Whether the kubelet has seen the proxy start, in its present run.
    pub(crate) proxy_started: bool,
    /// How often the kubelet has started the proxy again.
    pub(crate) restarts: i32,
    /// How the proof that every way out is closed ended.
    pub(crate) proof: Proof,
    /// The object that controls the pod.
    pub(crate) owner: Option<Owner>,
    /// Whether the proxy was injected.
    pub(crate) injected: bool,
    /// The holdings that admission put the pod into: those in its annotation and those in the proxy's environment, which nobody
    /// can change in a running pod.
    pub(crate) holdings: BTreeSet<String>,
    /// The root key that it was admitted with, and the UIDs of its holdings then: it obeys nothing else.
    pub(crate) trust: Stamped,
}

/// What admission stamped into the proxy of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamped {
    /// The fingerprint of the root key.
    pub(crate) root: String,
    /// The holdings.
    pub(crate) stamps: Vec<Stamp>,
    /// Until when it was admitted to observe, be that over or not to be read: its packet filter was then never proven to enforce.
    pub(crate) observes_until: Option<Timestamp>,
}

impl PodSummary {
    /// Whether the kubelet has seen the sidecar start, and every way out closed.
    pub(crate) fn is_proven(&self) -> bool {
        self.injected && self.proxy_started && self.proof == Proof::Passed
    }

    /// When it was created; the earliest of all times where that is not known.
    pub(crate) fn created(&self) -> Timestamp {
        self.created.unwrap_or(Timestamp::MIN)
    }

    /// Whether it lives and is in scope of a holding: put into it by admission, or claimed by it now.
    pub(crate) fn is_of(&self, holding: &DataHolding) -> bool {
        let stamped = holding.metadata.name.as_ref().is_some_and(|name| self.holdings.contains(name));
        !self.ended && (stamped || self.is_claimed_by(holding))
    }

    /// Whether a holding claims it now, whatever admission put it into.
    pub(crate) fn is_claimed_by(&self, holding: &DataHolding) -> bool {
        let covered = self.injected && !self.holdings.is_empty();
        cover::claims_running(holding, &self.labels, &self.annotations, covered)
    }
}

/// The object that controls another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl Owner {
    /// The controller among the owners of an object.
    pub(crate) fn of(meta: &kube::core::ObjectMeta) -> Option<Self> {
        let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
        let k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference { api_version, kind, name, uid, .. } = owner.clone();
        Some(Self { api_version, kind, name, uid })
    }
}

impl Owner {
    /// A pod as its own owner: one that nothing controls.
    pub(crate) fn pod(name: &str, uid: String) -> Self {
        Self { api_version: "v1".into(), kind: "Pod".into(), name: name.trim_end_matches('-').to_owned(), uid }
    }
}

impl Cached for DataHolding {
    type Object = Self;
    const KIND: Kind = Kind::DataHolding;

    /// With the marks of the project, which say that it is a draft.
    fn keep(mut object: Self) -> Self {
        let (labels, annotations) = (marks(object.metadata.labels.take()), marks(object.metadata.annotations.take()));
        strip(&mut object);
        (object.metadata.labels, object.metadata.annotations) = (labels, annotations);
        object
    }
}

impl Cached for Recipient {
    type Object = Self;
    const KIND: Kind = Kind::Recipient;

    fn keep(mut object: Self) -> Self {
        strip(&mut object);
        object
    }
}

impl Cached for SovereigntyStandard {
    type Object = Self;
    const KIND: Kind = Kind::SovereigntyStandard;

    fn keep(mut object: Self) -> Self {
        strip(&mut object);
        object
    }

    fn stand_in(name: &str) -> Option<Self> {
        Some(Self::stand_in(name))
    }
}

impl Cached for NamespaceLabels {
    type Object = Namespace;
    const KIND: Kind = Kind::Namespace;

    fn keep(object: Namespace) -> Self {
        Self(object.metadata.labels.unwrap_or_default(), object.metadata.uid.unwrap_or_default())
    }
}

impl Cached for PodSummary {
    type Object = Pod;
    const KIND: Kind = Kind::Pod;

    fn keep(object: Pod) -> Self {
        let owner = Owner::of(&object.metadata);
        let annotations = marks(object.metadata.annotations.clone()).unwrap_or_default();
        let spec = object.spec.as_ref();
        let proxy = pods::proxy(&object);
        let value = |name: &str| {
            let mut variables = proxy.into_iter().flat_map(|proxy| proxy.env.iter().flatten());
            variables.find(|variable| variable.name == name).and_then(|variable| variable.value.clone())
        };
        let stamps = value(DOCUMENTS_VARIABLE)
            .iter()
            .flat_map(|stamps| stamps.split(',').filter_map(|stamp| stamp.parse().ok()))
            .collect();
        let observes_until = pods::observes_until(&object);
        let trust = Stamped { root: value(ROOT_VARIABLE).unwrap_or_default(), stamps, observes_until };
        let status = object.status.as_ref();
        let volumes = spec.into_iter().flat_map(|spec| spec.volumes.iter().flatten());
        // a volume that comes with the pod has a claim that is called after both
        let claim = |volume: &Volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{}-{}", object.name_any(), volume.name)),
            (None, None) => None,
        };
        let claims = volumes.filter_map(claim).collect();
        Self {
            claims,
            reads_logs: node_logs::are_read_by(&object),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            created: object.creation_timestamp().map(|created| created.0),
            addresses: pods::addresses(&object),
            service_account: spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into()),
            ended: pods::has_ended(&object),
            proxy_started: status.is_some_and(pods::proxy_started),
            restarts: status.map_or(0, pods::proxy_restarts),
            proof: status.map(pods::proof).unwrap_or_default(),
            owner,
            injected: proxy.is_some(),
            holdings: pods::stamped(&object),
            trust,
            labels: object.metadata.labels.unwrap_or_default(),
            annotations,
        }
    }
}

/// Those of the labels or annotations that are the project's own; none where there is no such.
fn marks(all: Option<BTreeMap<String, String>>) -> Option<BTreeMap<String, String>> {
    let mut marks = all?;
    marks.retain(|name, _| name.starts_with("shekara.dev/"));
    Some(marks).filter(|marks| !marks.is_empty())
}

/// Drops what nobody here reads.
fn strip(object: &mut impl kube::Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.annotations = None;
    meta.labels = None;
}
