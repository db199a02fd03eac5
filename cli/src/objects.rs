//! The objects that a command looks at, from a cluster or from files.

mod answer;
mod cluster;
mod files;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::ResourceExt;
use shekara_crds::closed::{self, ClosedHolding};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};

use crate::arguments::Common;
pub(crate) use crate::network::{Asked, Network};
pub(crate) use answer::Answer;
pub(crate) use workloads::Workload;

/// The name of the operator's Deployment.
pub(crate) const OPERATOR: &str = "shekara-operator";

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    pub(crate) holdings: Vec<DataHolding>,
    /// The holdings that are no more.
    pub(crate) closed: Vec<ClosedHolding>,
    pub(crate) standards: Vec<SovereigntyStandard>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) namespaces: Vec<Namespace>,
    /// The pods; none where they could not be read.
    pub(crate) pods: Option<Vec<Pod>>,
    /// The workloads of manifests, whatever is in a cluster.
    pub(crate) workloads: Vec<Workload>,
    pub(crate) services: Vec<Service>,
    /// What owners of namespaces have answered, as far as files say it; from a cluster [`answers`] reads it.
    answers: BTreeMap<String, Answer>,
    /// Who may what, as far as files say it; from a cluster [`rights`] reads it.
    rights: Rights,
    pub(crate) operator: Option<Deployment>,
    /// Whether standards and recipients were read: without them nothing can be compiled.
    pub(crate) rules_known: bool,
    /// Who is where in the cluster, by the files; from a cluster [`network`] reads it.
    pub(crate) network: Network,
    /// What could not be read, and what that means for the answer.
    pub(crate) notes: Vec<String>,
}

/// What a command needs besides the holdings. What it only wants is noted where it cannot be read; what it needs is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The holdings that are closed: wanted. Where they are needed, it is instead of one of a name that is not there.
    pub(crate) closed: Need,
    /// The namespaces of the holdings: wanted.
    pub(crate) namespaces: bool,
    /// Pods: all where they are wanted, those of one name where they are needed.
    pub(crate) pods: Need,
    /// Standards and recipients, without which nothing can be compiled.
    pub(crate) rules: Need,
    /// Recipients alone: wanted.
    pub(crate) recipients: bool,
    /// The Services that holdings list, those of a destination, and what is inside the cluster: wanted.
    pub(crate) surroundings: bool,
    /// Who is where in the cluster, as far as files say it.
    pub(crate) network: bool,
    /// The workloads of files.
    pub(crate) workloads: bool,
    /// Every pod, of whatever namespace: needed.
    pub(crate) every_pod: bool,
}

/// How much a command needs something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Need {
    /// Not at all.
    #[default]
    No,
    /// The answer is poorer without it.
    Wanted,
    /// There is no answer without it.
    Needed,
}

/// What a command asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) needs: Needs,
    /// The name of the pod, where one is needed.
    pub(crate) pod: Option<String>,
    /// The name of the holding, where one is asked for.
    pub(crate) holding: Option<String>,
    /// A Service that a destination names, as namespace and name.
    pub(crate) service: Option<(String, String)>,
}

/// Reads what a command asks for.
pub(crate) fn read(common: &Common, request: &Request) -> Result<Objects> {
    if common.is_offline() { files::read(common, request) } else { cluster::read(common, request) }
}

/// Reads from a cluster who is where in it, as far as it matters for what is asked.
pub(crate) fn network(common: &Common, asked: &Asked<'_>) -> Result<Network> {
    cluster::network(common, asked)
}

/// What the owners of these namespaces have answered, and notes about what could not be read.
pub(crate) fn answers(
    common: &Common,
    objects: &Objects,
    namespaces: &BTreeSet<String>,
) -> Result<(BTreeMap<String, Answer>, Vec<String>)> {
    if common.is_offline() { Ok((objects.answers.clone(), vec![])) } else { cluster::answers(common, namespaces) }
}

/// Who may what in the cluster, and in the namespaces with holdings.
pub(crate) fn rights(common: &Common, objects: &Objects) -> Result<Rights> {
    if common.is_offline() { Ok(objects.rights.clone()) } else { cluster::rights(common) }
}

