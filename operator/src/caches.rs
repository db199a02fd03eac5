//! Every cache, and how they are kept up to date.

use std::net::SocketAddr;
use std::sync::Arc;

use kube::api::Api;
use kube::core::DeserializeGuard;
use shekara_crds::network::{NodeSummary, ServiceSummary, SliceSummary};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::policy_files::PolicyFile;
use crate::run::Supervisor;
use crate::watch::{self, Cache, Cached, Change, Key, NamespaceLabels, PodSummary};

const DNS_PORT: u16 = 53;

/// What the API server says, by kind.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) holdings: Arc<Cache<DataHolding>>,
    pub(crate) recipients: Arc<Cache<Recipient>>,
    pub(crate) standards: Arc<Cache<SovereigntyStandard>>,
    pub(crate) namespaces: Arc<Cache<NamespaceLabels>>,
    pub(crate) services: Arc<Cache<ServiceSummary>>,
    pub(crate) slices: Arc<Cache<SliceSummary>>,
    pub(crate) nodes: Arc<Cache<NodeSummary>>,
    pub(crate) pods: Arc<Cache<PodSummary>>,
    pub(crate) policy_files: Arc<Cache<PolicyFile>>,
}

impl Caches {
    /// Starts the watches; what changes by them comes out of the receiver.
    pub(crate) fn follow(
        &self,
        client: &kube::Client,
        metrics: &Arc<Metrics>,
        supervisor: &mut Supervisor,
    ) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        follow(&self.holdings, client, &sender, metrics, supervisor);
        follow(&self.recipients, client, &sender, metrics, supervisor);
        follow(&self.standards, client, &sender, metrics, supervisor);
        follow(&self.namespaces, client, &sender, metrics, supervisor);
        follow(&self.services, client, &sender, metrics, supervisor);
        follow(&self.slices, client, &sender, metrics, supervisor);
        follow(&self.nodes, client, &sender, metrics, supervisor);
        follow(&self.pods, client, &sender, metrics, supervisor);
        follow(&self.policy_files, client, &sender, metrics, supervisor);
        receiver
    }

    /// The resolvers of the cluster: the addresses of its DNS Service, the preferred family first.
    pub(crate) fn resolvers(&self, config: &Config) -> Vec<SocketAddr> {
        let (namespace, name) = &config.dns_service;
        let service = self.services.get(&Key::new(namespace, name));
        service.iter().flat_map(|service| &service.addresses).map(|address| SocketAddr::new(*address, DNS_PORT)).collect()
    }

    /// Whether every cache holds its first complete listing.
    pub(crate) fn are_synced(&self) -> bool {
        let declared = self.holdings.is_synced() && self.recipients.is_synced() && self.standards.is_synced();
        let network = self.services.is_synced() && self.slices.is_synced() && self.nodes.is_synced();
        declared && network && self.policy_files.is_synced() && self.namespaces.is_synced() && self.pods.is_synced()
    }

    /// Waits until every cache holds its first complete listing.
    pub(crate) async fn wait_until_synced(&self) {
        self.holdings.wait_until_synced().await;
        self.recipients.wait_until_synced().await;
        self.standards.wait_until_synced().await;
        self.namespaces.wait_until_synced().await;
        self.services.wait_until_synced().await;
        self.slices.wait_until_synced().await;
        self.nodes.wait_until_synced().await;
        self.pods.wait_until_synced().await;
        self.policy_files.wait_until_synced().await;
    }
}

fn follow<V: Cached>(
    cache: &Arc<Cache<V>>,
    client: &kube::Client,
    changes: &mpsc::UnboundedSender<Change>,
    metrics: &Arc<Metrics>,
    supervisor: &mut Supervisor,
) {
    let api: Api<DeserializeGuard<V::Object>> = Api::all(client.clone());
    let followed = watch::follow(api, Arc::clone(cache), changes.clone(), Arc::clone(metrics));
    supervisor.start(V::KIND.as_str(), followed);
}
