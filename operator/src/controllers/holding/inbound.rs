//! Who connected to a holding's pods and who could not, as its status says it.

use std::collections::BTreeMap;

use shekara_crds::data_holding::status::{ClientSummary, InboundSummary};
use shekara_crds::sovereignty_standard::Listing;
use shekara_policy::PolicyDocument;

use super::flows::{DENIALS, LIST, OTHERS, add, denial, number, second};
use crate::ledger::{Counted, Totals};

/// What flows of clients that one thing let in have in common.
type Row = (String, Option<String>, Vec<String>);

/// Sums up what clients began. Lists are cut to those with the most flows.
pub(super) fn inbound(totals: &Totals, document: &PolicyDocument) -> InboundSummary {
    let mut clients: BTreeMap<Row, Counted> = BTreeMap::new();
    let mut denials: BTreeMap<&'static str, Counted> = BTreeMap::new();
    let mut observed: BTreeMap<&'static str, Counted> = BTreeMap::new();
    for (shared, counted) in totals.iter().filter(|(shared, _)| shared.inbound) {
        match shared.reason {
            None => {
                let by = shared.recipients.first().map_or(OTHERS, String::as_str).to_owned();
                let data = shared.data.iter().map(ToString::to_string).collect();
                add(&mut clients, (by, shared.country.map(|country| country.to_string()), data), counted);
            }
            Some(reason) => {
                add(&mut denials, reason.code(), counted);
                if shared.observed {
                    add(&mut observed, reason.code(), counted);
                }
            }
        }
    }
    let sum =
        |sums: &BTreeMap<&'static str, Counted>| sums.values().fold(0, |sum: u64, counted| sum.saturating_add(counted.flows));
    let denied = number(sum(&denials).saturating_sub(sum(&observed)));
    let mut rows: Vec<(Row, Counted)> = clients.into_iter().collect();
    if rows.len() > LIST {
        rows.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.flows));
        rows.truncate(LIST);
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    InboundSummary {
        mode: if document.inbound.is_some() { Listing::Listed } else { Listing::Open },
        clients: rows.into_iter().map(client).collect(),
        denials: denials.into_iter().take(DENIALS).map(|(reason, all)| denial(reason, all, observed.get(reason))).collect(),
        denied,
    }
}

fn client(((by, country, data), counted): (Row, Counted)) -> ClientSummary {
    ClientSummary {
        by,
        country,
        data,
        flows: number(counted.flows),
        bytes_out: number(counted.bytes_out),
        bytes_in: number(counted.bytes_in),
        last_client: Some(counted.last_destination).filter(|client| !client.is_empty()),
        last: Some(second(counted.last)),
    }
}
