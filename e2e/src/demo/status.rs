//! What the holdings of the demo say of it, awaited and shown.

use std::time::Duration;

use anyhow::Result;
use kube::{Client as Kube, ResourceExt as _};
use shekara_crds::DataHolding;
use shekara_crds::data_holding::status::{TransferSummary, TransferVerdict};
use shekara_policy::Reason;

use super::stage::HOLDINGS;
use super::table;
use crate::cluster::{program, within};
use crate::wait::{Seen, until};

/// How long a flow may take to be in the status: sidecars report at intervals.
const REPORTED: Duration = Duration::from_secs(60);

/// What is expected of the transfers: the holding, the recipient, and the reason where every flow was denied.
const TRANSFERS: [(&str, &str, Option<&str>); 4] = [
    ("street-cameras", "city-clinic", None),
    ("fleet-telematics", "telematics-platform", None),
    ("fleet-telematics", "fleet-database", None),
    ("fleet-telematics", "vehicle-vendor", Some("CrossBorder")),
];

/// The reasons that are expected among the denials of each holding.
const DENIALS: [(&str, &[Reason]); 2] = [
    ("street-cameras", &[Reason::NoName, Reason::UnlistedDatagram, Reason::UnlistedParty, Reason::UnlistedQuestion]),
    ("fleet-telematics", &[Reason::CrossBorder, Reason::UnlistedParty]),
];

/// Shows `kubectl get dataholdings -A` and each holding's conditions, transfers and denials, and gives the expectations that fail.
pub(super) async fn show(kube: &Kube) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let mut holdings = Vec::new();
    for (namespace, name, _) in HOLDINGS {
        match reported(kube, namespace, name).await {
            Ok(holding) => holdings.push(holding),
            Err(error) => {
                failures.push(format!("status of {namespace}/{name}: {error:#}"));
                holdings.push(within::<DataHolding>(kube, namespace).get(name).await?);
            }
        }
    }
    println!("$ kubectl get dataholdings -A\n{}", program("kubectl", &["get", "dataholdings", "-A"]).await?);
    for holding in &holdings {
        println!("{}", describe(holding));
    }
    Ok(failures)
}

/// Waits until the status is as expected.
async fn reported(kube: &Kube, namespace: &str, name: &str) -> Result<DataHolding> {
    let api = within::<DataHolding>(kube, namespace);
    until(&format!("the status of {namespace}/{name} says what happened"), REPORTED, async || {
        let holding = api.get(name).await?;
        let missing = missing(&holding);
        Ok(if missing.is_empty() { Seen::Yes(holding) } else { Seen::NotYet(missing.join("; ")) })
    })
    .await
}

fn missing(holding: &DataHolding) -> Vec<String> {
    let status = holding.status.clone().unwrap_or_default();
    let mut missing = Vec::new();
    for kind in ["Accepted", "Covered", "Enforcing", "Ready"] {
        if !status.conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True") {
            missing.push(format!("{kind} is not True"));
        }
    }
    for (_, recipient, reason) in TRANSFERS.iter().filter(|(name, _, _)| *name == holding.name_any()) {
        let verdict = if reason.is_some() { TransferVerdict::Denied } else { TransferVerdict::Allowed };
        let is_it = |transfer: &TransferSummary| {
            let agrees = (transfer.verdict, transfer.reason.as_deref()) == (verdict, *reason);
            transfer.recipient == *recipient && agrees && transfer.flows > 0
        };
        if !status.transfers.iter().any(is_it) {
            missing.push(format!("no transfer to {recipient} that is {verdict:?} {}", reason.unwrap_or_default()));
        }
    }
    for reason in DENIALS.iter().filter(|(name, _)| *name == holding.name_any()).flat_map(|(_, reasons)| *reasons) {
        if !status.denials.iter().any(|denial| denial.reason == reason.code() && denial.flows > 0) {
            missing.push(format!("no denial for {reason}"));
        }
    }
    missing
}

fn describe(holding: &DataHolding) -> String {
    let status = holding.status.clone().unwrap_or_default();
    let conditions = status.conditions.iter().map(|condition| {
        [condition.type_.clone(), condition.status.clone(), condition.reason.clone(), condition.message.clone()]
    });
    let transfers = status.transfers.iter().map(|transfer| {
        let verdict = transfer
            .reason
            .clone()
            .map_or_else(|| format!("{:?}", transfer.verdict), |reason| format!("{:?} {reason}", transfer.verdict));
        let country = transfer.country.clone().unwrap_or_default();
        let counts = [transfer.flows, transfer.bytes_out, transfer.bytes_in].map(|count| count.to_string());
        let [flows, bytes_out, bytes_in] = counts;
        [transfer.recipient.clone(), country, transfer.data.join(" "), verdict, flows, bytes_out, bytes_in]
    });
    let denials = status
        .denials
        .iter()
        .map(|denial| [denial.reason.clone(), denial.flows.to_string(), denial.last_destination.clone().unwrap_or_default()]);
    let policy = status.policy.as_ref().map(|policy| format!("policy {}, loaded by {} pods\n", policy.digest, policy.loaded_by));
    format!(
        "{}/{}: {}\n{}{}{}{}",
        holding.namespace().unwrap_or_default(),
        holding.name_any(),
        holding.spec.title,
        table::render(&["CONDITION", "STATUS", "REASON", "MESSAGE"], &conditions.collect::<Vec<_>>()),
        table::render(&["TRANSFER", "COUNTRY", "DATA", "VERDICT", "FLOWS", "OUT", "IN"], &transfers.collect::<Vec<_>>()),
        table::render(&["DENIED", "FLOWS", "LAST DESTINATION"], &denials.collect::<Vec<_>>()),
        policy.unwrap_or_default(),
    )
}
