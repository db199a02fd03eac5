//! Who connected to the workloads of a holding.

use shekara_crds::data_holding::status::{ClientSummary, DenialSummary, InboundSummary};
use shekara_crds::sovereignty_standard::Listing;

use crate::text::{Cell, Text, Tone};
use crate::words::{bytes, count, or_dash};

/// Whether clients must be listed.
pub(super) fn mode(inbound: &InboundSummary) -> Cell {
    match inbound.mode {
        Listing::Open => Cell::new("Open: no standard asks that clients be listed, so whoever connects can read", Tone::Doubtful),
        Listing::Listed => "Listed".into(),
    }
}

/// Who connected and who could not.
pub(super) fn flows(text: &mut Text, inbound: &InboundSummary) {
    if !inbound.clients.is_empty() {
        let head = ["LET IN BY", "COUNTRY", "FLOWS", "READ", "SENT", "LATEST CLIENT"];
        text.gap().table(&head, inbound.clients.iter().map(client).collect());
    }
    if !inbound.denials.is_empty() {
        text.gap().table(&["CLIENTS DENIED", "FLOWS", "LATEST CLIENT"], inbound.denials.iter().map(denial).collect());
    }
}

fn client(client: &ClientSummary) -> Vec<Cell> {
    vec![
        client.by.clone().into(),
        or_dash(client.country.as_deref()).into(),
        count(client.flows).into(),
        bytes(client.bytes_out).into(),
        bytes(client.bytes_in).into(),
        or_dash(client.last_client.as_deref()).into(),
    ]
}

fn denial(denial: &DenialSummary) -> Vec<Cell> {
    let client = or_dash(denial.last_destination.as_deref());
    vec![Cell::new(denial.reason.clone(), Tone::Bad), count(denial.flows).into(), client.into()]
}
