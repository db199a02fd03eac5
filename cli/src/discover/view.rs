//! What was discovered, as a value: a pure function of the objects. Its form is stable, and docs/cli.md describes it.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use serde::Serialize;
use shekara_crds::pods;

use super::signs::{Sign, signs};
use crate::inventory::workload;
use crate::objects::{Answer, Objects};
use crate::text::{Cell, Text, Tone};

/// Signs of what nobody has declared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discovery {
    kind: &'static str,
    /// Workloads that no holding claims and that have signs.
    workloads: Vec<Workload>,
}

/// A workload by the object that controls its pods.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Workload {
    namespace: String,
    kind: String,
    name: String,
    signs: Vec<Sign>,
    /// What the namespace's owner has answered; null where nobody has.
    answer: Option<Answer>,
}

impl Discovery {
    pub(super) fn of(objects: &Objects) -> Self {
        let mut found: BTreeMap<(String, String, String), BTreeSet<Sign>> = BTreeMap::new();
        for pod in objects.pods.iter().flatten().filter(|pod| !pods::has_ended(pod)) {
            let namespace = pod.namespace().unwrap_or_default();
            let claimed = objects.holdings_in(&namespace).any(|holding| holding.claims(pod.labels(), pod.annotations()));
            let signs = signs(pod);
            if claimed || !pods::stamped(pod).is_empty() || signs.is_empty() {
                continue;
            }
            let (kind, name) = workload(pod);
            found.entry((namespace, kind, name)).or_default().extend(signs);
        }
        let workload = |((namespace, kind, name), signs): ((String, String, String), BTreeSet<Sign>)| Workload {
            namespace,
            kind,
            name,
            signs: signs.into_iter().collect(),
            answer: None,
        };
        Self { kind: "Discovery", workloads: found.into_iter().map(workload).collect() }
    }

    /// The namespaces with signs.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        self.workloads.iter().map(|workload| workload.namespace.clone()).collect()
    }

    /// Puts beside each workload what the owner of its namespace has answered.
    pub(super) fn answer(&mut self, answers: &BTreeMap<String, Answer>) {
        for workload in &mut self.workloads {
            workload.answer = answers.get(&workload.namespace).cloned();
        }
    }

    pub(super) fn text(&self, _wide: bool) -> Text {
        let mut text = Text::default();
        if self.workloads.is_empty() {
            text.line(
                "No workload without a holding has a sign. Signs are names and settings that are known; others are not found.",
            );
            return text;
        }
        let rows = self.workloads.iter().flat_map(Workload::rows).collect();
        text.table(&["NAMESPACE", "WORKLOAD", "SIGN", "SEEN", "SUGGESTS", "ANSWER"], rows);
        text.gap()
            .line("Signs are hints, and prove nothing. Declare what is held in a DataHolding, or answer for the namespace:");
        text.line(
            "  kubectl create configmap shekara-none-held -n NAMESPACE --from-literal=by=NAME --from-literal=date=YYYY-MM-DD",
        );
        text
    }
}

impl Workload {
    fn rows(&self) -> Vec<Vec<Cell>> {
        let answer = || match &self.answer {
            Some(answer) => Cell::from(format!("none held: {}, {}", answer.by, answer.date)),
            None => Cell::new("-", Tone::Doubtful),
        };
        let row = |sign: &Sign| -> Vec<Cell> {
            vec![
                self.namespace.clone().into(),
                format!("{} {}", self.kind, self.name).into(),
                sign.kind.sentence().into(),
                sign.seen.clone().into(),
                sign.suggests.into(),
                answer(),
            ]
        };
        self.signs.iter().map(row).collect()
    }
}
