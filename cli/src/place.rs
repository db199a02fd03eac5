//! Holdings compiled as the operator compiles them: with every standard, every recipient, and what is inside the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use shekara_crds::compile::{ListedService, Surroundings};
use shekara_crds::{Compiled, DataHolding, Recipient, compile, services};
use shekara_policy::document::Cluster;
use shekara_policy::{HostName, PolicyDocument};

use crate::objects::Objects;

const DNS_PORT: u16 = 53;

/// What the operator was told of the cluster, by the environment of its Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The networks of pods, Services and nodes; none where the operator was not read.
    pub(crate) networks: Vec<IpNet>,
    pub(crate) domain: HostName,
    pub(crate) dns_service: (String, String),
}

impl Settings {
    /// Reads the operator's Deployment; the chart's defaults where there is none.
    pub(crate) fn of(operator: Option<&Deployment>) -> Result<Self> {
        let template = operator.and_then(|operator| operator.spec.as_ref()).and_then(|spec| spec.template.spec.as_ref());
        let variables = template.iter().flat_map(|pod| &pod.containers).flat_map(|container| container.env.iter().flatten());
        let variables: BTreeMap<&str, &str> =
            variables.filter_map(|variable| Some((variable.name.as_str(), variable.value.as_deref()?.trim()))).collect();
        let or = |name: &str, default: &'static str| {
            let given = variables.get(name).copied().filter(|value| !value.is_empty());
            given.unwrap_or(default).to_owned()
        };
        let networks = or("SHEKARA_CLUSTER_NETWORKS", "");
        let networks = networks.split(',').map(str::trim).filter(|network| !network.is_empty());
        let dns = or("SHEKARA_DNS_SERVICE", "kube-system/kube-dns");
        let (namespace, name) = dns.split_once('/').context("the operator's SHEKARA_DNS_SERVICE is not namespace/name")?;
        Ok(Self {
            networks: networks
                .map(|network| network.parse().with_context(|| format!("the operator's network {network:?} is not a CIDR")))
                .collect::<Result<_>>()?,
            domain: or("SHEKARA_CLUSTER_DOMAIN", "cluster.local").parse().context("the operator's domain is none")?,
            dns_service: (namespace.to_owned(), name.to_owned()),
        })
    }
}

/// Where holdings are compiled.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    objects: &'a Objects,
    recipients: BTreeMap<String, Recipient>,
    cluster: Cluster,
    now: Timestamp,
    /// Whether everything was read that the operator compiles, so that the documents can be compared with its own.
    whole: bool,
}

/// A holding with its compilation.
#[derive(Debug)]
pub(crate) struct Bound<'a> {
    pub(crate) holding: &'a DataHolding,
    pub(crate) compiled: Compiled,
    /// The digest of the compiled document.
    pub(crate) digest: String,
    comparable: bool,
}

impl Bound<'_> {
    /// Whether the operator has published this very document, as the status of the holding says; none where it says nothing,
    /// or where not everything was read that the document is made of.
    pub(crate) fn is_in_force(&self) -> Option<bool> {
        if !self.comparable {
            return None;
        }
        let published = self.holding.status.as_ref()?.policy.as_ref()?;
        Some(published.digest == self.digest)
    }
}

impl<'a> Place<'a> {
    /// The place that the objects describe; `networks` are given by hand, and take the place of the operator's.
    pub(crate) fn new(objects: &'a Objects, networks: &[IpNet], now: Timestamp) -> Result<Self> {
        let settings = Settings::of(objects.operator.as_ref())?;
        let (namespace, name) = &settings.dns_service;
        let resolvers = objects.service(namespace, name).map(services::addresses).unwrap_or_default();
        let cluster = Cluster {
            networks: if networks.is_empty() { settings.networks } else { networks.to_vec() },
            domain: settings.domain,
            resolvers: resolvers.into_iter().map(|address| SocketAddr::new(address, DNS_PORT)).collect(),
        };
        let named = |recipient: &Recipient| (recipient.name_any(), recipient.clone());
        let told = objects.operator.is_some() && networks.is_empty() && !cluster.resolvers.is_empty();
        let whole = told && objects.rules_known && objects.notes.is_empty();
        Ok(Self { objects, recipients: objects.recipients.iter().map(named).collect(), cluster, now, whole })
    }

    /// The time by which everything is judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The networks of the cluster.
    pub(crate) fn networks(&self) -> &[IpNet] {
        &self.cluster.networks
    }

    /// A recipient by name.
    pub(crate) fn recipient(&self, name: &str) -> Option<&Recipient> {
        self.recipients.get(name)
    }

    /// What has to be said of the answer: what was not known when it was made.
    pub(crate) fn doubts(&self, namespace: &str) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.cluster.networks.is_empty() {
            doubts.push(
                "what is inside the cluster is not known, so every address counts as outside: --cluster-network says it".into(),
            );
        }
        if self.objects.labels_of(namespace).is_none() {
            doubts.push(format!(
                "the labels of the namespace {namespace} are not known, so standards that select by label do not apply"
            ));
        }
        doubts
    }

    /// Whether a standard may apply of which that is not known: it selects by labels of the namespace, and those are not known.
    pub(crate) fn misses_standards(&self, namespace: &str) -> bool {
        let selects = |standard: &shekara_crds::SovereigntyStandard| {
            let selector = &standard.spec.applies_to.namespace_selector;
            !selector.match_labels.is_empty() || !selector.match_expressions.is_empty()
        };
        self.objects.labels_of(namespace).is_none() && self.objects.standards.iter().any(selects)
    }

    /// Compiles a holding.
    pub(crate) fn compile(&self, holding: &'a DataHolding) -> Result<Bound<'a>> {
        let namespace = holding.namespace().unwrap_or_default();
        let unlabelled = BTreeMap::new();
        let listed = holding.spec.in_cluster.iter().filter_map(|listed| {
            let found = self.objects.service(&listed.namespace, &listed.service)?;
            let external_name = services::is_external_name(found);
            Some(ListedService { namespace: listed.namespace.clone(), name: listed.service.clone(), external_name })
        });
        let services: Vec<ListedService> = listed.collect();
        let around = Surroundings {
            standards: &self.objects.standards,
            recipients: &self.recipients,
            namespace_labels: self.objects.labels_of(&namespace).unwrap_or(&unlabelled),
            services: &services,
            cluster: &self.cluster,
            now: self.now,
        };
        let compiled = compile(holding, around);
        let digest = compiled.document.digest().context("the compiled document has no digest")?;
        let comparable = self.whole && self.objects.labels_of(&namespace).is_some();
        Ok(Bound { holding, compiled, digest, comparable })
    }

    /// The cluster addresses of a Service.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<Vec<IpAddr>> {
        self.objects.service(namespace, name).map(services::addresses)
    }
}

/// The documents of a pod in these holdings. None where one of them is missing: then nothing leaves.
pub(crate) fn documents(names: &BTreeSet<String>, bound: &[Bound<'_>]) -> Vec<PolicyDocument> {
    let document = |name: &String| {
        let found = bound.iter().find(|bound| bound.holding.metadata.name.as_ref() == Some(name))?;
        Some(found.compiled.document.clone())
    };
    names.iter().map(document).collect::<Option<Vec<_>>>().unwrap_or_default()
}
