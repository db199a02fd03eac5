//! The records of sidecars, from files of their output.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;
use shekara_policy::record::FlowRecord;

/// Reads the records of files, and counts the lines that look like records and cannot be read.
pub(super) fn read(files: &[PathBuf]) -> Result<(Vec<FlowRecord>, usize)> {
    let (mut records, mut unread) = (Vec::new(), 0);
    for file in files {
        let text = if file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).context("standard input cannot be read")?;
            bytes
        } else {
            std::fs::read(file).with_context(|| format!("the records {} cannot be read", file.display()))?
        };
        let (read, not) = parse(&String::from_utf8_lossy(&text));
        records.extend(read);
        unread += not;
    }
    Ok((records, unread))
}

/// The records among the lines of a log: a sidecar's own log is beside them, and `kubectl logs --prefix` puts names before.
fn parse(log: &str) -> (Vec<FlowRecord>, usize) {
    let (mut records, mut unread) = (Vec::new(), 0);
    for line in log.lines() {
        let Some(json) = line.find('{').and_then(|begin| line.get(begin..)) else { continue };
        let is_record = serde_json::from_str::<Value>(json).is_ok_and(|value| value.get("verdict").is_some_and(Value::is_string));
        if is_record {
            match serde_json::from_str(json) {
                Ok(record) => records.push(record),
                Err(_) => unread += 1,
            }
        }
    }
    (records, unread)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: &str = r#"{"sequence":1,"time":"2026-11-24T12:00:00Z","durationMs":3,"protocol":"TLS","name":"ads.example.com","destination":"192.0.2.9","port":443,"verdict":"Deny","reason":"UnlistedParty","bytesOut":0,"bytesIn":0,"end":"Refused"}"#;

    #[test]
    fn records_are_told_from_the_log_around_them() {
        let later = RECORD.replace("\"port\"", "\"later\":1,\"port\"");
        let log = format!("starting\n{{\"level\":\"INFO\"}}\n{RECORD}\n[pod/a/shekara-proxy] {RECORD}\n{later}\n{{cut");
        let (records, unread) = parse(&log);
        assert_eq!((records.len(), unread), (2, 1));
    }

    proptest! {
        #[test]
        fn no_log_is_too_odd(log in "(\\PC|\n|\\{|\"verdict\":\"Deny\"){0,200}") {
            let (records, _) = parse(&log);
            prop_assert!(records.is_empty());
        }
    }
}
