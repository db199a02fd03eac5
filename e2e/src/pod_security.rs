//! The level of PodSecurity of a scenario's namespace.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::pods::workload::{Cover, Workload};
use crate::scenario::Scenario;

impl Scenario {
    /// Has the namespace enforce a level, which is seen to be in force by what it refuses.
    ///
    /// # Errors
    /// When it is not in force.
    pub async fn enforce_pod_security(&self, level: &str) -> Result<()> {
        let label = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
        let namespaces: Api<Namespace> = Api::all(self.kube.clone());
        namespaces.patch(&self.namespace, &PatchParams::default(), &Patch::Merge(&label)).await?;
        let mut container = self.client_container("client", &["sleep", "infinity"])?;
        if let Some(fields) = container.as_object_mut() {
            fields.insert("securityContext".into(), json!({"capabilities": {"add": ["NET_ADMIN"]}}));
        }
        let pod = Workload::new("able", Cover::Free).container(container).pod()?;
        match self.api::<Pod>().create(&PostParams { dry_run: true, ..PostParams::default() }, &pod).await {
            Err(kube::Error::Api(status)) if status.message.contains(&format!("violates PodSecurity \"{level}")) => Ok(()),
            Err(error) => Err(error).context("the pod is refused for another reason"),
            Ok(_) => bail!("PodSecurity {level} is not in force"),
        }
    }
}
