//! The answer of a simulation, for people.

use super::inside::{InsideView, PeerView};
use super::view::{AddressView, DeniedBy, DocumentView, Outcome, QuestionView, RuleView, Simulation};
use crate::route::RouteView;
use crate::text::{Cell, Text, Tone};
use crate::words::list;

impl Simulation {
    pub(super) fn text(&self, wide: bool) -> Text {
        let mut text = Text::default();
        text.field("Flow", format!("{} in {} to {} as {}", self.target, self.namespace, self.destination, self.protocol));
        text.field("Verdict", self.verdict.cell());
        if let (Some(reason), Some(sentence)) = (self.reason, self.sentence) {
            text.field("Reason", format!("{reason}: {sentence}"));
        }
        text.field("Denied by", self.denied_by.as_ref().map(DeniedBy::text).unwrap_or_default());
        let said = self.country_by.as_deref().map(|by| format!(" ({by})")).unwrap_or_default();
        let country = self.country.map(|country| if country.is_known() { country.to_string() } else { "unknown".into() });
        text.field("Country", country.map(|country| country + &said).unwrap_or_default());
        text.field("DNS", self.dns_question.as_ref().map(QuestionView::cell).unwrap_or_else(|| "".into()));
        for document in &self.documents {
            text.field("Document", document.text(wide));
        }
        if self.addresses.len() > 1 || (wide && !self.addresses.is_empty()) {
            text.gap().table(&["ADDRESS", "COUNTRY", "VERDICT", "REASON"], self.addresses.iter().map(AddressView::row).collect());
        }
        if !self.peers.is_empty() {
            text.gap().table(&["INSIDE", "SERVICES", "END", "COVERED BY"], self.peers.iter().flat_map(PeerView::rows).collect());
        }
        let (inside, outside): (Vec<&RuleView>, Vec<&RuleView>) = self.rules.iter().partition(|rule| rule.inside.is_some());
        if !inside.is_empty() {
            text.gap().table(&["HOLDING", "TO", "ALLOWED BY"], inside.into_iter().map(RuleView::inside_row).collect());
        }
        if !outside.is_empty() {
            let head = ["HOLDING", "RECIPIENT", "DATA", "STANDARDS", "PERMITS"];
            text.gap().table(&head, outside.into_iter().map(RuleView::row).collect());
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

impl Outcome {
    fn cell(self) -> Cell {
        match self {
            Self::Allow => Cell::new("Allow", Tone::Good),
            Self::Deny => Cell::new("Deny", Tone::Bad),
            Self::NotJudged => Cell::new("not judged", Tone::Doubtful),
            Self::Inside => Cell::new("undecided: not enough is known of who is there", Tone::Doubtful),
            Self::Partial => Cell::new("undecided: not every standard is known that may apply", Tone::Doubtful),
            Self::Undecided => Cell::new("undecided: the name may be looked up", Tone::Doubtful),
        }
    }
}

impl DeniedBy {
    fn text(&self) -> String {
        let part = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind} {name}"));
        let parts = [part("holding", &self.holding), part("recipient", &self.recipient), part("standard", &self.standard)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl QuestionView {
    fn cell(&self) -> Cell {
        match self.reason {
            None => "the question for the name is asked".into(),
            Some(reason) => Cell::new(format!("{reason}: an application that asks for the name never connects"), Tone::Bad),
        }
    }
}

impl AddressView {
    fn row(&self) -> Vec<Cell> {
        let address = if self.assumed { "any".into() } else { self.address.to_string() };
        let reason = self.reason.map(|reason| reason.code()).unwrap_or_default();
        vec![address.into(), list(self.country).into(), self.verdict.cell(), reason.into()]
    }
}

impl DocumentView {
    fn text(&self, wide: bool) -> String {
        let state = match self.in_force {
            Some(true) => "in force",
            Some(false) => "not in force",
            None => "not known to be in force",
        };
        let shown = if wide { self.digest.as_str() } else { self.digest.get(..19).unwrap_or(&self.digest) };
        format!("{} {shown}, {state}", self.holding)
    }
}

impl RuleView {
    fn inside_row(&self) -> Vec<Cell> {
        let by = self.inside.as_ref().map(InsideView::text).unwrap_or_default();
        vec![self.holding.clone().into(), self.recipient.clone().into(), by.into()]
    }

    fn row(&self) -> Vec<Cell> {
        let route = self.route.as_ref();
        vec![
            self.holding.clone().into(),
            self.recipient.clone().into(),
            route.map_or_else(|| "-".into(), |route| list(route.data.iter().map(|category| category.as_str()))).into(),
            route.map_or_else(|| "-".into(), |route| list(&route.standards)).into(),
            route.map(RouteView::permits).unwrap_or_default().into(),
        ]
    }
}
