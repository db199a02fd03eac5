//! The explanation of a pod. Its form is stable, and docs/cli.md describes it.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::{COVERED_LABEL, DataHolding, HOLDINGS_ANNOTATION, PROTECT_LABEL, cover, pods};

use super::reasons::reasons;
use crate::cover::{Claim, Covered, Sidecar};
use crate::inventory::workload;
use crate::objects::Objects;
use crate::place::{Bound, Place};
use crate::route::RouteView;
use crate::status::state as state_cell;
use crate::text::{Cell, Text, Tone};
use crate::words::list;

/// The state in a holding that does not exist any more.
pub(super) const GONE: &str = "Gone";

/// Why a pod is covered or not.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    kind: &'static str,
    namespace: String,
    pod: String,
    /// The object that controls it, as `Kind NAME`.
    workload: String,
    /// Whether the sidecar was put in.
    injected: bool,
    /// Whether the kubelet saw the proof of the packet filter pass in the present run.
    proven: bool,
    /// `Enforcing`, `Starting`, `Outdated`, `Bare`, `Ended`, `Gone`, `Unknown`, or `NoHolding`.
    state: String,
    why: Vec<String>,
    act: Vec<String>,
    /// Whether the namespace is labelled; null where it was not read.
    protected: Option<bool>,
    stamps: Stamps,
    containers: Vec<ContainerView>,
    holdings: Vec<HoldingView>,
    /// Doubts about the answer.
    warnings: Vec<String>,
}

/// What admission wrote on the pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Stamps {
    label: Option<String>,
    annotation: Option<String>,
    /// The holdings in the sidecar's environment, which nobody can change in a running pod.
    environment: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContainerView {
    name: String,
    init: bool,
    /// Whether it is one of Shekara's.
    ours: bool,
    state: String,
}

/// A holding that the pod is in.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HoldingView {
    name: String,
    exists: bool,
    claimed_by: String,
    stamped: bool,
    state: String,
    digest: Option<String>,
    in_force: Option<bool>,
    /// What is wrong with the declaration.
    problems: Vec<String>,
    /// What may leave; null where standards and recipients were not read.
    routes: Option<Vec<RouteView>>,
    /// Services inside the cluster, as `namespace/name`.
    in_cluster: Vec<String>,
}

