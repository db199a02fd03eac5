//! What admission would say of a workload's pods, by the operator's own rules.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, ResourceRequirements};
use kube::ResourceExt as _;
use serde_json::Value;
use shekara_crds::draft::{categories, differs, not_held};
use shekara_crds::injection::{Fault, Level, Refusal, Room, Setting, Settings, Wanted, cautions, inject};
use shekara_crds::{DATA_ANNOTATION, DataHolding, cover};
use shekara_policy::Limits;
use shekara_policy::signed::Stamp;

use crate::objects::Workload;

/// What would become of the pods.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Nobody's: they stay as they are.
    Untouched,
    /// They get the sidecar by these holdings; none where the annotation would make a draft first.
    Covered { holdings: BTreeSet<String>, patch: Value, warning: Option<String> },
    /// They are not admitted.
    Refused(Refusal),
}

/// What the platform's values say that bears on admission.
pub(super) struct Platform {
    /// Who sets packet filters.
    pub(super) filter: Wanted,
    /// The level of PodSecurity where a namespace's labels say none.
    pub(super) pod_security: Level,
}

/// Judges the pods of a workload in a namespace with these labels and holdings.
pub(super) fn judge(
    workload: &Workload,
    labels: &BTreeMap<String, String>,
    holdings: &[&DataHolding],
    platform: &Platform,
) -> Result<Outcome> {
    let level = Level::of(labels, platform.pod_security);
    let setting = Setting::of(platform.filter, level);
    let cover = |holdings: BTreeSet<String>, warning| {
        let outcome = cover(workload, holdings, setting, warning)?;
        Ok(if setting == Setting::Init && level != Level::Privileged { without_a_filter(outcome) } else { outcome })
    };
    let pod: Pod = serde_json::from_value(workload.pod.clone()).with_context(|| format!("{workload} has no pod template"))?;
    let covering = match cover::covering(labels, pod.labels(), pod.annotations(), holdings.iter().copied()) {
        Ok(covering) => covering,
        Err(missing) => return Ok(Outcome::Refused(missing.into())),
    };
    let Some(data) = pod.annotations().get(DATA_ANNOTATION) else {
        return if covering.is_empty() { Ok(Outcome::Untouched) } else { cover(covering, None) };
    };
    let data = match categories(data) {
        Ok(data) => data,
        Err(problem) => return Ok(Outcome::Refused(Refusal::of_data(covering, problem.to_string()))),
    };
    if covering.is_empty() {
        return cover(covering, Some("a draft of a DataHolding would be made for them".into()));
    }
    let claiming = holdings.iter().copied().filter(|holding| covering.contains(&holding.name_any()));
    let missing = not_held(&data, claiming);
    if missing.is_empty() {
        return cover(covering, None);
    }
    let sentence = differs(missing.iter(), covering.iter());
    if cover::is_protected(labels) {
        Ok(Outcome::Refused(Refusal::of_data(covering, sentence)))
    } else {
        cover(covering, Some(sentence))
    }
}

/// Where PodSecurity forbids what the pod's own container needs to set the packet filter, whatever else is wrong.
fn without_a_filter(outcome: Outcome) -> Outcome {
    let (holdings, mut faults) = match outcome {
        Outcome::Untouched => return outcome,
        Outcome::Covered { holdings, .. } => (holdings, vec![]),
        Outcome::Refused(refusal) => (refusal.holdings, refusal.faults),
    };
    faults.push(Fault {
        field: "spec.initContainers[shekara-init].securityContext.capabilities.add".into(),
        sentence: "the PodSecurity of the namespace forbids containers NET_ADMIN, which this one needs to set the packet filter; where the \
            nodes set it (enforcement.filter: Auto in the chart's values), say --filter Auto"
            .into(),
    });
    Outcome::Refused(Refusal { holdings, faults })
}

fn cover(workload: &Workload, holdings: BTreeSet<String>, setting: Setting, warning: Option<String>) -> Result<Outcome> {
    // a draft is called after its workload; here its name changes nothing
    let named = if holdings.is_empty() { [workload.name.clone()].into() } else { holdings.clone() };
    Ok(match inject(&workload.pod, &named, &settings(&named, setting)?) {
        Ok(patch) => {
            let warnings: Vec<String> = warning.into_iter().chain(cautions(&workload.pod)).collect();
            let warning = Some(warnings.join("; ")).filter(|warning| !warning.is_empty());
            Outcome::Covered { holdings, patch: serde_json::to_value(patch)?, warning }
        }
        Err(refusal) => Outcome::Refused(Refusal { holdings, ..refusal }),
    })
}

/// What the operator would tell the pods, as far as it can be said without one.
fn settings(holdings: &BTreeSet<String>, setting: Setting) -> Result<Settings> {
    let stamp = |name: &String| Stamp { name: name.clone(), uid: UNKNOWN.into(), serial: 0 };
    Ok(Settings {
        image: "shekara-sidecar".into(),
        pull_policy: "IfNotPresent".into(),
        resources: ResourceRequirements::default(),
        setting,
        room: Room::default(),
        log: "info".into(),
        limits: Limits::default(),
        policy_api: UNKNOWN.into(),
        authority: UNKNOWN.into(),
        root: "0".repeat(64).parse()?,
        key_set: 0,
        namespace_uid: UNKNOWN.into(),
        stamps: holdings.iter().map(stamp).collect(),
        observe_until: None,
        datagrams: vec![],
        resolvers: vec![],
    })
}

/// What the operator alone knows.
const UNKNOWN: &str = "unknown";
