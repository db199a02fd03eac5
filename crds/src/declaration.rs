//! What a holding has not declared, of what the standards that apply to it require. It gates nothing: a flow is judged by routes
//! alone. What is declared is not measured by being declared.

mod draft;
mod held;
mod whole;

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use kube::ResourceExt as _;
use shekara_policy::Category;
use shekara_policy::category::CategoryPattern;

use crate::compile::{Surroundings, applies};
use crate::control::ControlId;
use crate::data_holding::{DataHolding, DataHoldingSpec};
use crate::narrowing;
use crate::sovereignty_standard::SovereigntyStandard;
use crate::sovereignty_standard::requirements::MaxRetention;

/// A declaration that is missing, expired, or past a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The field, as `spec.data[0].legalBasis`.
    pub field: String,
    /// The control that asks for it.
    pub control: ControlId,
    /// What is wrong, without the field.
    pub message: String,
    /// The names of the standards that require it; none for what the API itself asks of every holding.
    pub standards: BTreeSet<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, control, message, standards } = self;
        match standards.iter().map(String::as_str).collect::<Vec<_>>().join(", ").as_str() {
            "" => write!(f, "{field}: {message} ({control})"),
            standards => write!(f, "{field}: {message} ({control}; {standards})"),
        }
    }
}

/// Everything that is missing, in the order of the fields; what several standards require is named once.
#[must_use]
pub fn missing(holding: &DataHolding, around: Surroundings<'_>) -> Vec<Missing> {
    let spec = &holding.spec;
    let held = narrowing::counted(holding);
    let by_itself = |Lack { field, control, message }| Missing { field, control, message, standards: BTreeSet::new() };
    let mut found: Vec<Missing> = draft::lacks(holding).into_iter().map(by_itself).collect();
    for standard in around.standards.iter().filter(|standard| applies(standard, &held, around.namespace_labels)) {
        for lack in lacks(spec, standard, around.now) {
            let same = |known: &&mut Missing| {
                (&known.field, known.control, &known.message) == (&lack.field, lack.control, &lack.message)
            };
            if let Some(known) = found.iter_mut().find(same) {
                known.standards.insert(standard.name_any());
            } else {
                let Lack { field, control, message } = lack;
                found.push(Missing { field, control, message, standards: [standard.name_any()].into() });
            }
        }
    }
    found.sort();
    found
}

/// When something of what is declared begins or ends next, so that what is missing may be otherwise.
#[must_use]
pub fn next_change(spec: &DataHoldingSpec, now: Timestamp) -> Option<Timestamp> {
    let bases = spec.data.iter().filter_map(|held| held.legal_basis.as_ref()?.valid_until.as_ref());
    let certificates =
        spec.certificates.iter().flat_map(|certificate| [&certificate.valid_from, &certificate.valid_until]).flatten();
    bases.chain(certificates).filter_map(|instant| instant.parse().ok()).filter(|instant| *instant > now).min()
}

/// Something that is missing by one standard.
struct Lack {
    field: String,
    control: ControlId,
    message: String,
}

impl Lack {
    fn new(field: impl Into<String>, control: ControlId, message: impl Into<String>) -> Self {
        Self { field: field.into(), control, message: message.into() }
    }
}

fn lacks(spec: &DataHoldingSpec, standard: &SovereigntyStandard, now: Timestamp) -> Vec<Lack> {
    let bound: Vec<CategoryPattern> = patterns(&standard.spec.applies_to.data);
    let mut lacks = Vec::new();
    for requirement in &standard.spec.requires {
        for (index, held) in spec.data.iter().enumerate() {
            let Ok(category) = held.category.parse::<Category>() else { continue };
            if bound.iter().any(|pattern| pattern.matches(category)) {
                lacks.extend(held::lack(*requirement, &format!("spec.data[{index}]"), held, category, now));
                lacks.extend(whole::lack_of_category(*requirement, spec, category));
            }
        }
        lacks.extend(whole::lacks(*requirement, spec, now));
    }
    for longest in &standard.spec.max_retention {
        lacks.extend(too_long(spec, longest, &bound));
    }
    lacks
}

/// The periods that are longer than a standard lets data be kept.
fn too_long(spec: &DataHoldingSpec, longest: &MaxRetention, bound: &[CategoryPattern]) -> Vec<Lack> {
    let (limited, Ok(limit)) = (patterns(&longest.data), crate::duration(&longest.period)) else { return vec![] };
    let held = || spec.data.iter().filter_map(|held| held.category.parse::<Category>().ok());
    let mut lacks = Vec::new();
    for (index, period) in spec.retention.iter().flat_map(|retention| &retention.periods).enumerate() {
        let kept = patterns(&period.data);
        let concerned = |category: &Category| {
            [bound, &limited, &kept].iter().all(|patterns| patterns.iter().any(|pattern| pattern.matches(*category)))
        };
        let Some(category) = held().find(concerned) else { continue };
        if crate::duration(&period.period).is_ok_and(|kept| kept > limit) {
            let message = format!("{category} is kept for {}, and {} at most are allowed", period.period, longest.period);
            lacks.push(Lack::new(format!("spec.retention.periods[{index}].period"), ControlId::RetentionLimit, message));
        }
    }
    lacks
}

fn patterns(texts: &[String]) -> Vec<CategoryPattern> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// Whether an end has come. One that cannot be read has: it holds nothing up.
fn has_ended(until: Option<&str>, now: Timestamp) -> bool {
    until.is_some_and(|until| until.parse::<Timestamp>().map_or(true, |until| until <= now))
}

#[cfg(test)]
mod tests;
