//! Manifests of pods: an application's name, an image, a command.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// The label by which holdings select the pods of an application.
pub const APPLICATION: &str = "app";

/// Whether a holding covers the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cover {
    /// The holdings of the scenario select them.
    Covered,
    /// No holding selects them.
    Free,
}

impl Cover {
    /// The value of the label [`APPLICATION`].
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Covered => "holder",
            Self::Free => "free",
        }
    }
}

/// A manifest of a pod.
#[derive(Clone, Debug)]
pub struct Workload {
    name: String,
    cover: Cover,
    containers: Vec<Value>,
    init_containers: Vec<Value>,
    host_aliases: Vec<Value>,
    restart: &'static str,
    security: Value,
}

impl Workload {
    /// A pod without containers yet.
    #[must_use]
    pub fn new(name: &str, cover: Cover) -> Self {
        Self {
            name: name.to_owned(),
            cover,
            containers: vec![],
            init_containers: vec![],
            host_aliases: vec![],
            restart: "Always",
            security: json!({}),
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// With a container that does nothing by itself.
    #[must_use]
    pub fn idle(self, name: &str, image: &str) -> Self {
        self.container(json!({"name": name, "image": image, "command": ["sleep", "infinity"]}))
    }

    /// With a stock server that starts as its image says, and is ready when it takes connections.
    #[must_use]
    pub fn serving(self, name: &str, image: &str, port: u16) -> Self {
        self.container(json!({
            "name": name, "image": image, "imagePullPolicy": "IfNotPresent",
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        }))
    }

    /// With a container.
    #[must_use]
    pub fn container(mut self, container: Value) -> Self {
        self.containers.push(container);
        self
    }

    /// With an init container.
    #[must_use]
    pub fn init_container(mut self, container: Value) -> Self {
        self.init_containers.push(container);
        self
    }

    /// With a name in its hosts file.
    #[must_use]
    pub fn knowing(mut self, name: &str, address: IpAddr) -> Self {
        self.host_aliases.push(json!({"ip": address, "hostnames": [name]}));
        self
    }

    /// That PodSecurity `restricted` admits: as this user or the image's, without a capability, and without a way to any.
    #[must_use]
    pub fn restricted(mut self, user: Option<u32>) -> Self {
        let strict = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        for container in self.containers.iter_mut().chain(&mut self.init_containers) {
            if let Some(fields) = container.as_object_mut() {
                fields.insert("securityContext".into(), strict.clone());
            }
        }
        self.security = json!({"runAsNonRoot": true, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}});
        self
    }

    /// That runs to its end once.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.restart = "Never";
        self
    }

    /// The template of the pod, as workloads hold it.
    #[must_use]
    pub fn template(&self) -> Value {
        json!({
            "metadata": {"labels": {APPLICATION: self.cover.label(), "workload": self.name}},
            "spec": {
                "containers": self.containers,
                "initContainers": self.init_containers,
                "hostAliases": self.host_aliases,
                "restartPolicy": self.restart,
                "securityContext": self.security,
                // clients that only sleep do not hear SIGTERM
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "volumes": [{"name": "authority", "configMap": {"name": "authority", "optional": true}}],
            }
        })
    }

    /// A bare pod.
    ///
    /// # Errors
    /// When a container is not one.
    pub fn pod(&self) -> Result<Pod> {
        let mut pod: Pod = self.read("Pod", self.template())?;
        pod.metadata.name = Some(self.name.clone());
        Ok(pod)
    }

    /// A workload around the template: the kind's spec is what `spec` makes of the template.
    ///
    /// # Errors
    /// When the outcome is not of the kind.
    pub fn owned_by<K: serde::de::DeserializeOwned>(&self, kind: &str, spec: impl FnOnce(Value) -> Value) -> Result<K> {
        self.read(kind, json!({"metadata": {"name": self.name}, "spec": spec(self.template())}))
    }

    fn read<K: serde::de::DeserializeOwned>(&self, kind: &str, object: Value) -> Result<K> {
        serde_json::from_value(object).with_context(|| format!("the manifest of {} is not a {kind}", self.name))
    }

    /// The labels that its pods have.
    #[must_use]
    pub fn selector(&self) -> Value {
        json!({"matchLabels": {"workload": self.name}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_and_its_deployment_share_the_template() {
        let workload = Workload::new("recognizer", Cover::Covered).idle("client", "image");
        let pod = workload.pod().unwrap();
        assert_eq!(pod.metadata.labels.unwrap()["app"], "holder");
        let deployment: k8s_openapi::api::apps::v1::Deployment =
            workload.owned_by("Deployment", |template| json!({"selector": workload.selector(), "template": template})).unwrap();
        assert_eq!(deployment.spec.unwrap().template.spec.unwrap().containers[0].name, "client");
    }
}
