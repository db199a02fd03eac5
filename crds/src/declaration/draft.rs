//! What a draft leaves open, whether any standard requires it or not: nobody has declared it.

use super::Lack;
use crate::DRAFT_LABEL;
use crate::control::ControlId;
use crate::data_holding::DataHolding;
use crate::draft::{PLACEHOLDER, UNKNOWN_COUNTRY, is_draft};

/// That the holding is a draft, and the placeholders that are left of one.
pub(super) fn lacks(holding: &DataHolding) -> Vec<Lack> {
    let spec = &holding.spec;
    let mut lacks = Vec::new();
    let mut when = |open: bool, field: &str, message: &str| {
        if open {
            lacks.push(Lack::new(field, ControlId::Inventory, message));
        }
    };
    let label = format!("metadata.labels[{DRAFT_LABEL}]");
    let message =
        "the holding is a draft that an annotation made, and nobody has declared it: fill it in, then take the label off";
    when(is_draft(holding), &label, message);
    when(spec.title.starts_with(PLACEHOLDER), "spec.title", "it is the placeholder of a draft");
    let name = "it is the placeholder of a draft: who decides what the data are used for is not declared";
    when(spec.controller.name.starts_with(PLACEHOLDER), "spec.controller.name", name);
    when(spec.controller.country == UNKNOWN_COUNTRY, "spec.controller.country", "the country of the controller is not declared");
    lacks
}
