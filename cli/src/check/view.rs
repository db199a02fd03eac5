//! What was checked as a value: a pure function of the objects. Its form is stable, and docs/cli.md describes it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use shekara_crds::injection::Fault;
use shekara_crds::{DataHolding, PROTECT_LABEL};

use super::judge::{Outcome, Platform, judge};
use crate::arguments::Common;
use crate::objects::{Objects, Workload};
use crate::text::{Cell, Text, Tone};
use crate::words::list;

/// The namespace of what says none.
const DEFAULT: &str = "default";

/// What would become of all workloads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Check {
    kind: &'static str,
    admitted: bool,
    workloads: Vec<Checked>,
    /// On what the answer rests.
    warnings: Vec<String>,
}

/// What would become of the pods of a workload.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Checked {
    namespace: String,
    kind: String,
    name: String,
    /// `Covered`, `Untouched` or `Refused`.
    outcome: &'static str,
    holdings: BTreeSet<String>,
    /// What would be changed, in words.
    changes: Vec<String>,
    /// The same as a JSON patch (RFC 6902) of the pod.
    patch: Value,
    /// Why it would be refused, by field of the manifest.
    faults: Vec<Fault>,
    warning: Option<String>,
}

impl Check {
    pub(super) fn of(objects: &Objects, common: &Common, platform: &Platform) -> Result<Self> {
        let protected: BTreeMap<String, String> = [(PROTECT_LABEL.to_owned(), "true".to_owned())].into();
        let (mut workloads, mut unknown) = (vec![], BTreeSet::new());
        for workload in &objects.workloads {
            let namespace = workload.namespace.as_ref().or(common.namespace.as_ref()).map_or(DEFAULT, String::as_str);
            if common.namespace.as_ref().is_some_and(|wanted| wanted != namespace) {
                continue;
            }
            let labels = objects.labels_of(namespace).unwrap_or_else(|| {
                unknown.insert(namespace.to_owned());
                &protected
            });
            let holdings: Vec<&DataHolding> = objects.holdings_in(namespace).collect();
            workloads.push(Checked::of(workload, namespace, judge(workload, labels, &holdings, platform)?));
        }
        workloads.sort_by(|one, other| (&one.namespace, &one.kind, &one.name).cmp(&(&other.namespace, &other.kind, &other.name)));
        let mut warnings: Vec<String> = unknown
            .into_iter()
            .map(|namespace| {
                format!("the namespace {namespace} is not in the files: it is taken for one with the label {PROTECT_LABEL}=true")
            })
            .collect();
        if objects.holdings.is_empty() {
            warnings.push("no DataHolding is in the files, so none covers anything".into());
        }
        let admitted = workloads.iter().all(|workload| workload.faults.is_empty());
        Ok(Self { kind: "Check", admitted, workloads, warnings })
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted
    }

    pub(super) fn text(&self) -> Text {
        let mut text = Text::default();
        let row = |workload: &Checked| {
            let tone = if workload.faults.is_empty() { Tone::Good } else { Tone::Bad };
            let name = format!("{} {}", workload.kind, workload.name);
            vec![
                workload.namespace.clone().into(),
                name.into(),
                Cell::new(workload.outcome, tone),
                list(&workload.holdings).into(),
            ]
        };
        let rows = self.workloads.iter().map(row).collect();
        text.table(&["NAMESPACE", "WORKLOAD", "OUTCOME", "HOLDINGS"], rows);
        if self.workloads.is_empty() {
            text.line("No workload is in the files.");
        }
        for workload in &self.workloads {
            let said = workload.faults.iter().map(Fault::to_string);
            let said: Vec<String> = said.chain(workload.changes.iter().cloned()).collect();
            if !said.is_empty() || workload.warning.is_some() {
                text.gap().heading(format!("{} {} in {}", workload.kind, workload.name, workload.namespace));
            }
            for line in said {
                text.line(format!("  {line}"));
            }
            if let Some(warning) = &workload.warning {
                text.say(Cell::new("  warning: ", Tone::Doubtful)).line(warning);
            }
        }
        for warning in &self.warnings {
            text.gap().say(Cell::new("warning: ", Tone::Doubtful)).line(warning);
        }
        text
    }
}

