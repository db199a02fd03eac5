//! What would become of the pods of a template, before anybody makes them.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{Admission, Outcome};

/// Who knows what would become of the pods of a template.
pub(crate) trait Foresight: Send + Sync {
    /// Whether the pods that a workload of this name makes of a template would have the sidecar; a sentence where they would not.
    fn foresees<'a>(&'a self, namespace: &'a str, name: &'a str, template: &'a Value) -> BoxFuture<'a, Result<(), String>>;
}

impl Foresight for Admission {
    fn foresees<'a>(&'a self, namespace: &'a str, name: &'a str, template: &'a Value) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match self.judge(&pod_of(namespace, name, template)?, namespace, true).await {
                Ok(Outcome::Injected { .. }) => Ok(()),
                Ok(Outcome::Refused(refusal)) => Err(refusal.to_string()),
                Ok(Outcome::Untouched { .. }) => Err("no DataHolding covers the pods of its template".to_owned()),
                Err(problem) => Err(problem.to_string()),
            }
        }
        .boxed()
    }
}

/// A pod as a workload of this name makes it of a template.
fn pod_of(namespace: &str, name: &str, template: &Value) -> Result<DynamicObject, String> {
    let text = |field: &str| template.pointer(field).cloned().unwrap_or(Value::Null);
    let metadata = json!({
        "generateName": format!("{name}-"), "namespace": namespace,
        "labels": text("/metadata/labels"), "annotations": text("/metadata/annotations"),
    });
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": text("/spec")});
    serde_json::from_value(pod).map_err(|problem| format!("its template cannot be read: {problem}"))
}
