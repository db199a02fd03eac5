//! Workloads as manifests declare them: the pods that would come of them.

use std::fmt;

use serde_json::{Value, json};

/// A workload of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// The namespace, where the manifest says it.
    pub(crate) namespace: Option<String>,
    /// The pod that would come of it.
    pub(crate) pod: Value,
    /// What leads to the pod's fields in the manifest.
    pub(crate) template: &'static str,
}

impl Workload {
    /// What would run of an object; none where it makes no pods by itself, as what another object made.
    pub(crate) fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let template = match (text("/apiVersion")?, text("/kind")?) {
            ("v1", "Pod") => "",
            ("v1", "PodTemplate") => "template.",
            ("v1", "ReplicationController")
            | ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch/v1", "Job") => "spec.template.",
            ("batch/v1", "CronJob") => "spec.jobTemplate.spec.template.",
            _ => return None,
        };
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
        if owners.into_iter().flatten().any(|owner| owner.get("controller") == Some(&Value::Bool(true))) {
            return None;
        }
        let name = text("/metadata/name").or(text("/metadata/generateName")).unwrap_or_default();
        let at = |field: &str| object.pointer(&format!("/{}", format!("{template}{field}").replace('.', "/"))).cloned();
        let mut metadata = at("metadata").unwrap_or_default();
        if template.is_empty()
            && let Some(fields) = metadata.as_object_mut()
        {
            // of a pod that runs already, which would be created anew
            for settled in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
                fields.remove(settled);
            }
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": at("spec").unwrap_or_default()});
        Some(Self {
            kind: text("/kind")?.to_owned(),
            name: name.to_owned(),
            namespace: text("/metadata/namespace").map(str::to_owned),
            pod,
            template,
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_is_that_of_the_template_wherever_it_stands() {
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"hostNetwork": true}});
        let manifests = [
            ("apps/v1", "Deployment", json!({"template": template})),
            ("batch/v1", "CronJob", json!({"jobTemplate": {"spec": {"template": template}}})),
        ];
        for (version, kind, spec) in manifests {
            let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "w", "namespace": "n"}, "spec": spec});
            let workload = Workload::of(&object).unwrap();
            assert_eq!((workload.to_string(), workload.namespace.as_deref()), (format!("{kind} w"), Some("n")));
            assert_eq!(workload.pod["metadata"]["labels"]["app"], "web");
            assert_eq!(workload.pod["spec"]["hostNetwork"], true);
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-", "uid": "u"}, "spec": {}});
        let workload = Workload::of(&pod).unwrap();
        assert_eq!((workload.name.as_str(), &workload.pod["metadata"]), ("p-", &json!({"generateName": "p-"})));
    }

    #[test]
    fn what_another_object_made_and_what_makes_no_pods_is_none() {
        let owned =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "ownerReferences": [{"controller": true}]}});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}});
        assert!(Workload::of(&owned).is_none() && Workload::of(&service).is_none());
    }
}
