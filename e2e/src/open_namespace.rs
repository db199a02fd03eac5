//! A namespace beside the scenario's own, in which no pod is covered unless it asks for that.

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::scenario::Scenario;

impl Scenario {
    /// Does something with a namespace that is not protected, and deletes it, whatever came of it.
    ///
    /// # Errors
    /// When the API server refuses it, or what was done failed.
    pub async fn in_open_namespace<T>(&self, body: impl AsyncFnOnce(&str) -> Result<T>) -> Result<T> {
        let namespaces: Api<Namespace> = Api::all(self.kube.clone());
        let name = self.named("open");
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        let outcome = body(&name).await;
        namespaces.delete(&name, &DeleteParams::default()).await?;
        outcome
    }
}
