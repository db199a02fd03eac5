//! What explains a failure: pods, containers, events, records, holdings, the operator's log.

use std::fmt::Write as _;

use anyhow::Result;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Event, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};
use shekara_crds::DataHolding;

use crate::cluster::{OPERATOR_NAMESPACE, operator_pods, within};
use crate::records;

const LAST_RECORDS: usize = 25;
const LAST_LINES: i64 = 40;
const LAST_EVENTS: usize = 30;

/// Everything that explains what happened in a namespace. What cannot be read is said in its place.
pub async fn namespace(client: &Client, namespace: &str) -> String {
    let mut text = String::new();
    part(&mut text, "holdings", holdings(client, namespace).await);
    part(&mut text, "pods", pods(client, namespace).await);
    part(&mut text, "events", events(client, namespace).await);
    part(&mut text, "operator", operator(client, namespace).await);
    text
}

/// The state of a pod in a line.
#[must_use]
pub fn pod(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("no phase");
    let init = status.init_container_statuses.iter().flatten();
    let containers = init.chain(status.container_statuses.iter().flatten()).map(container);
    let reason = status.message.or(status.reason).map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("{} {phase}{reason}: {}", pod.name_any(), containers.collect::<Vec<_>>().join("; "))
}

fn container(status: &ContainerStatus) -> String {
    let restarts = if status.restart_count > 0 { format!(", {} restarts", status.restart_count) } else { String::new() };
    let last = status.last_state.as_ref().map(state).filter(|_| status.restart_count > 0);
    let last = last.map(|last| format!(", before: {last}")).unwrap_or_default();
    let now = status.state.as_ref().map_or_else(|| "unknown".to_owned(), state);
    let ready = if status.ready { ", ready" } else { "" };
    format!("{} {now}{ready}{restarts}{last}", status.name)
}

fn state(state: &ContainerState) -> String {
    if let Some(ended) = &state.terminated {
        let message = ended.message.as_deref().map(|message| format!(" {}", message.trim())).unwrap_or_default();
        return format!("ended {} {}{message}", ended.exit_code, ended.reason.as_deref().unwrap_or(""));
    }
    if let Some(waiting) = &state.waiting {
        return format!("waiting {} {}", waiting.reason.as_deref().unwrap_or(""), waiting.message.as_deref().unwrap_or(""));
    }
    "running".to_owned()
}

fn part(text: &mut String, title: &str, content: Result<String>) {
    let content = content.unwrap_or_else(|error| format!("cannot be read: {error:#}"));
    let content = if content.trim().is_empty() { "none".to_owned() } else { content };
    // writing to a String does not fail
    let _ = writeln!(text, "--- {title}\n{}", content.trim_end());
}

async fn holdings(client: &Client, namespace: &str) -> Result<String> {
    let mut text = String::new();
    for holding in within::<DataHolding>(client, namespace).list(&ListParams::default()).await?.items {
        writeln!(text, "{} generation {}", holding.name_any(), holding.metadata.generation.unwrap_or_default())?;
        writeln!(text, "  status: {}", serde_json::to_string(&holding.status)?)?;
    }
    Ok(text)
}

async fn pods(client: &Client, namespace: &str) -> Result<String> {
    let api: Api<Pod> = within(client, namespace);
    let mut text = String::new();
    for one in api.list(&ListParams::default()).await?.items {
        writeln!(text, "{}", pod(&one))?;
        let spec = one.spec.clone().unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default();
        for container in init.iter().filter(|container| container.name.starts_with("shekara-")) {
            write!(text, "{}", sidecar(&api, &one.name_any(), &container.name).await)?;
        }
    }
    Ok(text)
}

async fn sidecar(api: &Api<Pod>, pod: &str, container: &str) -> String {
    let log = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    let log = match api.logs(pod, &log).await {
        Ok(log) => log,
        Err(error) => return format!("  {container}: no log: {error}\n"),
    };
    let records = records::parse(&log).unwrap_or_default();
    let other: Vec<&str> = log.lines().filter(|line| records::parse(line).is_ok_and(|records| records.is_empty())).collect();
    let mut text = String::new();
    for line in last(&other, LAST_RECORDS) {
        text += &format!("  {container}: {line}\n");
    }
    for record in last(&records, LAST_RECORDS) {
        text += &format!("  {container}: {}\n", records::line(record));
    }
    text
}

async fn events(client: &Client, namespace: &str) -> Result<String> {
    let mut events = within::<Event>(client, namespace).list(&ListParams::default()).await?.items;
    events.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0).or(event.event_time.clone().map(|time| time.0)));
    let line = |event: &Event| {
        let about = format!(
            "{}/{}",
            event.involved_object.kind.as_deref().unwrap_or(""),
            event.involved_object.name.as_deref().unwrap_or("")
        );
        format!(
            "{} {about} {}: {}\n",
            event.type_.as_deref().unwrap_or(""),
            event.reason.as_deref().unwrap_or(""),
            event.message.as_deref().unwrap_or("")
        )
    };
    Ok(last(&events, LAST_EVENTS).iter().map(line).collect())
}

async fn operator(client: &Client, namespace: &str) -> Result<String> {
    let api: Api<Pod> = within(client, OPERATOR_NAMESPACE);
    let mut text = String::new();
    for one in operator_pods(client).await? {
        writeln!(text, "{}", pod(&one))?;
        let log = LogParams { tail_lines: Some(LAST_LINES * 10), ..LogParams::default() };
        let log = api.logs(&one.name_any(), &log).await?;
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(namespace) || !line.contains("INFO")).collect();
        for line in last(&lines, usize::try_from(LAST_LINES)?) {
            writeln!(text, "  {line}")?;
        }
    }
    Ok(text)
}

fn last<T>(all: &[T], count: usize) -> &[T] {
    all.get(all.len().saturating_sub(count)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_in_a_line() {
        let one: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "a"}, "spec": {"containers": []},
            "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "shekara-init", "ready": false, "restartCount": 2, "image": "", "imageID": "",
                 "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "nft\n"}}}
            ]}
        })).unwrap();
        assert_eq!(pod(&one), "a Pending: shekara-init waiting CrashLoopBackOff , 2 restarts, before: ended 1 Error nft");
    }
}
