//! `docs/reference/messages.md`: what people read in conditions, events and refusals.

mod policies;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::{Value, json};
use shekara_crds::injection::{Refusal, Room, SIDECAR_USER, Setting, Settings, inject};
use shekara_crds::message::{ConditionReason, EventReason, ProblemCode};
use shekara_policy::Limits;

use super::reference::{HEADER, cell};

/// The page.
pub(crate) fn page(root: &std::path::Path) -> Result<String> {
    let conditions = ConditionReason::ALL.iter().map(|reason| row(reason.code(), reason.meaning(), reason.remedy()));
    let problems = ProblemCode::ALL.iter().map(|code| row(code.code(), code.meaning(), code.remedy()));
    let events = EventReason::ALL.iter().map(|reason| row(reason.code(), reason.meaning(), reason.remedy()));
    let faults = faults()?.into_iter().map(|(field, sentence)| format!("| `{field}` | {} |\n", cell(&sentence)));
    let policies = policies::messages(root)?.into_iter().map(|(policy, text)| format!("| `{policy}` | {} |\n", cell(&text)));
    Ok([
        format!("{HEADER}# Messages\n\nWhat people read, with what can be done. Why a flow did not leave: [reason codes](reasons.md).\n"),
        section("Reasons of conditions", "Of holdings, recipients and standards.", CODES, conditions),
        section("Problems of declarations", "The reason of `Accepted` where it is False; the message names each field.", CODES, problems),
        section("Events", "On the workload that owns the pods.", CODES, events),
        section(
            "Pods that are refused",
            "A covered pod is refused with every field that it may not have, or not so. `[]` stands for a number or a name, `…` for what the pod says.",
            "| field | what is wrong, and what can be done |\n|---|---|\n",
            faults,
        ),
        section(
            "What the API server refuses",
            "The policies of the chart, which hold while the operator is away. `…` stands for what the object says.",
            "| policy | message |\n|---|---|\n",
            policies,
        ),
    ]
    .concat())
}

const CODES: &str = "| code | what it means | what can be done |\n|---|---|---|\n";

fn section(title: &str, about: &str, head: &str, rows: impl Iterator<Item = String>) -> String {
    format!("\n## {title}\n\n{about}\n\n{head}{}", rows.collect::<String>())
}

fn row(code: &str, meaning: &str, remedy: &str) -> String {
    format!("| `{code}` | {} | {} |\n", cell(meaning), cell(remedy))
}

/// Every fault that admission finds, by field: it is asked about pods that have all of them.
fn faults() -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (setting, pod) in [
        (Setting::Init, open()),
        (Setting::NodeByUser, loose(json!({}))),
        (Setting::NodeByUser, loose(json!(0))),
        (Setting::NodeByUser, loose(json!(SIDECAR_USER))),
    ] {
        let Refusal { faults, .. } =
            inject(&pod, &["faces".to_owned()].into(), &settings(setting)?).err().context("a pod that is open is admitted")?;
        for fault in faults {
            let field = fault.field.replace(|letter: char| letter.is_ascii_digit(), "");
            let known = found.entry(field).or_insert_with(String::new);
            if !known.contains(&fault.sentence) {
                *known = [known.as_str(), fault.sentence.as_str()]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join("; or: ");
            }
        }
    }
    Ok(found)
}

/// A pod that has whatever a covered pod may not have.
fn open() -> Value {
    json!({
        "metadata": {"name": "open", "annotations": {"shekara.dev/sidecar-cpu": "much"}},
        "spec": {
            "hostNetwork": true, "hostPID": true, "hostIPC": true, "shareProcessNamespace": true, "os": {"name": "windows"},
            "nodeSelector": {"kubernetes.io/os": "windows"}, "securityContext": {"seccompProfile": {"type": "Unconfined"}},
            "containers": [
                {
                    "name": "shekara-other", "image": "i", "ports": [{"containerPort": 80, "hostPort": 80}],
                    "volumeMounts": [{"name": "shekara-token", "mountPath": "/token"}],
                    "securityContext": {
                        "privileged": true, "capabilities": {"add": ["…"]}, "procMount": "Unmasked", "seccompProfile": {"type": "Unconfined"}
                    },
                },
                {
                    "name": "istio-proxy", "image": "i", "livenessProbe": {"httpGet": {"host": "elsewhere", "port": 15020}},
                    "readinessProbe": {"tcpSocket": {"host": "elsewhere", "port": 15020}}, "startupProbe": {"grpc": {"port": 15020}},
                    "ports": [{"containerPort": 15020}],
                },
            ],
            "volumes": [
                {"name": "shekara-files", "hostPath": {"path": "/"}}, {"name": "old", "nfs": {"server": "s", "path": "/"}},
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "shekara", "path": "token"}}]}},
            ],
        }
    })
}

/// A pod that a restricted namespace would not admit, whose containers run as this user.
fn loose(user: Value) -> Value {
    let user = if user.is_number() { user } else { Value::Null };
    let context = json!({"runAsUser": user, "allowPrivilegeEscalation": true, "capabilities": {"add": ["KILL"]}});
    json!({"metadata": {"name": "loose"}, "spec": {"containers": [{"name": "app", "image": "i", "securityContext": context}]}})
}

fn settings(setting: Setting) -> Result<Settings> {
    Ok(Settings {
        image: "shekara-sidecar".into(),
        pull_policy: "IfNotPresent".into(),
        resources: ResourceRequirements::default(),
        setting,
        room: Room::default(),
        log: "info".into(),
        limits: Limits::default(),
        policy_api: String::new(),
        authority: String::new(),
        root: "0".repeat(64).parse()?,
        key_set: 0,
        namespace_uid: String::new(),
        stamps: vec![],
        observe_until: None,
        datagrams: vec![],
        resolvers: vec![],
    })
}
