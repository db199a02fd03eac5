//! What is changed in a covered pod, as a JSON patch: a pure function of the pod, its holdings and the settings.

use std::collections::{BTreeMap, BTreeSet};

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};
use serde_json::{Map, Value, json};

use super::containers::{FILES_VOLUME, RESERVED, Settings, containers, files_volume, packet_filter, same, token_volume};
use super::probes::{self, Rewritten};
use super::refusal::{Fault, Faults, Refusal};
use super::resources::{Raised, fitted, keep_others, raised};
use super::setting::Setting;
use super::{forbidden, restricted};
use crate::pods::{INIT, PROXY, VERIFY};
use crate::{COVERED_LABEL, HOLDINGS_ANNOTATION};
use shekara_policy::packet_filter::ANNOTATION;

/// The capabilities that no application keeps: with the first two it could leave past the sidecar, with the third it could take
/// them. The others stay, so that images which start as root and change their user run as before.
const DROPPED: [&str; 3] = ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"];

/// What annotations begin with that name the profile of AppArmor of a container, as before Kubernetes 1.30: the API server still writes what
/// they say into the container.
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// Puts the sidecar into a pod that these holdings cover. A pod that is as it should be gets an empty patch.
///
/// # Errors
/// When the pod has what a covered pod may not have; every such field is named.
pub fn inject(pod: &Value, holdings: &BTreeSet<String>, settings: &Settings) -> Result<Patch, Refusal> {
    let typed: Pod = serde_json::from_value(pod.clone()).map_err(|problem| unreadable(holdings, problem))?;
    let spec = typed.spec.unwrap_or_default();
    let mut faults = Faults::default();
    let Rewritten { asked, handlers } = probes::rewrite(&spec, &mut faults);
    let annotations = typed.metadata.annotations.unwrap_or_default();
    let settings = &Settings { resources: resources(settings, &spec, &annotations, &mut faults), ..settings.clone() };
    let mut ours = containers(settings, holdings, &asked, imposes_a_profile(&spec));
    let standing = Standing::of(pod, &ours);
    standing.keep_amounts(pod, &mut ours);
    check(&spec, &standing, settings, &mut faults);
    faults.into_result(holdings)?;

    let mut edit = Edit::of(pod);
    lead_to_sidecar(&mut edit, handlers);
    if !standing.is_in_place(pod, &ours) {
        standing.take_out(&mut edit);
        put_in(&mut edit, &ours);
    }
    raise(&mut edit, &spec, &settings.resources, &standing);
    confine(&mut edit, ours.len());
    let files = files_volume(holdings);
    if let Some(index) = standing.files.filter(|index| edit.get(&format!("/spec/volumes/{index}")) != Some(&files)) {
        // of an earlier call that saw other holdings
        edit.remove(&format!("/spec/volumes/{index}"));
        edit.add(&format!("/spec/volumes/{index}"), files.clone());
    }
    edit.list("/spec/volumes");
    for (missing, volume) in [(standing.token.is_none(), token_volume()), (standing.files.is_none(), files)] {
        if missing {
            edit.add("/spec/volumes/-", volume);
        }
    }
    edit.object("/metadata/labels");
    edit.put("/metadata/labels", COVERED_LABEL, json!("true"));
    edit.object("/metadata/annotations");
    let names: Vec<&str> = holdings.iter().map(String::as_str).collect();
    edit.put("/metadata/annotations", HOLDINGS_ANNOTATION, json!(names.join(",")));
    for name in [INIT, PROXY, VERIFY] {
        edit.take("/metadata/annotations", &format!("{APP_ARMOR}{name}"));
    }
    match packet_filter(settings) {
        // what cannot be written would have to be a number that is none
        Some(filter) => edit.put("/metadata/annotations", ANNOTATION, json!(filter.to_json().unwrap_or_default())),
        None => edit.take("/metadata/annotations", ANNOTATION),
    }
    edit.into_patch(pod).map_err(|problem| unreadable(holdings, problem))
}

/// What each of ours may use in this pod, by the containers that are its own.
fn resources(
    settings: &Settings,
    spec: &PodSpec,
    annotations: &BTreeMap<String, String>,
    faults: &mut Faults,
) -> ResourceRequirements {
    let own = |container: &&Container| !container.name.starts_with(RESERVED);
    let applications = spec.init_containers.iter().flatten().chain(&spec.containers).filter(own);
    fitted(&settings.resources, spec.resources.as_ref(), applications, annotations, &settings.room, faults)
}

