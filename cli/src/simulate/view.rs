//! The answer of a simulation. Its form is stable, and docs/cli.md describes it.

use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use shekara_policy::decide::Question;
use shekara_policy::verdict::{Denial, Grant};
use shekara_policy::{Country, Reason, Verdict};

use super::destination::HostPort;
use super::inside::{InsideView, PeerView};
use super::judge::{Destination, Judged, Tried};
use super::peers::Peers;
use crate::arguments::Target;
use crate::place::{Bound, Place};
use crate::route::RouteView;

/// Would the flow leave?
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Simulation {
    pub(super) kind: &'static str,
    /// `pod/NAME` or `holding/NAME`.
    pub(super) target: String,
    /// Its namespace.
    pub(super) namespace: String,
    pub(super) destination: String,
    /// What the flow was judged as.
    pub(super) protocol: String,
    pub(super) verdict: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) sentence: Option<&'static str>,
    /// Who denies.
    pub(super) denied_by: Option<DeniedBy>,
    /// Who allows, one a holding.
    pub(super) rules: Vec<RuleView>,
    pub(super) country: Option<Country>,
    /// Who says that the address is in this country.
    pub(super) country_by: Option<String>,
    pub(super) dns_question: Option<QuestionView>,
    pub(super) addresses: Vec<AddressView>,
    /// Who is at the addresses that are inside the cluster.
    pub(super) peers: Vec<PeerView>,
    pub(super) documents: Vec<DocumentView>,
    pub(super) warnings: Vec<String>,
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Outcome {
    Allow,
    Deny,
    /// No holding covers the pod: everything leaves.
    NotJudged,
    /// The name may be looked up, and the rest hangs on its addresses.
    Undecided,
    /// It is inside the cluster, and it hangs on what is not known of who is there.
    #[serde(rename = "Undecided")]
    Inside,
    /// It would be allowed by the standards that are known to apply, and others may.
    #[serde(rename = "Undecided")]
    Partial,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeniedBy {
    pub(super) holding: Option<String>,
    pub(super) recipient: Option<String>,
    pub(super) standard: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleView {
    pub(super) holding: String,
    pub(super) recipient: String,
    /// The route of the document; null for a destination inside the cluster.
    pub(super) route: Option<RouteView>,
    /// By what a destination inside the cluster is allowed; null for one outside.
    pub(super) inside: Option<InsideView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct QuestionView {
    pub(super) answered: bool,
    pub(super) reason: Option<Reason>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AddressView {
    pub(super) address: IpAddr,
    /// Whether it stands for any address in the assumed country.
    pub(super) assumed: bool,
    pub(super) verdict: Outcome,
    pub(super) reason: Option<Reason>,
    pub(super) country: Option<Country>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DocumentView {
    pub(super) holding: String,
    pub(super) digest: String,
    /// Whether the operator has published this very document; null where the holding has no status.
    pub(super) in_force: Option<bool>,
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
            peers: vec![],
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
        peers: &Peers<'_>,
        says: impl Fn(IpAddr) -> Option<String>,
    ) -> Self {
        let decisive = judged.addresses.iter().find(|tried| tried.verdict == judged.verdict);
        let at = |tried: &Tried| SocketAddr::new(tried.address.ip(), to.port);
        let (denied_by, rules) = match &judged.verdict {
            Verdict::Allow(_) if judged.open => (None, vec![]),
            Verdict::Allow(grant) => (None, rules(grant, bound, place, peers, decisive.map(at))),
            Verdict::Deny(denial) => (Some(DeniedBy::of(denial)), vec![]),
        };
        // a name of the cluster is never judged by itself, and one outside is allowed to be looked up
        let unaddressed = judged.addresses.is_empty();
        let hangs = judged.open || unaddressed && judged.question == Some(Question::InCluster);
        let reason = judged.verdict.reason().filter(|_| !hangs);
        let inside = judged.addresses.iter().filter(|tried| peers.is_inside(tried.address.ip()));
        let host = match (&to.name, to.addresses.first()) {
            (Some(name), _) => name.to_string(),
            (None, Some(IpAddr::V6(address))) => format!("[{address}]"),
            (None, address) => address.map(ToString::to_string).unwrap_or_default(),
        };
        let country = judged.verdict.country();
        Self {
            kind: "Simulation",
            target: String::new(),
            namespace: String::new(),
            destination: format!("{host}:{}", to.port),
            protocol: judged.protocol.as_str().to_owned(),
            verdict: match (judged.open, hangs) {
                (true, _) => Outcome::Inside,
                (false, true) => Outcome::Undecided,
                (false, false) => Outcome::of(&judged.verdict, unaddressed),
            },
            reason,
            sentence: reason.map(Reason::sentence),
            denied_by: denied_by.filter(|_| !hangs),
            rules,
            country,
            country_by: country.and(decisive).and_then(|tried| says(tried.address.ip())),
            dns_question: judged.question.map(QuestionView::of),
            addresses: judged.addresses.iter().map(|tried| AddressView::of(tried, assumed)).collect(),
            peers: inside.filter_map(|tried| PeerView::of(peers, at(tried))).collect(),
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

    /// Not every standard is known that may apply: what they would deny cannot be said to leave.
    pub(super) fn unsettle(&mut self) {
        if self.verdict == Outcome::Allow {
            self.verdict = Outcome::Partial;
        }
    }

    /// Whether the flow leaves.
    pub(super) fn is_allowed(&self) -> bool {
        matches!(self.verdict, Outcome::Allow | Outcome::NotJudged)
    }

    /// What has to be said before there is a verdict.
    pub(super) fn open_question(&self) -> Option<&'static str> {
        if self.verdict == Outcome::Inside {
            return Some(
                "the destination is inside the cluster, and the verdict hangs on what is not known of who is there: the warnings say what that is",
            );
        }
        if self.verdict == Outcome::Partial {
            return Some(
                "the labels of the namespace are not known, so standards that select by label may deny it: let yourself be allowed to get the namespace, or add it to the export",
            );
        }
        (self.verdict == Outcome::Undecided).then_some(
            "the verdict hangs on the addresses of the name: give them with --address, look them up with --resolve, or assume a --country",
        )
    }
}

fn rules(grant: &Grant, bound: &[Bound<'_>], place: &Place<'_>, peers: &Peers<'_>, at: Option<SocketAddr>) -> Vec<RuleView> {
    let at = at.filter(|at| peers.is_inside(at.ip()));
    let view = |rule: &shekara_policy::verdict::Rule| {
        let document =
            bound.iter().map(|bound| &bound.compiled.document).find(|document| document.holding.to_string() == rule.holding);
        let mut routes = document.into_iter().flat_map(|document| &document.routes);
        let taken = routes.find(|route| route.recipient == rule.recipient && route.data.is_subset(&grant.data));
        let route = taken.map(|route| RouteView::of(route, place.recipient(&rule.recipient), place.now()));
        let inside = at.filter(|_| route.is_none()).and_then(|at| InsideView::of(rule, bound, peers, at));
        RuleView { holding: rule.holding.clone(), recipient: rule.recipient.clone(), route, inside }
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
}

impl DeniedBy {
    fn of(denial: &Denial) -> Self {
        Self { holding: denial.holding.clone(), recipient: denial.recipient.clone(), standard: denial.standard.clone() }
    }
}

impl QuestionView {
    fn of(question: Question) -> Self {
        match question {
            Question::InCluster | Question::Listed => Self { answered: true, reason: None },
            Question::Denied(reason) => Self { answered: false, reason: Some(reason) },
        }
    }
}

impl AddressView {
    fn of(tried: &Tried, assumed: bool) -> Self {
        let (country, reason) = (tried.verdict.country(), tried.verdict.reason().filter(|_| !tried.open));
        let verdict = if tried.open { Outcome::Inside } else { Outcome::of(&tried.verdict, false) };
        Self { address: tried.address.ip(), assumed, verdict, reason, country }
    }
}

impl DocumentView {
    fn of(bound: &Bound<'_>) -> Self {
        let (holding, digest) = (bound.compiled.document.holding.to_string(), bound.digest.clone());
        Self { holding, digest, in_force: bound.is_in_force() }
    }
}
