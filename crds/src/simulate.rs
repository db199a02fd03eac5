//! What would become of a flow, and which rule says so: the compilation of the operator and the decision of the sidecar, asked
//! without either.

use std::fmt;

use shekara_policy::decide::{Considered, Explained, explain};
use shekara_policy::document::{PolicyDocument, Route};
use shekara_policy::geo::CountrySource;
use shekara_policy::peer::NoPeers;
use shekara_policy::{Category, Flow, Judge, Verdict};

use crate::compile::{Surroundings, compile};
use crate::data_holding::DataHolding;

/// A verdict, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Simulated {
    /// The verdict, as the sidecar would give it to a flow that begins. What has left today is not known here: a flow that is
    /// allowed within a bound is allowed as long as the bound is not spent.
    pub verdict: Verdict,
    /// For each holding, up to the one that denies, where its part of the verdict came from. Empty for what is inside the cluster.
    pub sources: Vec<RuleSource>,
}

/// The declarations from which one holding's part of a verdict came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSource {
    /// `namespace/name` of the holding.
    pub holding: String,
    /// The transfer that takes the flow, or that came closest to it: none where no transfer lists the party.
    pub transfer: Option<TransferSource>,
}

/// A transfer of a holding, with the permits and rules that are behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferSource {
    /// Its number in `spec.transfers`, from 0.
    pub index: usize,
    /// The recipient.
    pub recipient: String,
    /// The permit for each category that is covered now: its number in the recipient's `spec.permits`, and the document's number.
    pub permits: Vec<PermitSource>,
    /// The rules of standards that judge the route.
    pub rules: Vec<StandardRule>,
}

/// The permit for a category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermitSource {
    /// The category.
    pub category: Category,
    /// The number of the permit in the recipient's `spec.permits`, from 0.
    pub index: u32,
    /// The number of the document on which it rests.
    pub document: Option<String>,
}

/// A rule of a standard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StandardRule {
    /// The standard.
    pub standard: String,
    /// Which part of it.
    pub part: RulePart,
}

/// A part of a standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RulePart {
    /// A rule of `spec.transfers`, by its number from 0.
    Transfer(u32),
    /// That no rule of `spec.transfers` is for data that the standard binds.
    NoRule,
    /// `spec.emptyTransfers`.
    EmptyTransfers,
}

/// Simulates a flow of a pod in these holdings.
#[must_use]
pub fn simulate(holdings: &[DataHolding], around: Surroundings<'_>, geo: &dyn CountrySource, flow: &Flow) -> Simulated {
    let documents: Vec<PolicyDocument> = holdings.iter().map(|holding| compile(holding, around).document).collect();
    let judge = Judge { documents: &documents, geo, peers: &NoPeers, now: around.now };
    let Explained { verdict, routes } = explain(judge, flow);
    let source = |Considered { document, route }: &Considered| {
        let document = documents.get(*document)?;
        let transfer = route.and_then(|index| Some(transfer(index, document.routes.get(index)?, around)));
        Some(RuleSource { holding: document.holding.to_string(), transfer })
    };
    Simulated { verdict, sources: routes.iter().filter_map(source).collect() }
}

fn transfer(index: usize, route: &Route, around: Surroundings<'_>) -> TransferSource {
    let current = |category: &Category| {
        let now = around.now;
        route.permits.iter().flatten().find(|permit| {
            permit.data.contains(category)
                && permit.valid_from.is_none_or(|from| from <= now)
                && permit.valid_until.is_none_or(|until| now < until)
        })
    };
    let permit = |category: &Category| {
        let index = current(category)?.permit;
        let recipient = around.recipients.get(&route.recipient)?;
        let permit = recipient.spec.permits.get(usize::try_from(index).ok()?)?;
        let document = permit.document.as_ref().map(|document| document.number.clone());
        Some(PermitSource { category: *category, index, document })
    };
    let constraints = route.constraints.iter().map(|constraint| StandardRule {
        standard: constraint.standard.clone(),
        part: constraint.rule.map_or(RulePart::NoRule, RulePart::Transfer),
    });
    let empty = route.empty.iter().flat_map(|empty| &empty.terms);
    let empty = empty.map(|terms| StandardRule { standard: terms.standard.clone(), part: RulePart::EmptyTransfers });
    TransferSource {
        index,
        recipient: route.recipient.clone(),
        permits: route.data.iter().filter_map(permit).collect(),
        rules: constraints.chain(empty).collect(),
    }
}

impl fmt::Display for Simulated {
    /// One line for the verdict, and one for each declaration behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Allow(grant) => {
                write!(f, "Allow")?;
                if let Some(least) = grant.budgets.iter().map(|budget| budget.max_out_per_day).min() {
                    write!(f, " within {least} bytes a pod and day (UTC)")?;
                }
            }
            Verdict::Deny(denial) => {
                write!(f, "Deny {}", denial.reason.code())?;
                if let Some(standard) = &denial.standard {
                    write!(f, " by SovereigntyStandard/{standard}")?;
                }
                if let Some(rule) = denial.rule {
                    write!(f, " spec.transfers[{rule}]")?;
                }
                write!(f, ": {}", denial.reason.sentence())?;
            }
        }
        if let Some(country) = self.verdict.country() {
            write!(f, "\n  country {country}")?;
        }
        for RuleSource { holding, transfer } in &self.sources {
            let Some(TransferSource { index, recipient, permits, rules }) = transfer else {
                write!(f, "\n  DataHolding {holding}: no transfer lists the destination")?;
                continue;
            };
            write!(f, "\n  DataHolding {holding} spec.transfers[{index}] to Recipient/{recipient}")?;
            for PermitSource { category, index, document } in permits {
                let document = document.as_ref().map(|document| format!(" ({document})")).unwrap_or_default();
                write!(f, "\n    {category} by Recipient/{recipient} spec.permits[{index}]{document}")?;
            }
            for StandardRule { standard, part } in rules {
                match part {
                    RulePart::Transfer(rule) => {
                        write!(f, "\n    judged by SovereigntyStandard/{standard} spec.transfers[{rule}]")?
                    }
                    RulePart::NoRule => write!(f, "\n    SovereigntyStandard/{standard} has no rule for the data")?,
                    RulePart::EmptyTransfers => write!(f, "\n    judged by SovereigntyStandard/{standard} spec.emptyTransfers")?,
                }
            }
        }
        Ok(())
    }
}