/// Whether the pod gives a profile of AppArmor to all containers that have none of their own: it was not made for ours.
fn imposes_a_profile(spec: &PodSpec) -> bool {
    let profile = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    profile.is_some_and(|profile| profile.type_ != "Unconfined")
}

fn unreadable(holdings: &BTreeSet<String>, problem: impl std::fmt::Display) -> Refusal {
    let fault = Fault { field: "spec".into(), sentence: format!("it cannot be read, so nothing can be said of it: {problem}") };
    Refusal { holdings: holdings.clone(), faults: vec![fault] }
}

/// What of ours is in the pod already, from an earlier call of the webhook for the same pod.
struct Standing {
    /// The places of our containers among the init containers.
    containers: Vec<usize>,
    /// The place of the volume with the token.
    token: Option<usize>,
    /// The place of the volume with the documents.
    files: Option<usize>,
}

impl Standing {
    fn of(pod: &Value, ours: &[Value]) -> Self {
        let list = |path: &str| pod.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_ours = |container: &Value| ours.iter().any(|ours| same(container, ours));
        let found = list("/spec/initContainers").iter().enumerate().filter(|(_, container)| is_ours(container));
        Self {
            containers: found.map(|(index, _)| index).collect(),
            token: list("/spec/volumes").iter().position(|volume| *volume == token_volume()),
            files: list("/spec/volumes").iter().position(is_files),
        }
    }

    /// Whether our containers are the first, in their order, and exactly as they are to be.
    fn is_in_place(&self, pod: &Value, ours: &[Value]) -> bool {
        let first = |index: usize| pod.pointer(&format!("/spec/initContainers/{index}"));
        self.containers.len() == ours.len() && ours.iter().enumerate().all(|(index, ours)| first(index) == Some(ours))
    }

    /// Leaves to our containers the amounts that stand there of resources of which we say nothing.
    fn keep_amounts(&self, pod: &Value, ours: &mut [Value]) {
        let standing = self.containers.iter().filter_map(|index| pod.pointer(&format!("/spec/initContainers/{index}")));
        for container in ours {
            if let Some(standing) = standing.clone().find(|standing| standing.get("name") == container.get("name")) {
                keep_others(container, standing);
            }
        }
    }

    fn take_out(&self, edit: &mut Edit) {
        for index in self.containers.iter().rev() {
            edit.remove(&format!("/spec/initContainers/{index}"));
        }
    }
}

/// Whether a volume is ours, for whichever holdings.
fn is_files(volume: &Value) -> bool {
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let paths = sources.into_iter().flatten().filter_map(|source| source.pointer("/configMap/items/0/path")?.as_str());
    let holdings = paths.filter_map(|path| path.strip_suffix(".json")).map(str::to_owned).collect();
    volume.get("name").is_some_and(|name| name == FILES_VOLUME) && *volume == files_volume(&holdings)
}

fn check(spec: &PodSpec, standing: &Standing, settings: &Settings, faults: &mut Faults) {
    forbidden::spec(spec, &[standing.token, standing.files], faults);
    let before = spec.init_containers.iter().flatten().enumerate().filter(|(index, _)| !standing.containers.contains(index));
    let before = before.map(|(index, container)| (format!("spec.initContainers[{index}]"), container));
    let own = before
        .chain(spec.containers.iter().enumerate().map(|(index, container)| (format!("spec.containers[{index}]"), container)));
    for (path, container) in own.clone() {
        forbidden::container(container, &path, settings.datagrams.len(), faults);
    }
    if settings.setting == Setting::NodeByUser {
        restricted::containers(spec, own, faults);
    }
}

/// The kubelet asks the sidecar in place of the applications, at the places that the containers have in the pod as it came.
fn lead_to_sidecar(edit: &mut Edit, handlers: Vec<(String, Value)>) {
    for (path, instead) in handlers {
        for other in ["tcpSocket", "grpc"].map(|kind| format!("{path}/{kind}")) {
            if edit.get(&other).is_some() {
                edit.remove(&other);
            }
        }
        edit.add(&format!("{path}/httpGet"), instead);
    }
}

/// Our containers before all others.
fn put_in(edit: &mut Edit, ours: &[Value]) {
    edit.list("/spec/initContainers");
    for (index, container) in ours.iter().enumerate() {
        edit.add(&format!("/spec/initContainers/{index}"), container.clone());
    }
}

