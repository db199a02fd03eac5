//! The inventory as a value: a pure function of the objects. Its form is stable, and docs/cli.md describes it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::closed::ClosedHolding;
use shekara_crds::data_holding::status::{DenialSummary, TransferSummary};
use shekara_crds::data_holding::{Controller, Responsible, System};
use shekara_crds::draft::is_draft;
use shekara_crds::{DataHolding, cover, pods};

use crate::objects::Objects;
use crate::status::ready;
use crate::text::{Cell, Text, Tone};
use crate::words::{list, or_dash};

/// What is held.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inventory {
    kind: &'static str,
    holdings: Vec<Holding>,
    systems: Vec<SystemParts>,
    /// Workloads of protected namespaces that no holding claims; null where pods were not read.
    unclaimed: Option<Vec<Workload>>,
}

/// A holding in a row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Holding {
    namespace: String,
    name: String,
    /// Whether an annotation made it and nobody has taken it over yet.
    draft: bool,
    title: String,
    system: Option<System>,
    data: Vec<String>,
    controller: Controller,
    responsible: Option<Responsible>,
    recipients: BTreeSet<String>,
    /// Whether the pods of its namespace are matched against it; null where the namespace was not read.
    protected: Option<bool>,
    in_scope: Option<i64>,
    covered: Option<i64>,
    /// `True`, `False` or `Unknown`.
    ready: String,
    /// When it ended, and what was counted of it; null as long as it is there.
    closed: Option<Closed>,
}

/// What is known of a holding that is no more.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Closed {
    uid: String,
    at: String,
    /// Whether it may have ended earlier, while the operator was away.
    at_the_latest: bool,
    transfers: Vec<TransferSummary>,
    denials: Vec<DenialSummary>,
    denied: i64,
    truncated: bool,
}

/// A registered system, with the holdings that are its parts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SystemParts {
    id: String,
    name: Option<String>,
    namespaces: BTreeSet<String>,
    holdings: Vec<String>,
}

/// A workload by the object that controls its pods.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Workload {
    namespace: String,
    kind: String,
    name: String,
    pods: usize,
}

impl Inventory {
    pub(super) fn of(objects: &Objects) -> Self {
        Self {
            kind: "Inventory",
            holdings: holdings(objects),
            systems: systems(&objects.holdings),
            unclaimed: objects.pods.as_ref().map(|pods| unclaimed(pods, objects)),
        }
    }

    pub(super) fn text(&self, wide: bool) -> Text {
        let mut text = Text::default();
        if self.holdings.is_empty() {
            text.line("There is no DataHolding here.");
        }
        let head =
            ["NAMESPACE", "NAME", "SYSTEM", "DATA", "CONTROLLER", "RESPONSIBLE", "COVERED", "READY", "CONTACT", "RECIPIENTS"];
        let shown = if wide { head.len() } else { head.len() - 2 };
        text.table(head.get(..shown).unwrap_or(&head), self.holdings.iter().map(|holding| holding.row(shown)).collect());
        let spanning = self.systems.iter().filter(|system| system.namespaces.len() > 1);
        let spanning: Vec<Vec<Cell>> = spanning.map(SystemParts::row).collect();
        if !spanning.is_empty() {
            text.gap().table(&["SYSTEM IN SEVERAL NAMESPACES", "NAME", "NAMESPACES", "HOLDINGS"], spanning);
        }
        let unclaimed: Vec<Vec<Cell>> = self.unclaimed.iter().flatten().map(Workload::row).collect();
        if !unclaimed.is_empty() {
            text.gap().table(&["NAMESPACE", "WORKLOAD THAT NO HOLDING CLAIMS", "PODS"], unclaimed);
        }
        text
    }
}

/// Those that are there, and behind them those that are closed, each in the order of namespaces and names.
fn holdings(objects: &Objects) -> Vec<Holding> {
    let mut closed: Vec<&ClosedHolding> = objects.closed.iter().collect();
    closed.sort_by_key(|closed| (&closed.registered.namespace, &closed.registered.name, &closed.closed_at));
    let there = objects.holdings.iter().map(|holding| self::holding(holding, objects));
    there.chain(closed.into_iter().map(|closed| self::closed(closed, objects))).collect()
}

fn closed(closed: &ClosedHolding, objects: &Objects) -> Holding {
    let ClosedHolding { registered, closed_at, at_the_latest, transfers, denials, denied, truncated } = closed.clone();
    Holding {
        draft: false,
        protected: objects.labels_of(&registered.namespace).map(cover::is_protected),
        namespace: registered.namespace,
        name: registered.name,
        title: registered.title,
        system: registered.system,
        data: registered.data,
        controller: registered.controller,
        responsible: registered.responsible,
        recipients: registered.recipients,
        in_scope: None,
        covered: None,
        ready: "Unknown".into(),
        closed: Some(Closed { uid: registered.uid, at: closed_at, at_the_latest, transfers, denials, denied, truncated }),
    }
}

