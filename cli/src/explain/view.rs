//! The explanation of a pod. Its form is stable, and docs/cli.md describes it.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::{COVERED_LABEL, DataHolding, HOLDINGS_ANNOTATION, cover, pods};

use super::reasons::reasons;
use crate::cover::{Claim, Covered, Sidecar, said_state};
use crate::inventory::workload;
use crate::objects::Objects;
use crate::place::{Bound, Place};
use crate::route::RouteView;

/// The state in a holding that does not exist any more.
pub(super) const GONE: &str = "Gone";

/// Why a pod is covered or not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) pod: String,
    /// The object that controls it, as `Kind NAME`.
    pub(super) workload: String,
    /// Whether the sidecar was put in.
    pub(super) injected: bool,
    /// Whether the kubelet saw the proof of the packet filter pass in the present run.
    pub(super) proven: bool,
    /// `Enforcing`, `Observing`, `Starting`, `Outdated`, `Stale`, `RestartNeeded`, `Bare`, `Ended`, `Gone`, `Unknown`, or `NoHolding`.
    pub(super) state: String,
    pub(super) why: Vec<String>,
    pub(super) act: Vec<String>,
    /// Whether the namespace is labelled; null where it was not read.
    pub(super) protected: Option<bool>,
    pub(super) stamps: Stamps,
    pub(super) containers: Vec<ContainerView>,
    pub(super) holdings: Vec<HoldingView>,
    /// Doubts about the answer.
    pub(super) warnings: Vec<String>,
}

/// What admission wrote on the pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stamps {
    pub(super) label: Option<String>,
    pub(super) annotation: Option<String>,
    /// The holdings in the sidecar's environment, which nobody can change in a running pod.
    pub(super) environment: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerView {
    pub(super) name: String,
    pub(super) init: bool,
    /// Whether it is one of Shekara's.
    pub(super) ours: bool,
    pub(super) state: String,
}

/// A holding that the pod is in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HoldingView {
    pub(super) name: String,
    pub(super) exists: bool,
    pub(super) claimed_by: String,
    pub(super) stamped: bool,
    pub(super) state: String,
    pub(super) digest: Option<String>,
    pub(super) in_force: Option<bool>,
    /// What is wrong with the declaration.
    pub(super) problems: Vec<String>,
    /// What may leave; null where standards and recipients were not read.
    pub(super) routes: Option<Vec<RouteView>>,
    /// Services inside the cluster, as `namespace/name`.
    pub(super) in_cluster: Vec<String>,
}

impl Explanation {
    pub(super) fn of(covered: &Covered<'_>, objects: &Objects, place: &Place<'_>) -> Self {
        let (pod, namespace) = (covered.pod, covered.namespace.clone());
        let labels = objects.labels_of(&namespace);
        let gone = covered.missing().into_iter().map(|_| GONE);
        let states: Vec<String> =
            covered.bound.iter().map(|bound| state(covered, bound.holding)).chain(gone).map(str::to_owned).collect();
        let worst = ["Bare", GONE, "RestartNeeded", "Stale", "Outdated", "Observing", "Starting", "Unknown", "Ended"]
            .into_iter()
            .find(|bad| states.iter().any(|state| state == bad));
        let worst = worst.or(states.first().map(String::as_str)).unwrap_or("NoHolding");
        let holdings: Vec<&DataHolding> = objects.holdings_in(&namespace).collect();
        let said = reasons(covered, worst, labels, &holdings);
        let (kind, name) = workload(pod);
        let environment = pods::proxy(pod).into_iter().flat_map(|proxy| proxy.env.iter().flatten());
        let environment =
            environment.filter(|variable| variable.name == pods::HOLDINGS_VARIABLE).find_map(|variable| variable.value.clone());
        Self {
            kind: "Explanation",
            pod: pod.name_any(),
            workload: format!("{kind} {name}"),
            injected: pods::proxy(pod).is_some(),
            proven: covered.sidecar == Sidecar::Proven,
            state: worst.to_owned(),
            why: said.why,
            act: said.act,
            protected: labels.map(cover::is_protected),
            stamps: Stamps {
                label: pod.labels().get(COVERED_LABEL).cloned(),
                annotation: pod.annotations().get(HOLDINGS_ANNOTATION).cloned(),
                environment,
            },
            containers: containers(covered),
            holdings: self::holdings(covered, objects, place),
            warnings: if covered.names.is_empty() || !objects.rules_known { vec![] } else { place.doubts(&namespace) },
            namespace,
        }
    }
}