impl Explanation {
    pub(super) fn of(covered: &Covered<'_>, objects: &Objects, place: &Place<'_>) -> Self {
        let (pod, namespace) = (covered.pod, covered.namespace.clone());
        let labels = objects.labels_of(&namespace);
        let gone = covered.missing().into_iter().map(|_| GONE);
        let states: Vec<String> =
            covered.bound.iter().map(|bound| state(covered, bound.holding)).chain(gone).map(str::to_owned).collect();
        let worst = ["Bare", GONE, "Outdated", "Starting", "Unknown", "Ended"]
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

    pub(super) fn text(&self, wide: bool) -> Text {
        let mut text = Text::default();
        text.field("Pod", format!("{}/{} of {}", self.namespace, self.pod, self.workload));
        let sidecar = match (self.injected, self.proven) {
            (false, _) => "not injected",
            (true, false) => "injected, not proven",
            (true, true) => "injected, proven",
        };
        text.field("Sidecar", sidecar);
        text.field("State", state_cell(&self.state));
        for (index, why) in self.why.iter().enumerate() {
            text.field(if index == 0 { "Why" } else { "" }, why.as_str());
        }
        for (index, act) in self.act.iter().enumerate() {
            text.field(if index == 0 { "Do" } else { "" }, Cell::new(act.as_str(), Tone::Doubtful));
        }
        let label = match self.protected {
            Some(true) => format!("protected: {PROTECT_LABEL}=true"),
            Some(false) => format!("not protected: no label {PROTECT_LABEL}=true"),
            None => "its labels are not known".into(),
        };
        text.field("Namespace", format!("{}, {label}", self.namespace));
        text.field("Stamps", self.stamps.text());
        let shown = self.containers.iter().filter(|container| wide || container.ours);
        let containers: Vec<Vec<Cell>> = shown.map(ContainerView::row).collect();
        if !containers.is_empty() {
            text.gap().table(&["CONTAINER", "KIND", "STATE"], containers);
        }
        if !self.holdings.is_empty() {
            let head = ["HOLDING", "CLAIMED BY", "STAMPED", "STATE", "DOCUMENT"];
            text.gap().table(&head, self.holdings.iter().map(|holding| holding.row(wide)).collect());
        }
        for holding in &self.holdings {
            holding.describe(&mut text);
        }
        if !self.warnings.is_empty() {
            text.gap();
        }
        for warning in &self.warnings {
            text.say(Cell::new("warning: ", Tone::Doubtful)).line(warning);
        }
        text
    }
}

/// The state of the pod in a holding: what its object shows, and of a proven sidecar what the operator says.
fn state<'a>(covered: &Covered<'_>, holding: &'a DataHolding) -> &'a str {
    match covered.sidecar {
        Sidecar::Ended => "Ended",
        Sidecar::Absent => "Bare",
        Sidecar::Starting | Sidecar::ProofFailed(_) => "Starting",
        Sidecar::Proven => {
            let Some(coverage) = holding.status.as_ref().and_then(|status| status.coverage.as_ref()) else { return "Unknown" };
            let name = covered.pod.metadata.name.as_deref();
            let named = coverage.uncovered.iter().find(|pod| Some(pod.name.as_str()) == name);
            // the list is bounded: only where it is whole do those that are not in it enforce
            let whole = i64::try_from(coverage.uncovered.len()).is_ok_and(|named| named == coverage.in_scope - coverage.covered);
            named.map_or(if whole && coverage.covered > 0 { "Enforcing" } else { "Unknown" }, |pod| &pod.state)
        }
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
            in_force: bound.is_in_force().filter(|_| objects.rules_known),
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

impl Stamps {
    fn text(&self) -> String {
        let part = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}"));
        let parts = [
            part(COVERED_LABEL, &self.label),
            part(HOLDINGS_ANNOTATION, &self.annotation),
            part(pods::HOLDINGS_VARIABLE, &self.environment),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}

impl ContainerView {
    fn row(&self) -> Vec<Cell> {
        let kind = match (self.ours, self.init) {
            (true, _) => "Shekara",
            (false, true) => "init",
            (false, false) => "application",
        };
        vec![self.name.clone().into(), kind.into(), self.state.clone().into()]
    }
}

impl HoldingView {
    fn row(&self, wide: bool) -> Vec<Cell> {
        let digest = self.digest.as_deref().unwrap_or("-");
        let shown = if wide { digest } else { digest.get(..19).unwrap_or(digest) };
        let force = match self.in_force {
            Some(true) => ", in force",
            Some(false) => ", not in force",
            None => "",
        };
        let stamped = if self.stamped { "yes" } else { "no" };
        vec![
            self.name.clone().into(),
            self.claimed_by.clone().into(),
            stamped.into(),
            state_cell(&self.state),
            format!("{shown}{force}").into(),
        ]
    }

    fn describe(&self, text: &mut Text) {
        if let Some(routes) = &self.routes {
            text.gap();
            match routes.as_slice() {
                [] => text.line(format!("{} declares no transfer: nothing leaves the cluster.", self.name)),
                routes => {
                    text.heading(format!("What may leave by {}", self.name));
                    text.table(&RouteView::HEAD, routes.iter().map(RouteView::row).collect())
                }
            };
        }
        if !self.in_cluster.is_empty() {
            text.line(format!("Inside the cluster: {}", list(&self.in_cluster)));
        }
        for problem in &self.problems {
            text.say(Cell::new("problem: ", Tone::Bad)).line(problem);
        }
    }
}
