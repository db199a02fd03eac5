//! The explanation of a pod, for people.

use shekara_crds::{COVERED_LABEL, HOLDINGS_ANNOTATION, PROTECT_LABEL, pods};

use super::view::{ContainerView, Explanation, HoldingView, Stamps};
use crate::route::RouteView;
use crate::status::state as state_cell;
use crate::text::{Cell, Text, Tone};
use crate::words::list;

impl Explanation {
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
