//! What is kept of the objects of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ContainerStatus, Namespace, Pod, PodStatus};
use kube::ResourceExt as _;
use shekara_crds::{DataHolding, HOLDINGS_ANNOTATION, Recipient, SovereigntyStandard};

use super::{Cached, Kind};
use crate::admission::containers::{HOLDINGS_VARIABLE, PROXY, VERIFY};

/// The labels of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespaceLabels(pub(crate) BTreeMap<String, String>);

/// What there is to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodSummary {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Its addresses; none where it shares those of its node.
    pub(crate) addresses: Vec<IpAddr>,
    /// The annotations of the project alone.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) service_account: String,
    /// Whether every container has ended for good.
    pub(crate) ended: bool,
    /// Whether the kubelet has seen the proxy start, in its present run.
    pub(crate) proxy_started: bool,
    /// How the proof that every way out is closed ended.
    pub(crate) proof: Proof,
    /// The object that controls the pod.
    pub(crate) owner: Option<Owner>,
    /// Whether the proxy was injected.
    pub(crate) injected: bool,
    /// The holdings that admission put the pod into: those in its annotation and those in the proxy's environment, which nobody
    /// can change in a running pod.
    pub(crate) holdings: BTreeSet<String>,
}

impl PodSummary {
    /// Whether the kubelet has seen the sidecar start, and every way out closed.
    pub(crate) fn is_proven(&self) -> bool {
        self.injected && self.proxy_started && self.proof == Proof::Passed
    }
}

/// How the container that proves the packet filter ended, as the kubelet says: the application cannot forge it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It has not ended yet.
    #[default]
    Pending,
    /// Every way out was seen closed.
    Passed,
    /// It ended with another exit code: the pod does not start.
    Failed(i32),
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

    fn keep(mut object: Self) -> Self {
        strip(&mut object);
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
        Self(object.metadata.labels.unwrap_or_default())
    }
}

impl Cached for PodSummary {
    type Object = Pod;
    const KIND: Kind = Kind::Pod;

    fn keep(object: Pod) -> Self {
        let owner = Owner::of(&object.metadata);
        let annotations: BTreeMap<String, String> = object
            .annotations()
            .iter()
            .filter(|(name, _)| name.starts_with("shekara.dev/"))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let spec = object.spec.as_ref();
        let proxy = spec.and_then(|spec| spec.init_containers.iter().flatten().find(|container| container.name == PROXY));
        let variables = proxy.into_iter().flat_map(|proxy| proxy.env.iter().flatten());
        let fixed =
            variables.filter(|variable| variable.name == HOLDINGS_VARIABLE).filter_map(|variable| variable.value.as_ref());
        let holdings = fixed.chain(annotations.get(HOLDINGS_ANNOTATION)).flat_map(|names| split(names)).collect();
        let status = object.status.as_ref();
        let deleting = object.metadata.deletion_timestamp.is_some();
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            addresses: addresses(&object),
            service_account: spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into()),
            ended: ended(status, deleting),
            proxy_started: status.is_some_and(proxy_started),
            proof: status.map(proof).unwrap_or_default(),
            owner,
            injected: proxy.is_some(),
            holdings,
            labels: object.metadata.labels.unwrap_or_default(),
            annotations,
        }
    }
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    if pod.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) {
        return vec![];
    }
    let listed = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    listed.filter_map(|listed| listed.ip.parse().ok()).collect()
}

/// Whether nothing of the pod runs any more, nor will.
fn ended(status: Option<&PodStatus>, deleting: bool) -> bool {
    let phase = status.and_then(|status| status.phase.as_deref());
    let lists = status
        .into_iter()
        .flat_map(|status| [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses]);
    let runs = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    matches!(phase, Some("Succeeded" | "Failed")) || deleting && !lists.flatten().flatten().any(runs)
}

fn init_container<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    status.init_container_statuses.iter().flatten().find(|container| container.name == name)
}

fn proxy_started(status: &PodStatus) -> bool {
    let proxy = init_container(status, PROXY);
    proxy.is_some_and(|proxy| proxy.started == Some(true) && proxy.state.as_ref().is_some_and(|state| state.running.is_some()))
}

fn proof(status: &PodStatus) -> Proof {
    let Some(container) = init_container(status, VERIFY) else { return Proof::Pending };
    let (now, before) = (container.state.as_ref(), container.last_state.as_ref());
    match now.and_then(|state| state.terminated.as_ref()) {
        Some(ended) if ended.exit_code == 0 => Proof::Passed,
        Some(ended) => Proof::Failed(ended.exit_code),
        // between two tries the last one counts, unless it is of an earlier sandbox and was good
        None => match before.and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code) {
            Some(code) if code != 0 => Proof::Failed(code),
            _ => Proof::Pending,
        },
    }
}

/// The names in a list with commas.
fn split(names: &str) -> impl Iterator<Item = String> {
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Drops what nobody here reads.
fn strip(object: &mut impl kube::Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.annotations = None;
    meta.labels = None;
}
