//! Objects from YAML and JSON files, such as an export of a cluster: `kubectl get -o yaml`, lists and several documents a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shekara_crds::closed;

use super::{Answer, OPERATOR, Objects, Request, Workload, answer};
use crate::arguments::Common;

/// The endings of files that are read of a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io/v1";

pub(super) fn read(common: &Common, request: &Request) -> Result<Objects> {
    let mut objects = Objects { rules_known: true, ..Objects::default() };
    for path in &common.from {
        for file in files(path)? {
            let shown = if is_standard_input(&file) { "standard input".into() } else { file.display().to_string() };
            let text = text(&file).with_context(|| format!("{shown} cannot be read"))?;
            let documents = documents(&text).with_context(|| format!("{shown} is neither YAML nor JSON"))?;
            for document in documents.into_iter().flat_map(items) {
                if request.needs.workloads {
                    objects.workloads.extend(Workload::of(&document));
                }
                take(&mut objects, document, common.namespace.as_deref()).with_context(|| shown.clone())?;
            }
        }
    }
    if request.needs.network {
        survey(&mut objects);
    }
    narrow(&mut objects, common);
    Ok(objects)
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The file itself, or the files of a folder and of the folders in it, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if is_standard_input(path) || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let ending = entry.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if entry.is_dir() {
            found.extend(files(&entry)?);
        } else if ENDINGS.contains(&ending) {
            found.push(entry);
        }
    }
    Ok(found)
}

fn text(file: &Path) -> std::io::Result<String> {
    if is_standard_input(file) {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn documents(text: &str) -> Result<Vec<Value>> {
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?);
    }
    // an export of a large cluster is larger than what strangers are allowed to send
    let mut options = serde_saphyr::Options::default();
    options.budget = None;
    Ok(serde_saphyr::from_multiple_with_options(text, options)?)
}

/// The objects of a list, or the object itself. Objects of a typed list may leave out their kind.
fn items(document: Value) -> Vec<Value> {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    match (document, kind.strip_suffix("List")) {
        (Value::Object(mut list), Some(kind)) => {
            let Some(Value::Array(items)) = list.remove("items") else { return vec![] };
            let named = |mut item: Value| {
                if let (Value::Object(fields), false) = (&mut item, kind.is_empty()) {
                    fields.entry("kind").or_insert_with(|| kind.into());
                    fields.entry("apiVersion").or_insert_with(|| version.clone().into());
                }
                item
            };
            items.into_iter().map(named).collect()
        }
        (Value::Array(items), _) => items.into_iter().flat_map(self::items).collect(),
        (Value::Null, _) => vec![],
        (document, _) => vec![document],
    }
}

/// Takes an object of a kind that matters; others are left out in silence, as an export has many.
fn take(objects: &mut Objects, object: Value, namespace: Option<&str>) -> Result<()> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("/apiVersion").to_owned(), text("/kind").to_owned());
    if kind.is_empty() {
        bail!("a document has no kind");
    }
    let name = format!("{kind} {}", text("/metadata/name"));
    let is = |name: &str| text("/metadata/name") == name;
    let (is_operator, is_closed, is_answer) = (is(OPERATOR), is(closed::NAME), is(answer::NAME));
    match (version.as_str(), kind.as_str()) {
        ("shekara.dev/v1alpha1", "DataHolding") => objects.holdings.push(parse(object, &name)?),
        ("shekara.dev/v1alpha1", "SovereigntyStandard") => objects.standards.push(parse(object, &name)?),
        ("shekara.dev/v1alpha1", "Recipient") => objects.recipients.push(parse(object, &name)?),
        ("v1", "Namespace") => objects.namespaces.push(parse(object, &name)?),
        ("v1", "Pod") => objects.pods.get_or_insert_default().push(parse(object, &name)?),
        ("v1", "Service") => objects.services.push(parse(object, &name)?),
        ("v1", "Node") => objects.network.take_node(parse(object, &name)?),
        ("discovery.k8s.io/v1", "EndpointSlice") => objects.network.take_slice(parse(object, &name)?),
        (RBAC, "ClusterRole") => objects.rights.cluster_roles.push(parse(object, &name)?),
        (RBAC, "Role") => objects.rights.roles.push(parse(object, &name)?),
        (RBAC, "ClusterRoleBinding") => objects.rights.cluster_bindings.push(parse(object, &name)?),
        (RBAC, "RoleBinding") => objects.rights.bindings.push(parse(object, &name)?),
        ("v1", "ConfigMap") if is_answer => {
            let map: ConfigMap = parse(object, &name)?;
            match Answer::of(&map) {
                Ok(answer) => drop(objects.answers.insert(map.namespace().unwrap_or_default(), answer)),
                Err(problem) => objects.notes.push(format!("{name} is no answer: {problem}")),
            }
        }
        ("v1", "ConfigMap") if is_closed => objects.take_closed(parse(object, &name)?, namespace),
        ("apps/v1", "Deployment") if is_operator => objects.operator = Some(parse(object, &name)?),
        _ => {}
    }
    Ok(())
}

fn parse<K: DeserializeOwned>(object: Value, name: &str) -> Result<K> {
    serde_json::from_value(object).with_context(|| format!("{name} is not of its kind"))
}

/// Says who is where, in every namespace.
fn survey(objects: &mut Objects) {
    let Objects { network, services, pods, holdings, .. } = objects;
    services.iter().cloned().for_each(|service| network.take_service(service));
    pods.iter().flatten().cloned().for_each(|pod| network.take_pod(pod));
    network.holdings.clone_from(holdings);
    network.close();
}

/// Leaves out what is of other namespaces than the one that is asked for.
fn narrow(objects: &mut Objects, common: &Common) {
    let Some(namespace) = &common.namespace else { return };
    objects.holdings.retain(|holding| holding.namespace().as_ref() == Some(namespace));
    objects.pods.iter_mut().for_each(|pods| pods.retain(|pod| pod.namespace().as_ref() == Some(namespace)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_unfolded_and_their_items_named() {
        let list = r#"{"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "a"}}]}"#;
        let items: Vec<Value> = documents(list).unwrap().into_iter().flat_map(items).collect();
        assert_eq!(items[0]["kind"], "Pod");
        assert_eq!(items[0]["apiVersion"], "v1");
        let yaml = "kind: List\nitems:\n- kind: Namespace\n  apiVersion: v1\n---\nkind: Pod\napiVersion: v1\n---\n";
        assert_eq!(documents(yaml).unwrap().into_iter().flat_map(self::items).count(), 2);
    }

    #[test]
    fn a_document_that_is_no_object_or_not_of_its_kind_is_named() {
        let mut objects = Objects::default();
        assert_eq!(take(&mut objects, serde_json::json!({"a": 1}), None).unwrap_err().to_string(), "a document has no kind");
        let wrong =
            serde_json::json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "Recipient", "metadata": {"name": "r"}, "spec": {}});
        let error = format!("{:#}", take(&mut objects, wrong, None).unwrap_err());
        assert!(error.starts_with("Recipient r is not of its kind: missing field"), "{error}");
        take(&mut objects, serde_json::json!({"kind": "Secret", "apiVersion": "v1"}), None).unwrap();
    }
}
