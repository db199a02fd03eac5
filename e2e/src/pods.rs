//! Pods with real clients.

pub mod copied;
pub mod fleet;
pub mod members;
pub mod watcher;
pub mod workload;

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, ResourceExt as _};
use shekara_crds::COVERED_LABEL;
use shekara_policy::record::FlowRecord;

use crate::exec::talk::Talk;
use crate::exec::{self, Ran};
use crate::records;
use crate::wait::{Seen, now, until};

/// How long a pod may take to become ready: images are on the node already.
pub const START: Duration = Duration::from_secs(120);

/// How long a command of a client may take: longer than any client's own time-out.
const COMMAND: Duration = Duration::from_secs(60);

/// How long a record may take to appear after the flow has ended.
const RECORD: Duration = Duration::from_secs(15);

/// A running pod, and the container in which its commands run.
#[derive(Clone)]
pub struct Client {
    /// The pod's name.
    pub name: String,
    /// The pod's addresses, one of each family that the cluster has.
    pub addresses: Vec<IpAddr>,
    container: String,
    pods: Api<Pod>,
}

impl Client {
    /// Waits until the pod is ready, and takes the first of its application's containers.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn ready(pods: &Api<Pod>, name: &str) -> Result<Self> {
        let pod = until(&format!("pod {name} is ready"), START, async || {
            let pod = pods.get(name).await?;
            Ok(Seen::some_or(is_ready(&pod).then(|| pod.clone()), crate::diagnose::pod(&pod)))
        })
        .await?;
        Self::of(pods, &pod)
    }

    /// A pod that runs.
    ///
    /// # Errors
    /// When it has no container of an application, or no address.
    pub fn of(pods: &Api<Pod>, pod: &Pod) -> Result<Self> {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let own = containers.map(|container| container.name.clone()).find(|name| name != records::SIDECAR);
        Ok(Self {
            name: pod.name_any(),
            addresses: addresses(pod)?,
            container: own.context("the pod has no container of an application")?,
            pods: pods.clone(),
        })
    }

    /// The pod's IPv4 address.
    ///
    /// # Errors
    /// When it has none.
    pub fn v4(&self) -> Result<IpAddr> {
        self.addresses.iter().find(|address| address.is_ipv4()).copied().context("the pod has no IPv4 address")
    }

    /// The same pod, with commands in another of its containers.
    #[must_use]
    pub fn container(&self, name: &str) -> Self {
        Self { container: name.to_owned(), ..self.clone() }
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it cannot be started or does not end. A command that ends with another code than 0 is no error.
    pub async fn run(&self, command: &[impl AsRef<str> + Sync]) -> Result<Ran> {
        self.run_within(COMMAND, command).await
    }

    /// Runs a command that may take so long.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_within(&self, limit: Duration, command: &[impl AsRef<str> + Sync]) -> Result<Ran> {
        exec::run(&self.pods, &self.name, &self.container, command, limit).await
    }

    /// Runs a program of Python.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn python(&self, program: &str) -> Result<Ran> {
        self.run(&["python3", "-c", program]).await
    }

    /// Starts a program of Python whose lines are read while it runs.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn talk(&self, program: &str) -> Result<Talk> {
        Talk::new(exec::start(&self.pods, &self.name, &self.container, &["python3", "-u", "-c", program]).await?)
    }

    /// Asserts that the pod and the test read the clock of one machine, so that their times can be compared.
    ///
    /// # Errors
    /// When the pod's clock says another time.
    pub async fn has_our_clock(&self) -> Result<()> {
        let before = now()?;
        let there: f64 = self.python("import time\nprint(time.time())").await?.success()?.trim().parse()?;
        let after = now()?;
        anyhow::ensure!(before <= there && there <= after, "the pod's clock says {there}, between {before} and {after} of ours");
        Ok(())
    }

    /// What a container of the pod wrote so far.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn log(&self, container: &str) -> Result<String> {
        let parameters = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
        Ok(self.pods.logs(&self.name, &parameters).await?)
    }

    /// The pod as the API server has it now.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn object(&self) -> Result<Pod> {
        Ok(self.pods.get(&self.name).await?)
    }

    /// The sidecar's records so far.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn records(&self) -> Result<Vec<FlowRecord>> {
        records::read(&self.pods, &self.name).await
    }

    /// Waits for a record, which is written when its flow has ended.
    ///
    /// # Errors
    /// When none comes; the message lists those that came.
    pub async fn record(&self, what: &str, is_it: impl Fn(&FlowRecord) -> bool) -> Result<FlowRecord> {
        until(&format!("record of {what} in {}", self.name), RECORD, async || {
            let records = self.records().await?;
            let found = records.iter().rev().find(|record| is_it(record)).cloned();
            Ok(found.map_or_else(
                || Seen::NotYet(records.iter().map(|record| format!("\n    {}", records::line(record))).collect()),
                Seen::Yes,
            ))
        })
        .await
    }
}

/// Whether the pod is ready.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether admission has covered the pod: it has the sidecar, and the label of those that have.
#[must_use]
pub fn is_injected(pod: &Pod) -> bool {
    let mut init = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    init.any(|container| container.name == records::SIDECAR)
        && pod.labels().get(COVERED_LABEL).is_some_and(|value| value == "true")
}

/// The addresses of a pod that runs.
///
/// # Errors
/// When it has none.
pub fn addresses(pod: &Pod) -> Result<Vec<IpAddr>> {
    let listed = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    let addresses: Vec<IpAddr> = listed.filter_map(|address| address.ip.parse().ok()).collect();
    anyhow::ensure!(!addresses.is_empty(), "pod {} has no address", pod.name_any());
    Ok(addresses)
}
