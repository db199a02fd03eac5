//! `kubectl shekara status`: what the cluster's objects say of each holding, in words.

mod closed;
mod inbound;

use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use serde_json::json;
use shekara_crds::data_holding::status::{Coverage, DataHoldingStatus, DenialSummary, TransferSummary, TransferVerdict};
use shekara_crds::data_holding::{Controller, Responsible, System};
use shekara_crds::draft::is_draft;
use shekara_crds::{DRAFT_LABEL, DRAFT_OF_ANNOTATION, DataHolding};

use crate::arguments::{Common, holding};
use crate::objects::{Need, Needs, Request, read};
use crate::output;
use crate::text::{Cell, Text, Tone};
use crate::words::{age, bytes, count, or_dash, until};

/// Which holdings to show.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// A holding by name, in full; a row for each holding when absent
    #[arg(value_parser = holding)]
    holding: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    let closed = if arguments.holding.is_some() { Need::Needed } else { Need::No };
    let needs = Needs { closed, ..Needs::default() };
    let mut objects = read(common, &Request { needs, holding: arguments.holding.clone(), ..Request::default() })?;
    output::notes(&objects.notes);
    if let Some(name) = &arguments.holding {
        let closed = objects.closed(name);
        if !closed.is_empty() {
            output::write(common.output, &closed::list(&closed), |_| closed::in_full(&closed, common.now()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let one = objects.holding(name, common)?.clone();
        objects.holdings = vec![one];
    }
    sort(&mut objects.holdings);
    let holdings = &objects.holdings;
    let list = json!({"apiVersion": "v1", "kind": "List", "items": holdings});
    output::write(common.output, &list, |wide| match &arguments.holding {
        Some(_) => in_full(holdings, common.now()),
        None => overview(holdings, wide, common.now()),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// In the order of namespaces and names.
pub(crate) fn sort(holdings: &mut [DataHolding]) {
    holdings.sort_by_cached_key(|holding| (holding.namespace(), holding.name_any()));
}

/// A row for each holding; why, for those that are not ready; everything where it may be wide.
fn overview(holdings: &[DataHolding], wide: bool, now: Timestamp) -> Text {
    let mut text = Text::default();
    if holdings.is_empty() {
        text.line("There is no DataHolding here.");
        return text;
    }
    let head = ["NAMESPACE", "NAME", "READY", "MODE", "COVERED", "DENIED", "EXPIRES", "AGE", "STANDARDS"];
    let shown = if wide { head.len() } else { head.len() - 1 };
    text.table(head.get(..shown).unwrap_or(&head), holdings.iter().map(|holding| row(holding, now, shown)).collect());
    let unready: Vec<Vec<Cell>> = holdings.iter().filter_map(unready).collect();
    if !unready.is_empty() {
        text.gap().table(&["NOT READY", "WHY"], unready);
    }
    if wide {
        for holding in holdings {
            text.gap();
            describe(&mut text, holding, now);
        }
    }
    text
}

fn row(holding: &DataHolding, now: Timestamp, columns: usize) -> Vec<Cell> {
    let status = holding.status.clone().unwrap_or_default();
    let coverage = status.coverage.as_ref();
    let mut row: Vec<Cell> = vec![
        holding.namespace().unwrap_or_default().into(),
        holding.name_any().into(),
        ready(holding).map_or_else(|| Cell::condition("Unknown"), |ready| Cell::condition(&ready.status)),
        mode(holding),
        or_dash(coverage.map(|coverage| coverage.summary.as_str())).into(),
        count(status.denied).into(),
        or_dash(status.expires.as_deref()).into(),
        or_dash(holding.creation_timestamp().map(|created| age(created.0, now)).as_deref()).into(),
        or_dash(status.standards.as_deref()).into(),
    ];
    row.truncate(columns);
    row
}

/// The mode as far as it is granted, and whether anybody has declared the holding yet.
fn mode(holding: &DataHolding) -> Cell {
    let granted = holding.status.as_ref().and_then(|status| status.mode);
    let mode = format!("{:?}", granted.unwrap_or(holding.spec.enforcement.mode));
    if is_draft(holding) { Cell::new(format!("{mode} (draft)"), Tone::Doubtful) } else { mode.into() }
}

/// The condition `Ready` of a holding.
pub(crate) fn ready(holding: &DataHolding) -> Option<&Condition> {
    holding.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == "Ready")
}

fn unready(holding: &DataHolding) -> Option<Vec<Cell>> {
    let name = format!("{}/{}", holding.namespace().unwrap_or_default(), holding.name_any());
    match ready(holding) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(vec![name.into(), ready.message.clone().into()]),
        None => Some(vec![name.into(), UNSEEN.into()]),
    }
}

const UNSEEN: &str = "The operator has not said anything of it yet: is it installed, and does it run?";

fn in_full(holdings: &[DataHolding], now: Timestamp) -> Text {
    let mut text = Text::default();
    for holding in holdings {
        text.gap();
        describe(&mut text, holding, now);
    }
    text
}

fn describe(text: &mut Text, holding: &DataHolding, now: Timestamp) {
    let (namespace, spec) = (holding.namespace().unwrap_or_default(), &holding.spec);
    text.heading(format!("{namespace}/{}: {}", holding.name_any(), spec.title));
    if is_draft(holding) {
        let of = holding.annotations().get(DRAFT_OF_ANNOTATION).map(|of| format!(" of {of}")).unwrap_or_default();
        let draft = format!("made by an annotation{of}: fill it in, then take the label {DRAFT_LABEL} off");
        text.field("Draft", Cell::new(draft, Tone::Doubtful));
    }
    text.field("System", spec.system.as_ref().map(system).unwrap_or_default());
    text.field("Controller", controller(&spec.controller));
    text.field("Responsible", spec.responsible.as_ref().map(responsible).unwrap_or_default());
    text.field("Data", spec.data.iter().map(|held| held.category.as_str()).collect::<Vec<_>>().join(", "));
    text.field("Taken away", taken_away(holding));
    let end = spec.enforcement.observe_until.as_deref().map(|end| format!(", until {}", until(end, now))).unwrap_or_default();
    text.field("Mode", format!("{:?}{end}", spec.enforcement.mode));
    let Some(status) = &holding.status else {
        text.field("Status", Cell::new(UNSEEN, Tone::Doubtful));
        return;
    };
    text.field("Standards", or_dash(status.standards.as_deref()));
    text.field("Expires", status.expires.as_deref().map(|end| until(end, now)).unwrap_or_default());
    let policy = status.policy.as_ref().map(|policy| format!("{}, loaded by {} pods", policy.digest, policy.loaded_by));
    text.field("Policy", policy.unwrap_or_default());
    text.field("Coverage", status.coverage.as_ref().map(coverage).unwrap_or_default());
    if let Some(inbound) = &status.inbound {
        text.field("Inbound", inbound::mode(inbound));
    }
    findings(text, holding, status);
}

/// What is held no longer and still binds.
fn taken_away(holding: &DataHolding) -> String {
    let held = holding.status.iter().flat_map(|status| &status.held);
    let taken: Vec<String> =
        held.filter_map(|held| Some(format!("{} on {}", held.category, held.removed_at.as_deref()?))).collect();
    if taken.is_empty() {
        return String::new();
    }
    format!("{}; it binds until the last pod has ended that was there before", taken.join(", "))
}

fn findings(text: &mut Text, holding: &DataHolding, status: &DataHoldingStatus) {
    text.gap().table(
        &["CONDITION", "STATUS", "REASON", "MESSAGE"],
        status
            .conditions
            .iter()
            .map(|said| {
                let stale = said.observed_generation.is_some_and(|seen| Some(seen) != holding.metadata.generation);
                let message = if stale { format!("(of an earlier declaration) {}", said.message) } else { said.message.clone() };
                vec![said.type_.clone().into(), Cell::condition(&said.status), said.reason.clone().into(), message.into()]
            })
            .collect(),
    );
    let uncovered = status.coverage.iter().flat_map(|coverage| &coverage.uncovered);
    let uncovered: Vec<Vec<Cell>> = uncovered.map(|pod| vec![pod.name.clone().into(), state(&pod.state)]).collect();
    if !uncovered.is_empty() {
        text.gap().table(&["UNCOVERED POD", "STATE"], uncovered);
    }
    flows(text, &status.transfers, &status.denials);
    status.inbound.iter().for_each(|inbound| inbound::flows(text, inbound));
    if status.truncated {
        text.gap().line("The lists of the status are bounded, and some of them were cut.");
    }
}

/// What left and what did not.
fn flows(text: &mut Text, transfers: &[TransferSummary], denials: &[DenialSummary]) {
    if !transfers.is_empty() {
        let head = ["TRANSFER", "COUNTRY", "DATA", "VERDICT", "FLOWS", "OUT", "IN", "LAST"];
        text.gap().table(
            &head,
            transfers
                .iter()
                .map(|transfer| {
                    let reason = transfer.reason.as_deref().map(|reason| format!(" {reason}")).unwrap_or_default();
                    let verdict = match transfer.verdict {
                        TransferVerdict::Allowed => Cell::new(format!("Allowed{reason}"), Tone::Good),
                        TransferVerdict::Observed => Cell::new(format!("Observed{reason}"), Tone::Doubtful),
                        TransferVerdict::Denied => Cell::new(format!("Denied{reason}"), Tone::Bad),
                    };
                    vec![
                        transfer.recipient.clone().into(),
                        country(transfer.country.as_deref()).into(),
                        data(&transfer.data).into(),
                        verdict,
                        count(transfer.flows).into(),
                        bytes(transfer.bytes_out).into(),
                        bytes(transfer.bytes_in).into(),
                        or_dash(transfer.last.as_deref()).into(),
                    ]
                })
                .collect(),
        );
    }
    if !denials.is_empty() {
        denied(text.gap(), denials);
    }
}

/// What was denied, and what of it passed while the holding observed.
fn denied(text: &mut Text, denials: &[DenialSummary]) {
    let observed = denials.iter().any(|denial| denial.observed.is_some());
    let shown = |head: &&str| observed || !["PASSED", "OUT"].contains(head);
    let heads: Vec<&str> = ["DENIED", "FLOWS", "PASSED", "OUT", "LAST DESTINATION", "LAST"].into_iter().filter(shown).collect();
    let row = |denial: &DenialSummary| {
        let mut row: Vec<Cell> = vec![Cell::new(denial.reason.clone(), Tone::Bad), count(denial.flows).into()];
        if observed {
            row.push(count(denial.observed.unwrap_or_default()).into());
            row.push(bytes(denial.bytes_out.unwrap_or_default()).into());
        }
        row.extend([or_dash(denial.last_destination.as_deref()), or_dash(denial.last.as_deref())].map(Cell::from));
        row
    };
    text.table(&heads, denials.iter().map(row).collect());
}

/// A state of a pod, as a cell.
pub(crate) fn state(state: &str) -> Cell {
    let tone = match state {
        "Enforcing" => Tone::Good,
        "Bare" | "Outdated" | "Gone" => Tone::Bad,
        _ => Tone::Doubtful,
    };
    Cell::new(state, tone)
}

fn system(system: &System) -> String {
    let name = system.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let part = system.part.as_deref().map(|part| format!(", part {part}")).unwrap_or_default();
    format!("{}{name}{part}", system.id)
}

fn controller(controller: &Controller) -> String {
    let number = controller.registration_number.as_deref().map(|number| format!(", {number}")).unwrap_or_default();
    format!("{} ({}{number})", controller.name, controller.country)
}

fn responsible(responsible: &Responsible) -> String {
    let parts = [Some(responsible.name.as_str()), responsible.position.as_deref(), responsible.contact.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn coverage(coverage: &Coverage) -> String {
    let states: Vec<String> = coverage.states.iter().map(|(state, pods)| format!("{pods} {state}")).collect();
    if states.is_empty() { coverage.summary.clone() } else { format!("{} ({})", coverage.summary, states.join(", ")) }
}

fn country(country: Option<&str>) -> &str {
    if country == Some("ZZ") { "unknown" } else { or_dash(country) }
}

fn data(data: &[String]) -> String {
    if data.is_empty() { "none".into() } else { data.join(",") }
}
