//! The records of a sidecar, as its container's log has them.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use shekara_policy::Reason;
use shekara_policy::record::{Decision, FlowRecord};

/// The container of the sidecar.
pub const SIDECAR: &str = "shekara-proxy";

/// Every record of a pod's sidecar since it started.
///
/// # Errors
/// When the log cannot be read, or holds a record that is none.
pub async fn read(pods: &Api<Pod>, pod: &str) -> Result<Vec<FlowRecord>> {
    let log = LogParams { container: Some(SIDECAR.into()), ..LogParams::default() };
    let log = pods.logs(pod, &log).await.with_context(|| format!("the records of {pod} cannot be read"))?;
    parse(&log)
}

/// The records among the lines of a log. Other lines are the sidecar's own log: whatever has a verdict must be a record.
///
/// # Errors
/// When a line has a verdict and is no record.
pub fn parse(log: &str) -> Result<Vec<FlowRecord>> {
    let lines = log.lines().filter(|line| is_record(line));
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("not a record: {line}"))).collect()
}

fn is_record(line: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line)
        .is_ok_and(|value| value.get("verdict").is_some_and(serde_json::Value::is_string))
}

/// A record in a line for people: what was asked, what was decided.
#[must_use]
pub fn line(record: &FlowRecord) -> String {
    let name = record.name.as_deref().unwrap_or("-");
    let address = |address: Option<std::net::IpAddr>| address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    let country = record.country.map_or_else(|| "-".to_owned(), |country| country.to_string());
    let verdict =
        record.reason.map_or_else(|| format!("{:?}", record.verdict), |reason| format!("{:?} {reason}", record.verdict));
    format!(
        "#{} {} {name} chosen {} port {} dialled {} {country} {verdict} out {} in {} {:?}",
        record.sequence,
        record.protocol.as_str(),
        address(record.destination),
        record.port,
        address(record.dialled),
        record.bytes_out,
        record.bytes_in,
        record.end
    )
}

/// Whether the record is a denial for this reason.
#[must_use]
pub fn is_denial(record: &FlowRecord, reason: Reason) -> bool {
    record.verdict == Decision::Deny && record.reason == Some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"sequence":1,"time":"2026-11-24T12:00:00Z","durationMs":3,"protocol":"TLS","name":"ads.example.com",
        "destination":"192.0.2.9","port":443,"country":"KZ","verdict":"Deny","reason":"UnlistedParty","bytesOut":0,"bytesIn":0,"end":"Refused"}"#;

    #[test]
    fn records_are_told_from_the_sidecars_own_log() {
        let record = RECORD.replace('\n', "");
        let log = format!("starting\n{{\"level\":\"INFO\",\"message\":\"listening\"}}\n{record}\n");
        let records = parse(&log).unwrap();
        assert_eq!(records.len(), 1);
        assert!(is_denial(&records[0], Reason::UnlistedParty));
        assert!(!is_denial(&records[0], Reason::CrossBorder));
        let text = line(&records[0]);
        assert_eq!(text, "#1 TLS ads.example.com chosen 192.0.2.9 port 443 dialled - KZ Deny UnlistedParty out 0 in 0 Refused");
    }

    #[test]
    fn a_line_with_a_verdict_and_a_field_that_nobody_knows_is_an_error() {
        let record = RECORD.replace('\n', "").replace("\"port\"", "\"path\":\"/secret\",\"port\"");
        assert!(parse(&record).unwrap_err().to_string().starts_with("not a record"));
    }
}