/// What the pod says of itself as a whole, with ours.
fn raise(edit: &mut Edit, spec: &PodSpec, ours: &ResourceRequirements, standing: &Standing) {
    let Some(of_pod) = &spec.resources else { return };
    let mut proxies = spec.init_containers.iter().flatten().enumerate();
    let proxy = proxies.find(|(index, container)| container.name == PROXY && standing.containers.contains(index));
    for Raised { list, name, amount } in raised(of_pod, ours, proxy.and_then(|(_, proxy)| proxy.resources.as_ref())) {
        edit.put(&format!("/spec/resources/{list}"), name, json!(amount));
    }
}

/// Takes the capabilities from every container behind ours, and gives the pod a seccomp profile where it has none.
fn confine(edit: &mut Edit, ours: usize) {
    edit.object("/spec/securityContext");
    if edit.get("/spec/securityContext/seccompProfile").is_none() {
        edit.add("/spec/securityContext/seccompProfile", json!({"type": "RuntimeDefault"}));
    }
    for (list, first) in [("/spec/initContainers", ours), ("/spec/containers", 0)] {
        for index in first..edit.length(list) {
            let context = format!("{list}/{index}/securityContext");
            edit.object(&context);
            edit.object(&format!("{context}/capabilities"));
            let drop = format!("{context}/capabilities/drop");
            edit.list(&drop);
            let dropped: Vec<String> = edit.texts(&drop);
            let missing = DROPPED.iter().filter(|name| !dropped.iter().any(|dropped| drops(dropped, name)));
            for name in missing.copied().collect::<Vec<_>>() {
                edit.add(&format!("{drop}/-"), json!(name));
            }
        }
    }
}

/// Whether a container runtime takes the capability away by this word. Only the names as the API writes them count: containerd puts
/// `CAP_` before whatever is said, so that `CAP_NET_RAW` takes nothing away.
fn drops(dropped: &str, name: &str) -> bool {
    dropped == "ALL" || dropped == name
}

/// A pod under change, with the operations that led there.
struct Edit {
    pod: Value,
    operations: Vec<PatchOperation>,
    broken: Option<String>,
}

impl Edit {
    fn of(pod: &Value) -> Self {
        Self { pod: pod.clone(), operations: vec![], broken: None }
    }

    fn get(&self, path: &str) -> Option<&Value> {
        self.pod.pointer(path).filter(|value| !value.is_null())
    }

    fn length(&self, path: &str) -> usize {
        self.get(path).and_then(Value::as_array).map_or(0, Vec::len)
    }

    fn texts(&self, path: &str) -> Vec<String> {
        let list = self.get(path).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Sees to it that there is a list.
    fn list(&mut self, path: &str) {
        if self.get(path).is_none() {
            self.add(path, json!([]));
        }
    }

    /// Sees to it that there is an object.
    fn object(&mut self, path: &str) {
        if self.get(path).is_none() {
            self.add(path, Value::Object(Map::new()));
        }
    }

    /// Sets a member of an object, whose name may have any characters.
    fn put(&mut self, path: &str, name: &str, value: Value) {
        let name = name.replace('~', "~0").replace('/', "~1");
        self.add(&format!("{path}/{name}"), value);
    }

    /// Removes a member of an object where it is there.
    fn take(&mut self, path: &str, name: &str) {
        let name = name.replace('~', "~0").replace('/', "~1");
        let path = format!("{path}/{name}");
        if self.pod.pointer(&path).is_some() {
            self.remove(&path);
        }
    }

    fn add(&mut self, path: &str, value: Value) {
        if let Some(path) = self.pointer(path) {
            self.apply(PatchOperation::Add(AddOperation { path, value }));
        }
    }

    fn remove(&mut self, path: &str) {
        if let Some(path) = self.pointer(path) {
            self.apply(PatchOperation::Remove(RemoveOperation { path }));
        }
    }

    fn pointer(&mut self, path: &str) -> Option<PointerBuf> {
        PointerBuf::parse(path).map_err(|problem| self.broken = Some(problem.to_string())).ok()
    }

    fn apply(&mut self, operation: PatchOperation) {
        match json_patch::patch(&mut self.pod, std::slice::from_ref(&operation)) {
            Ok(()) => self.operations.push(operation),
            Err(problem) => self.broken = Some(problem.to_string()),
        }
    }

    /// The operations; none where they lead back to the pod as it was.
    fn into_patch(self, before: &Value) -> Result<Patch, String> {
        if let Some(problem) = self.broken {
            return Err(problem);
        }
        Ok(Patch(if self.pod == *before { vec![] } else { self.operations }))
    }
}

#[cfg(test)]
mod tests;
