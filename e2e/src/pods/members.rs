//! Members of a StatefulSet, which find each other by their names.

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::workload::Workload;
use super::{Client, START};
use crate::scenario::Scenario;
use crate::wait::{Seen, until};

impl Scenario {
    /// Starts so many members of a workload at once, which serve on a port, and waits until all are ready. The first is `NAME-0`;
    /// [`Self::member_host`] is how each is found.
    ///
    /// # Errors
    /// When something is refused, or one does not become ready.
    pub async fn members(&self, workload: &Workload, port: u16, number: usize) -> Result<Vec<Client>> {
        let name = workload.name();
        // a name for each member from its first moment on, ready or not: they look for each other while they start
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"clusterIP": "None", "publishNotReadyAddresses": true, "selector": {"workload": name}, "ports": [{"port": port}]},
        }))?;
        self.api::<Service>().create(&PostParams::default(), &service).await.context("the Service is refused")?;
        let set: StatefulSet = workload.owned_by("StatefulSet", |template| {
            json!({"replicas": number, "serviceName": name, "podManagementPolicy": "Parallel", "selector": workload.selector(), "template": template})
        })?;
        self.api::<StatefulSet>().create(&PostParams::default(), &set).await.context("the StatefulSet is refused")?;
        let (pods, names) = (self.api::<Pod>(), (0..number).map(|number| format!("{name}-{number}")));
        try_join_all(names.map(|name| member(pods.clone(), name))).await
    }

    /// The name by which a member of a workload is found in the whole cluster.
    #[must_use]
    pub fn member_host(&self, workload: &str, member: &str) -> String {
        format!("{member}.{workload}.{}.svc.cluster.local", self.namespace)
    }
}

async fn member(pods: Api<Pod>, name: String) -> Result<Client> {
    let what = format!("there is the member {name}");
    until(&what, START, async || Ok(Seen::some_or(pods.get_opt(&name).await?.map(drop), "none"))).await?;
    Client::ready(&pods, &name).await
}