impl Checked {
    fn of(workload: &Workload, namespace: &str, outcome: Outcome) -> Self {
        let empty = Self {
            namespace: namespace.to_owned(),
            kind: workload.kind.clone(),
            name: workload.name.clone(),
            outcome: "Untouched",
            holdings: BTreeSet::new(),
            changes: vec![],
            patch: Value::Null,
            faults: vec![],
            warning: None,
        };
        match outcome {
            Outcome::Untouched => empty,
            Outcome::Covered { holdings, patch, warning } => {
                Self { outcome: "Covered", holdings, changes: changes(&workload.pod, &patch), patch, warning, ..empty }
            }
            Outcome::Refused(refusal) => {
                let fault = |fault: Fault| Fault { field: format!("{}{}", workload.template, fault.field), ..fault };
                Self {
                    outcome: "Refused",
                    holdings: refusal.holdings,
                    faults: refusal.faults.into_iter().map(fault).collect(),
                    ..empty
                }
            }
        }
    }
}

/// The operations of a patch in words, each once.
fn changes(pod: &Value, patch: &Value) -> Vec<String> {
    let mut changes: Vec<String> = Vec::new();
    for operation in patch.as_array().into_iter().flatten() {
        let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        let named = || operation.pointer("/value/name").and_then(Value::as_str);
        let path: Vec<&str> = text("path").split('/').skip(1).collect();
        let change = match path.as_slice() {
            ["spec", "initContainers", _] => named().map(|name| format!("the init container {name} is put before all others")),
            ["spec", "volumes", _] => named().map(|name| format!("the volume {name} is added")),
            ["spec", "securityContext", "seccompProfile"] => Some("the seccomp profile of the pod is RuntimeDefault".to_owned()),
            ["spec", list, index, "securityContext", "capabilities", "drop", "-"] => {
                Some(format!("{} loses NET_ADMIN, NET_RAW and SYS_ADMIN where it had them", container(pod, list, index)))
            }
            ["spec", list, index, fields @ .., "httpGet"] => Some(format!(
                "{} of {} asks the sidecar, which asks the application",
                fields.join("."),
                container(pod, list, index)
            )),
            _ => None,
        };
        changes.extend(change.filter(|change| !changes.contains(change)));
    }
    changes
}

/// A container of the pod as it came, or as many places further on as containers were put before it.
fn container(pod: &Value, list: &str, index: &str) -> String {
    let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
    let put_in = if list == "initContainers" { 3 } else { 0 };
    let number = index.parse::<usize>().ok();
    let name = |number: usize| containers?.get(number)?.get("name")?.as_str();
    // probes are changed before anything is put in, capabilities after it
    let name = number.and_then(|number| number.checked_sub(put_in).and_then(name).or_else(|| name(number)));
    name.map_or_else(|| format!("{list}[{index}]"), |name| format!("the container {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_said_once_and_by_the_container_that_they_concern() {
        let pod = json!({"spec": {"initContainers": [{"name": "migrate"}], "containers": [{"name": "web"}]}});
        let patch = json!([
            {"op": "add", "path": "/spec/containers/0/readinessProbe/httpGet", "value": {}},
            {"op": "add", "path": "/spec/initContainers/0", "value": {"name": "shekara-init"}},
            {"op": "add", "path": "/spec/initContainers/3/securityContext/capabilities/drop/-", "value": "NET_RAW"},
            {"op": "add", "path": "/spec/containers/0/securityContext/capabilities/drop/-", "value": "NET_RAW"},
            {"op": "add", "path": "/spec/containers/0/securityContext/capabilities/drop/-", "value": "NET_RAW"},
            {"op": "add", "path": "/metadata/labels/shekara.dev~1covered", "value": "true"},
        ]);
        let expected = [
            "readinessProbe of the container web asks the sidecar, which asks the application",
            "the init container shekara-init is put before all others",
            "the container migrate loses NET_ADMIN, NET_RAW and SYS_ADMIN where it had them",
            "the container web loses NET_ADMIN, NET_RAW and SYS_ADMIN where it had them",
        ];
        assert_eq!(changes(&pod, &patch), expected);
    }
}
