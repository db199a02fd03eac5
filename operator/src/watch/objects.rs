//! What is kept of the objects of each kind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::ResourceExt as _;
pub(crate) use shekara_crds::pods::Proof;
use shekara_crds::sovereignty_standard::{AppliesTo, Authority, EmptyTransfers};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard, SovereigntyStandardSpec, pods, services};

use super::{Cached, Kind};

/// The labels of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespaceLabels(pub(crate) BTreeMap<String, String>);

/// The addresses and TCP ports of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceSummary {
    /// The cluster addresses in the order of the Service, which is that of the preferred family.
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: BTreeSet<u16>,
}

/// What there is to know of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodSummary {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
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

    /// A standard that binds everything and cannot be read, so that no route is open: what the real one asks is not known.
    fn stand_in(name: &str) -> Option<Self> {
        let unknown = String::from("unreadable");
        let spec = SovereigntyStandardSpec {
            title: unknown.clone(),
            authority: Authority { name: unknown.clone(), country: unknown.clone() },
            applies_to: AppliesTo { namespace_selector: shekara_crds::Selector::default(), data: vec![unknown] },
            home_countries: vec![],
            networks: vec![],
            min_sources: 1,
            transfers: vec![],
            empty_transfers: EmptyTransfers::default(),
        };
        Some(Self::new(name, spec))
    }
}

impl Cached for NamespaceLabels {
    type Object = Namespace;
    const KIND: Kind = Kind::Namespace;

    fn keep(object: Namespace) -> Self {
        Self(object.metadata.labels.unwrap_or_default())
    }
}

impl Cached for ServiceSummary {
    type Object = Service;
    const KIND: Kind = Kind::Service;

    fn keep(object: Service) -> Self {
        Self { addresses: services::addresses(&object), ports: services::tcp_ports(&object) }
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
        let status = object.status.as_ref();
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            service_account: spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".into()),
            ended: pods::has_ended(&object),
            proxy_started: status.is_some_and(pods::proxy_started),
            proof: status.map(pods::proof).unwrap_or_default(),
            owner,
            injected: pods::proxy(&object).is_some(),
            holdings: pods::stamped(&object),
            labels: object.metadata.labels.unwrap_or_default(),
            annotations,
        }
    }
}

/// Drops what nobody here reads.
fn strip(object: &mut impl kube::Resource) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    meta.annotations = None;
    meta.labels = None;
}
