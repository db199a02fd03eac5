//! A pod that sees the processes of a node: what the kernel says of the others, and what is done in their networks from outside.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, SecurityContext};
use kube::api::PostParams;

use super::Client;
use super::workload::Cover;
use crate::records::SIDECAR;
use crate::scenario::Scenario;

/// A privileged pod with the node's processes, which no holding covers.
pub struct Watcher(Client);

impl Watcher {
    /// Starts one on the node of a pod.
    ///
    /// # Errors
    /// When it is refused, or does not become ready.
    pub async fn beside(scenario: &Scenario, client: &Client) -> Result<Self> {
        let node = client.object().await?.spec.and_then(|spec| spec.node_name).context("the pod has no node")?;
        let mut pod = scenario.client_manifest("watcher", Cover::Free)?.pod()?;
        let spec = pod.spec.as_mut().context("the manifest has no spec")?;
        (spec.node_name, spec.host_pid) = (Some(node), Some(true));
        for container in &mut spec.containers {
            container.security_context = Some(SecurityContext { privileged: Some(true), ..SecurityContext::default() });
        }
        let api = scenario.api::<Pod>();
        api.create(&PostParams::default(), &pod).await.context("the watcher is refused")?;
        Ok(Self(Client::ready(&api, "watcher").await?))
    }

    /// The anonymous memory of a pod's sidecar in KiB, as the node's kernel counts it.
    ///
    /// # Errors
    /// When the pod has no sidecar.
    pub async fn anonymous_memory(&self, client: &Client) -> Result<u64> {
        let process = self.process(client, SIDECAR).await?;
        let program =
            format!("import re\nprint(re.search(r'RssAnon:\\s+(\\d+) kB', open('/proc/{process}/status').read())[1])\n");
        let found = self.0.python(&program).await?.success()?;
        found.trim().parse().with_context(|| format!("not a number: {found:?}"))
    }

    /// Runs a command in the network of a pod, with all capabilities.
    ///
    /// # Errors
    /// When it fails.
    pub async fn in_network_of(&self, client: &Client, command: &[&str]) -> Result<String> {
        let process = self.process(client, &client.container).await?;
        let namespace = format!("--net=/proc/{process}/ns/net");
        let command: Vec<&str> = ["nsenter", &namespace].into_iter().chain(command.iter().copied()).collect();
        self.0.run(&command).await?.success()
    }

    /// Kills the first process of a container, which gets no moment for anything.
    ///
    /// # Errors
    /// When the container does not run.
    pub async fn kill(&self, client: &Client, container: &str) -> Result<()> {
        let process = self.process(client, container).await?.to_string();
        self.0.run(&["kill", "-9", &process]).await?.success().map(drop)
    }

    /// The number of the first process of a container, as the node counts.
    async fn process(&self, client: &Client, container: &str) -> Result<u64> {
        let status = client.object().await?.status.unwrap_or_default();
        let init = status.init_container_statuses.into_iter().flatten();
        let mut containers = init.chain(status.container_statuses.into_iter().flatten());
        let id = containers.find(|status| status.name == container).and_then(|status| status.container_id);
        let id = id.with_context(|| format!("{} has no container {container} that runs", client.name))?;
        let (_, id) = id.split_once("://").with_context(|| format!("{id} is not the name of a container"))?;
        let program = format!(
            "import glob\n\
             found = []\n\
             for file in glob.glob('/proc/[0-9]*/cgroup'):\n\
             \x20   try:\n\
             \x20       if '{id}' in open(file).read(): found.append(int(file.split('/')[2]))\n\
             \x20   except (FileNotFoundError, ProcessLookupError): pass\n\
             print(min(found))\n"
        );
        let found = self.0.python(&program).await?.success()?;
        found.trim().parse().with_context(|| format!("not a number: {found:?}"))
    }
}
