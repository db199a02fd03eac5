//! What is known of holdings that are no more.

use jiff::Timestamp;
use serde_json::{Value, json};
use shekara_crds::closed::ClosedHolding;

use super::{controller, flows, responsible, system};
use crate::text::{Cell, Text, Tone};
use crate::words::until;

/// The holdings as a value.
pub(super) fn list(holdings: &[&ClosedHolding]) -> Value {
    let item = |closed: &&ClosedHolding| {
        let mut item = json!(closed);
        if let Some(fields) = item.as_object_mut() {
            fields.insert("kind".into(), "ClosedHolding".into());
        }
        item
    };
    json!({"apiVersion": "v1", "kind": "List", "items": holdings.iter().map(item).collect::<Vec<_>>()})
}

/// Each of them, with what was counted last.
pub(super) fn in_full(holdings: &[&ClosedHolding], now: Timestamp) -> Text {
    let mut text = Text::default();
    for closed in holdings {
        let registered = &closed.registered;
        text.gap().heading(format!("{}/{}: {}", registered.namespace, registered.name, registered.title));
        let latest = if closed.at_the_latest { ", or earlier, while the operator was away" } else { "" };
        text.field("Closed", Cell::new(format!("{}{latest}", until(&closed.closed_at, now)), Tone::Doubtful));
        text.field("UID", registered.uid.clone());
        text.field("System", registered.system.as_ref().map(system).unwrap_or_default());
        text.field("Controller", controller(&registered.controller));
        text.field("Responsible", registered.responsible.as_ref().map(responsible).unwrap_or_default());
        text.field("Data", registered.data.join(", "));
        text.field("Denied", closed.denied.to_string());
        flows(&mut text, &closed.transfers, &closed.denials);
        if closed.truncated {
            text.gap().line("Not all that was counted is kept.");
        }
    }
    text
}