/// Roles and their bindings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(crate) cluster_roles: Vec<ClusterRole>,
    pub(crate) roles: Vec<Role>,
    pub(crate) cluster_bindings: Vec<ClusterRoleBinding>,
    pub(crate) bindings: Vec<RoleBinding>,
}

/// Where a command looks, in words.
pub(crate) fn place(common: &Common) -> String {
    let namespace = match &common.namespace {
        Some(namespace) => format!("in the namespace {namespace}"),
        None if common.all_namespaces || common.is_offline() => "in any namespace".into(),
        None => "in the namespace of the context; -n names another".into(),
    };
    if common.is_offline() { format!("{namespace} of the files") } else { namespace }
}

impl Objects {
    /// The one pod of a name.
    pub(crate) fn pod(&self, name: &str, common: &Common) -> Result<&Pod> {
        only("pod", name, common, self.pods.iter().flatten().filter(|pod| pod.name_any() == name))
    }

    /// The one holding of a name.
    pub(crate) fn holding(&self, name: &str, common: &Common) -> Result<&DataHolding> {
        let mut named = self.holdings.iter().filter(|holding| holding.name_any() == name).peekable();
        if named.peek().is_none() {
            let names: Vec<String> = self.holdings.iter().map(ResourceExt::name_any).take(10).collect();
            let there = if names.is_empty() { "there are none".into() } else { format!("there are {}", names.join(", ")) };
            bail!("there is no DataHolding {name:?} {}; {there}", place(common));
        }
        only("holding", name, common, named)
    }

    /// The closed holdings of a name, the latest first: none where one of that name is there.
    pub(crate) fn closed(&self, name: &str) -> Vec<&ClosedHolding> {
        if self.holdings.iter().any(|holding| holding.metadata.name.as_deref() == Some(name)) {
            return vec![];
        }
        let mut closed: Vec<_> = self.closed.iter().filter(|closed| closed.registered.name == name).collect();
        closed.sort_by(|one, other| other.closed_at.cmp(&one.closed_at));
        closed
    }

    /// Takes the entries of the ConfigMap with the closed holdings, as far as they are of the namespace that is asked for.
    fn take_closed(&mut self, map: ConfigMap, namespace: Option<&str>) {
        let left_out = map.metadata.annotations.as_ref().and_then(|annotations| annotations.get(closed::LEFT_OUT));
        if let Some(left_out) = left_out {
            self.notes.push(format!("{left_out} closed holdings are not shown: there was no more room to keep them"));
        }
        for (uid, entry) in map.data.into_iter().flatten() {
            match serde_json::from_str::<ClosedHolding>(&entry) {
                Ok(closed) if namespace.is_none_or(|namespace| closed.registered.namespace == namespace) => {
                    self.closed.push(closed)
                }
                Ok(_) => {}
                Err(error) => self.notes.push(format!("the closed holding {uid} cannot be read and is left out: {error}")),
            }
        }
    }

    /// The holdings of a namespace.
    pub(crate) fn holdings_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a DataHolding> {
        self.holdings.iter().filter(move |holding| holding.metadata.namespace.as_deref().unwrap_or_default() == namespace)
    }

    /// The labels of a namespace; none where it was not read.
    pub(crate) fn labels_of(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        let found = self.namespaces.iter().find(|found| found.metadata.name.as_deref() == Some(namespace))?;
        Some(found.labels())
    }

    /// A Service.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        let is_it = |service: &&Service| service.namespace().as_deref() == Some(namespace) && service.name_any() == name;
        self.services.iter().find(is_it)
    }
}

fn only<'a, K: kube::Resource>(kind: &str, name: &str, common: &Common, mut found: impl Iterator<Item = &'a K>) -> Result<&'a K> {
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => {
            let namespace = |object: &K| object.meta().namespace.clone().unwrap_or_default();
            bail!(
                "there is a {kind} {name:?} in {}, in {} and perhaps elsewhere: say which with -n",
                namespace(one),
                namespace(other)
            )
        }
        (None, _) => bail!("there is no {kind} {name:?} {}", place(common)),
    }
}
