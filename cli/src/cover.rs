//! Which holdings a pod is in, and how well it is covered: read off the objects, by the rules of admission and of the operator.

mod said;

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use shekara_crds::pods::{self, Proof};
use shekara_crds::{DataHolding, HOLDING_ANNOTATION, cover};

use crate::objects::Objects;
use crate::place::{Bound, Place};
pub(crate) use said::{Enforces, enforces, said_state};

/// A pod with its holdings.
#[derive(Debug)]
pub(crate) struct Covered<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) namespace: String,
    /// Those that admission put it into, and those that claim it now: the sidecar obeys all of them.
    pub(crate) names: BTreeSet<String>,
    /// Those of the names that exist, compiled.
    pub(crate) bound: Vec<Bound<'a>>,
    /// How far its sidecar is.
    pub(crate) sidecar: Sidecar,
}

/// How far the sidecar of a pod is, by the pod's object alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sidecar {
    /// Every container has ended.
    Ended,
    /// It was not put in.
    Absent,
    /// The proof saw a way out that is open, and the pod does not start.
    ProofFailed(i32),
    /// The proof or the start is outstanding.
    Starting,
    /// It runs, and the packet filter is proven.
    Proven,
}

impl Sidecar {
    /// Whether it judges what the pod sends.
    pub(crate) fn is_there(self) -> bool {
        !matches!(self, Self::Absent | Self::Ended)
    }

    pub(crate) fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        match pods::proof(&status) {
            _ if pods::has_ended(pod) => Self::Ended,
            _ if pods::proxy(pod).is_none() => Self::Absent,
            Proof::Failed(code) => Self::ProofFailed(code),
            Proof::Passed if pods::proxy_started(&status) => Self::Proven,
            Proof::Passed | Proof::Pending => Self::Starting,
        }
    }
}

impl<'a> Covered<'a> {
    /// Looks at a pod.
    pub(crate) fn of(pod: &'a Pod, objects: &'a Objects, place: &Place<'a>) -> Result<Self> {
        let namespace = pod.namespace().unwrap_or_default();
        let sidecar = Sidecar::of(pod);
        let holdings = || objects.holdings.iter().filter(|holding| holding.metadata.namespace.as_ref() == Some(&namespace));
        let names = names(pod, holdings());
        let mut bound = Vec::new();
        for holding in holdings().filter(|holding| names.contains(&holding.name_any())) {
            bound.push(place.compile(holding)?);
        }
        bound.sort_by_cached_key(|bound| bound.holding.name_any());
        Ok(Self { pod, namespace, names, bound, sidecar })
    }

    /// Those of the pod's holdings that do not exist any more: a pod in one of them lets nothing leave.
    pub(crate) fn missing(&self) -> Vec<&str> {
        let exists = |name: &&String| self.bound.iter().any(|bound| bound.holding.metadata.name.as_ref() == Some(name));
        self.names.iter().filter(|name| !exists(name)).map(String::as_str).collect()
    }
}

/// The names of the holdings of a pod, given those of its namespace: those that admission put it into, and those that claim it now.
pub(crate) fn names<'a>(pod: &Pod, holdings: impl Iterator<Item = &'a DataHolding>) -> BTreeSet<String> {
    let mut names = pods::stamped(pod);
    let covered = pods::proxy(pod).is_some() && !names.is_empty();
    let claiming = holdings.filter(|holding| cover::claims_running(holding, pod.labels(), pod.annotations(), covered));
    names.extend(claiming.map(|holding| holding.name_any()));
    names
}

/// Why a holding claims a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Its selector matches the pod's labels.
    Selector,
    /// The pod asks for it by annotation.
    Annotation,
    /// It does not: admission put the pod into it, or it did so once.
    None,
}

impl Claim {
    /// How a holding claims a pod now.
    pub(crate) fn of(holding: &DataHolding, pod: &Pod) -> Self {
        if holding.spec.workload_selector.matches(pod.labels()) {
            Self::Selector
        } else if holding.claims(pod.labels(), pod.annotations()) {
            Self::Annotation
        } else {
            Self::None
        }
    }

    pub(crate) fn text(self) -> String {
        match self {
            Self::Selector => "workloadSelector".into(),
            Self::Annotation => format!("annotation {HOLDING_ANNOTATION}"),
            Self::None => "not any more".into(),
        }
    }
}