fn holding(holding: &DataHolding, objects: &Objects) -> Holding {
    let (namespace, spec) = (holding.namespace().unwrap_or_default(), &holding.spec);
    let coverage = holding.status.as_ref().and_then(|status| status.coverage.as_ref());
    Holding {
        protected: objects.labels_of(&namespace).map(cover::is_protected),
        namespace,
        name: holding.name_any(),
        draft: is_draft(holding),
        title: spec.title.clone(),
        system: spec.system.clone(),
        data: spec.data.iter().map(|held| held.category.clone()).collect(),
        controller: spec.controller.clone(),
        responsible: spec.responsible.clone(),
        recipients: spec.transfers.iter().map(|transfer| transfer.recipient.clone()).collect(),
        in_scope: coverage.map(|coverage| coverage.in_scope),
        covered: coverage.map(|coverage| coverage.covered),
        ready: ready(holding).map_or("Unknown", |ready| ready.status.as_str()).to_owned(),
        closed: None,
    }
}

fn systems(holdings: &[DataHolding]) -> Vec<SystemParts> {
    let mut systems: BTreeMap<&str, SystemParts> = BTreeMap::new();
    for holding in holdings {
        let Some(system) = &holding.spec.system else { continue };
        let (namespace, id) = (holding.namespace().unwrap_or_default(), system.id.as_str());
        let parts = systems.entry(id).or_insert_with(|| SystemParts {
            id: id.to_owned(),
            name: None,
            namespaces: BTreeSet::new(),
            holdings: Vec::new(),
        });
        parts.name = parts.name.take().or_else(|| system.name.clone());
        parts.holdings.push(format!("{namespace}/{}", holding.name_any()));
        parts.namespaces.insert(namespace);
    }
    systems.into_values().collect()
}

/// Workloads of protected namespaces that no holding claims: perhaps they hold nothing, perhaps somebody forgot them.
fn unclaimed(all: &[Pod], objects: &Objects) -> Vec<Workload> {
    let mut workloads: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for pod in all.iter().filter(|pod| !pods::has_ended(pod)) {
        let namespace = pod.namespace().unwrap_or_default();
        let protected = objects.labels_of(&namespace).is_some_and(cover::is_protected);
        let claimed = objects.holdings_in(&namespace).any(|holding| holding.claims(pod.labels(), pod.annotations()));
        if protected && !claimed && pods::stamped(pod).is_empty() {
            let (kind, name) = workload(pod);
            *workloads.entry((namespace, kind, name)).or_default() += 1;
        }
    }
    workloads.into_iter().map(|((namespace, kind, name), pods)| Workload { namespace, kind, name, pods }).collect()
}

/// The object that controls a pod: for a ReplicaSet of a Deployment the Deployment, which gave it its name and a hash.
pub(crate) fn workload(pod: &Pod) -> (String, String) {
    let owner = pod.owner_references().iter().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else { return ("Pod".into(), pod.name_any()) };
    let hash = pod.labels().get("pod-template-hash").filter(|_| owner.kind == "ReplicaSet");
    match hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())).and_then(|name| name.strip_suffix('-')) {
        Some(deployment) => ("Deployment".into(), deployment.to_owned()),
        None => (owner.kind.clone(), owner.name.clone()),
    }
}

impl Holding {
    fn row(&self, columns: usize) -> Vec<Cell> {
        let covered = match (self.covered, self.in_scope) {
            (Some(covered), Some(all)) => {
                Cell::new(format!("{covered}/{all}"), if covered < all { Tone::Bad } else { Tone::Plain })
            }
            _ => "-".into(),
        };
        let person = self.responsible.as_ref();
        let contact = person.and_then(|person| person.contact.as_deref());
        let mut row: Vec<Cell> = vec![
            self.namespace.clone().into(),
            if self.draft { Cell::new(format!("{} (draft)", self.name), Tone::Doubtful) } else { self.name.clone().into() },
            or_dash(self.system.as_ref().map(|system| system.id.as_str())).into(),
            list(&self.data).into(),
            self.controller.name.clone().into(),
            or_dash(person.map(|person| person.name.as_str())).into(),
            covered,
            match &self.closed {
                None => Cell::condition(&self.ready),
                Some(closed) => Cell::new(format!("closed {}", closed.at.get(..10).unwrap_or(&closed.at)), Tone::Doubtful),
            },
            or_dash(contact).into(),
            list(&self.recipients).into(),
        ];
        row.truncate(columns);
        row
    }
}

impl SystemParts {
    fn row(&self) -> Vec<Cell> {
        let name = or_dash(self.name.as_deref());
        vec![self.id.clone().into(), name.into(), list(&self.namespaces).into(), list(&self.holdings).into()]
    }
}

impl Workload {
    fn row(&self) -> Vec<Cell> {
        let name = format!("{} {}", self.kind, self.name);
        vec![self.namespace.clone().into(), name.into(), self.pods.to_string().into()]
    }
}
