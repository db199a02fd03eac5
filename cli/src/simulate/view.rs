//! The answer of a simulation. Its form is stable, and docs/cli.md describes it.

use std::net::IpAddr;

use serde::Serialize;
use shekara_policy::decide::Question;
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Address, Country, Reason, Verdict};

use super::destination::HostPort;
use super::judge::{Destination, Judged};
use crate::arguments::Target;
use crate::place::{Bound, Place};
use crate::route::RouteView;
use crate::text::{Cell, Text, Tone};
use crate::words::list;

/// Would the flow leave?
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Simulation {
    kind: &'static str,
    /// `pod/NAME` or `holding/NAME`.
    target: String,
    /// Its namespace.
    namespace: String,
    destination: String,
    /// What the flow was judged as.
    protocol: String,
    verdict: Outcome,
    reason: Option<Reason>,
    sentence: Option<&'static str>,
    /// Who denies.
    denied_by: Option<DeniedBy>,
    /// Who allows, one a holding.
    rules: Vec<RuleView>,
    country: Option<Country>,
    /// Who says that the address is in this country.
    country_by: Option<String>,
    dns_question: Option<QuestionView>,
    addresses: Vec<AddressView>,
    documents: Vec<DocumentView>,
    warnings: Vec<String>,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Outcome {
    Allow,
    Deny,
    /// No holding covers the pod: everything leaves.
    NotJudged,
    /// The name may be looked up, and the rest hangs on its addresses.
    Undecided,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeniedBy {
    holding: Option<String>,
    recipient: Option<String>,
    standard: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleView {
    holding: String,
    recipient: String,
    /// The route of the document; null for a destination inside the cluster.
    route: Option<RouteView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct QuestionView {
    answered: bool,
    reason: Option<Reason>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressView {
    address: IpAddr,
    /// Whether it stands for any address in the assumed country.
    assumed: bool,
    verdict: Outcome,
    reason: Option<Reason>,
    country: Option<Country>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DocumentView {
    holding: String,
    digest: String,
    /// Whether the operator has published this very document; null where the holding has no status.
    in_force: Option<bool>,
}

impl Simulation {
    /// The answer for a pod that no holding covers.
    pub(super) fn unjudged(target: &Target, namespace: &str, to: &HostPort) -> Self {
        Self {
            kind: "Simulation",
            target: target.to_string(),
            namespace: namespace.to_owned(),
            destination: to.to_string(),
            protocol: "-".into(),
            verdict: Outcome::NotJudged,
            reason: None,
            sentence: None,
            denied_by: None,
            rules: vec![],
            country: None,
            country_by: None,
            dns_question: None,
            addresses: vec![],
            documents: vec![],
            warnings: vec![
                "no holding covers the pod, so nobody judges what it sends; `kubectl shekara explain` says why".into(),
            ],
        }
    }

    /// The answer for what was judged; `says` tells who says in which country an address is.
    pub(super) fn of(
        to: &Destination,
        judged: &Judged,
        assumed: bool,
        bound: &[Bound<'_>],
        place: &Place<'_>,
        says: impl Fn(IpAddr) -> Option<String>,
    ) -> Self {
        let (denied_by, rules) = match &judged.verdict {
            Verdict::Allow(grant) => (None, rules(grant, bound, place)),
            Verdict::Deny(denial) => (Some(DeniedBy::of(denial)), vec![]),
        };
        let reason = judged.verdict.reason();
        let host = match (&to.name, to.addresses.first()) {
            (Some(name), _) => name.to_string(),
            (None, Some(IpAddr::V6(address))) => format!("[{address}]"),
            (None, address) => address.map(ToString::to_string).unwrap_or_default(),
        };
        let decisive = judged.addresses.iter().find(|(_, verdict)| *verdict == judged.verdict);
        let country = judged.verdict.country();
        Self {
            kind: "Simulation",
            target: String::new(),
            namespace: String::new(),
            destination: format!("{host}:{}", to.port),
            protocol: judged.protocol.as_str().to_owned(),
            verdict: Outcome::of(&judged.verdict, judged.addresses.is_empty()),
            reason,
            sentence: reason.map(Reason::sentence),
            denied_by,
            rules,
            country,
            country_by: country.and(decisive).and_then(|(address, _)| says(address.ip())),
            dns_question: judged.question.map(QuestionView::of),
            addresses: judged.addresses.iter().map(|(address, verdict)| AddressView::of(*address, verdict, assumed)).collect(),
            documents: bound.iter().map(DocumentView::of).collect(),
            warnings: bound.iter().filter_map(other_document).collect(),
        }
    }

    /// Whose flow it is.
    pub(super) fn whose(&mut self, target: &Target, namespace: &str) {
        self.target = target.to_string();
        namespace.clone_into(&mut self.namespace);
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Whether the flow leaves.
    pub(super) fn is_allowed(&self) -> bool {
        matches!(self.verdict, Outcome::Allow | Outcome::NotJudged)
    }

    /// What has to be said before there is a verdict.
    pub(super) fn open_question(&self) -> Option<&'static str> {
        (self.verdict == Outcome::Undecided).then_some(
            "the verdict hangs on the addresses of the name: give them with --address, look them up with --resolve, or assume a --country",
        )
    }

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
        if !self.rules.is_empty() {
            text.gap()
                .table(&["HOLDING", "RECIPIENT", "DATA", "STANDARDS", "PERMITS"], self.rules.iter().map(RuleView::row).collect());
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

fn rules(grant: &Grant, bound: &[Bound<'_>], place: &Place<'_>) -> Vec<RuleView> {
    let view = |rule: &shekara_policy::verdict::Rule| {
        let document =
            bound.iter().map(|bound| &bound.compiled.document).find(|document| document.holding.to_string() == rule.holding);
        let mut routes = document.into_iter().flat_map(|document| &document.routes);
        let taken = routes.find(|route| route.recipient == rule.recipient && route.data.is_subset(&grant.data));
        let route = taken.map(|route| RouteView::of(route, place.recipient(&rule.recipient), place.now()));
        RuleView { holding: rule.holding.clone(), recipient: rule.recipient.clone(), route }
    };
    grant.rules.iter().map(view).collect()
}

fn other_document(bound: &Bound<'_>) -> Option<String> {
    let other = bound.is_in_force() == Some(false);
    other.then(|| {
        let holding = bound.compiled.document.holding.to_string();
        format!("the operator has published another document for {holding} than this one: it may be about to, or something was not read")
    })
}

impl Outcome {
    fn of(verdict: &Verdict, unaddressed: bool) -> Self {
        match verdict {
            Verdict::Allow(_) if unaddressed => Self::Undecided,
            Verdict::Allow(_) => Self::Allow,
            Verdict::Deny(_) => Self::Deny,
        }
    }

    fn cell(self) -> Cell {
        match self {
            Self::Allow => Cell::new("Allow", Tone::Good),
            Self::Deny => Cell::new("Deny", Tone::Bad),
            Self::NotJudged => Cell::new("not judged", Tone::Doubtful),
            Self::Undecided => Cell::new("undecided: the name may be looked up", Tone::Doubtful),
        }
    }
}

impl DeniedBy {
    fn of(denial: &Denial) -> Self {
        Self { holding: denial.holding.clone(), recipient: denial.recipient.clone(), standard: denial.standard.clone() }
    }

    fn text(&self) -> String {
        let part = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind} {name}"));
        let parts = [part("holding", &self.holding), part("recipient", &self.recipient), part("standard", &self.standard)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl QuestionView {
    fn of(question: Question) -> Self {
        match question {
            Question::InCluster | Question::Listed => Self { answered: true, reason: None },
            Question::Denied(reason) => Self { answered: false, reason: Some(reason) },
        }
    }

    fn cell(&self) -> Cell {
        match self.reason {
            None => "the question for the name is asked".into(),
            Some(reason) => Cell::new(format!("{reason}: an application that asks for the name never connects"), Tone::Bad),
        }
    }
}

impl AddressView {
    fn of(address: Address, verdict: &Verdict, assumed: bool) -> Self {
        let (country, reason) = (verdict.country(), verdict.reason());
        Self { address: address.ip(), assumed, verdict: Outcome::of(verdict, false), reason, country }
    }

    fn row(&self) -> Vec<Cell> {
        let address = if self.assumed { "any".into() } else { self.address.to_string() };
        let reason = self.reason.map(|reason| reason.code()).unwrap_or_default();
        vec![address.into(), list(self.country).into(), self.verdict.cell(), reason.into()]
    }
}

impl DocumentView {
    fn of(bound: &Bound<'_>) -> Self {
        let (holding, digest) = (bound.compiled.document.holding.to_string(), bound.digest.clone());
        Self { holding, digest, in_force: bound.is_in_force() }
    }

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