/// The state of the pod in a holding: what its object shows, and of a proven sidecar what the operator says.
fn state<'a>(covered: &Covered<'_>, holding: &'a DataHolding) -> &'a str {
    match covered.sidecar {
        Sidecar::Ended => "Ended",
        Sidecar::Absent => "Bare",
        Sidecar::Starting | Sidecar::ProofFailed(_) => "Starting",
        Sidecar::Proven => said_state(covered.pod, holding).unwrap_or("Unknown"),
    }
}

fn containers(covered: &Covered<'_>) -> Vec<ContainerView> {
    let (spec, status) = (covered.pod.spec.clone().unwrap_or_default(), covered.pod.status.clone().unwrap_or_default());
    let initial = spec.init_containers.unwrap_or_default().into_iter().map(|container| (container.name, true));
    let all = initial.chain(spec.containers.into_iter().map(|container| (container.name, false)));
    let statuses: Vec<ContainerStatus> =
        [status.init_container_statuses, status.container_statuses].into_iter().flatten().flatten().collect();
    all.map(|(name, init)| ContainerView {
        ours: init && [pods::INIT, pods::PROXY, pods::VERIFY].contains(&name.as_str()),
        state: statuses.iter().find(|status| status.name == name).map_or_else(|| "not created".into(), container_state),
        name,
        init,
    })
    .collect()
}

fn container_state(status: &ContainerStatus) -> String {
    match status.state.as_ref() {
        Some(ContainerState { running: Some(_), .. }) if status.started == Some(false) => "starting".into(),
        Some(ContainerState { running: Some(_), .. }) => "running".into(),
        Some(ContainerState { terminated: Some(ended), .. }) => format!("ended with {}", ended.exit_code),
        Some(ContainerState { waiting: Some(waiting), .. }) => format!("waiting: {}", waiting.reason.clone().unwrap_or_default()),
        _ => "unknown".into(),
    }
}

fn holdings(covered: &Covered<'_>, objects: &Objects, place: &Place<'_>) -> Vec<HoldingView> {
    let stamped = pods::stamped(covered.pod);
    let there = covered.bound.iter().map(|bound| {
        let document = &bound.compiled.document;
        let route = |route| RouteView::of(route, place.recipient(&route.recipient), place.now());
        HoldingView {
            name: bound.holding.name_any(),
            exists: true,
            claimed_by: Claim::of(bound.holding, covered.pod).text(),
            stamped: stamped.contains(&bound.holding.name_any()),
            state: state(covered, bound.holding).to_owned(),
            digest: objects.rules_known.then(|| bound.digest.clone()),
            in_force: bound.is_in_force(),
            problems: if objects.rules_known { problems(bound) } else { vec![] },
            routes: objects.rules_known.then(|| document.routes.iter().map(route).collect()),
            in_cluster: document.in_cluster.iter().map(|route| format!("{}/{}", route.namespace, route.service)).collect(),
        }
    });
    let gone = covered.missing().into_iter().map(|name| HoldingView {
        name: name.to_owned(),
        exists: false,
        claimed_by: "-".into(),
        stamped: true,
        state: GONE.into(),
        digest: None,
        in_force: None,
        problems: vec!["it does not exist, so nothing leaves the pod".into()],
        routes: None,
        in_cluster: vec![],
    });
    there.chain(gone).collect()
}

fn problems(bound: &Bound<'_>) -> Vec<String> {
    bound.compiled.problems.iter().map(ToString::to_string).collect()
}
