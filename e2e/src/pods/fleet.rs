//! Many covered pods.

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, Toleration};
use kube::api::PostParams;

use super::Client;
use super::workload::Cover;
use crate::cluster::CONTROL_PLANE;
use crate::measure;
use crate::scenario::Scenario;
use crate::wait::now;

/// How many pods start at once: on two processors more of them start no faster, and each one later.
const AT_ONCE: usize = 8;

impl Scenario {
    /// Starts so many covered pods with clients, on every node, and waits until the holding `faces` is enforced in all of them.
    ///
    /// # Errors
    /// When one is refused or does not become ready, or the holding is not enforced in exactly these.
    pub async fn fleet(&self, number: usize) -> Result<Vec<Client>> {
        let begin = now()?;
        let starts = stream::iter(0..number).map(|number| self.member_of_fleet(number));
        let mut pods: Vec<Client> = starts.buffer_unordered(AT_ONCE).try_collect().await?;
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        self.enforcing(i64::try_from(number)?).await?;
        measure::print(&format!("until the holding was enforced in {number} pods"), format_args!("{:.1} s", now()? - begin));
        Ok(pods)
    }

    async fn member_of_fleet(&self, number: usize) -> Result<Client> {
        let name = format!("fleet-{number:02}");
        let pod = on_every_node(self.client_manifest(&name, Cover::Covered)?.pod()?)?;
        let api = self.api::<Pod>();
        api.create(&PostParams::default(), &pod).await.with_context(|| format!("{name} is refused"))?;
        Client::ready(&api, &name).await
    }
}

/// The pod, where it may run on the control plane too: the worker alone has no room for what the injected containers of many ask for.
///
/// # Errors
/// When the pod has no spec.
pub fn on_every_node(mut pod: Pod) -> Result<Pod> {
    let spec = pod.spec.as_mut().context("the manifest has no spec")?;
    spec.tolerations =
        Some(vec![Toleration { key: Some(CONTROL_PLANE.into()), operator: Some("Exists".into()), ..Toleration::default() }]);
    Ok(pod)
}
