//! What came of a try: at the client, in the sidecar's record, at the destination.

use anyhow::{Context as _, Result};
use shekara_policy::Reason;
use shekara_policy::record::{Decision, FlowRecord};

use super::{Expected, Try};
use crate::attempt::{POD, arrived, arrives};
use crate::clients::curl_body;
use crate::demo::stage::{KIOSK, Stage};
use crate::pods::Client;
use crate::world::World;

/// The sidecar's metrics, on the pod's address.
const METRICS_PORT: u16 = 15020;
/// The counter of datagrams that reached the sink.
const DATAGRAMS: &str = "shekara_datagrams_denied_total ";

/// What came of a try.
pub(crate) struct Outcome {
    /// The client.
    pub(crate) client: String,
    /// The destination, in words.
    pub(crate) destination: String,
    country: String,
    expected: Expected,
    seen: Seen,
}

/// What was seen of a try.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Whether the client's command succeeded.
    succeeded: bool,
    /// The sidecar's record.
    record: Option<FlowRecord>,
    /// What was seen in the record's place where there has to be one.
    missing: Option<String>,
    /// By how much the count of datagrams that went nowhere has grown.
    datagrams: u64,
    /// Whether the destination saw anything of the client.
    arrived: bool,
    /// Whether the same attempt gets out of a pod that no holding covers; tried where nothing arrived.
    possible: Option<bool>,
}

impl Try {
    /// Makes the attempt, and where nothing arrives makes it again in the pod that no holding covers.
    pub(crate) async fn make(self, stage: &Stage, world: &World) -> Result<Outcome> {
        let (client, kiosk) = (stage.client(self.client)?, stage.client(KIOSK)?);
        let sniffer = &world.sniffer;
        let judged = self.client != KIOSK;
        let datagrams = async || if judged { datagrams(kiosk, client).await } else { Ok(0) };
        let last = if judged { client.records().await?.last().map_or(0, |record| record.sequence) } else { 0 };
        let (before, since) = (datagrams().await?, sniffer.clock().await?);
        let ran = self.attempt.make(client).await?;
        let (record, missing) = match &self.record {
            Some((protocol, name)) => {
                let name = name.as_ref().map(|name| name.replace(POD, &client.name));
                let is_it = |record: &FlowRecord| record.sequence > last && record.protocol == *protocol && record.name == name;
                match client.record(&self.attempt.what, is_it).await {
                    Ok(record) => (Some(record), None),
                    Err(error) => (None, Some(format!("{error:#}"))),
                }
            }
            None => (None, None),
        };
        let datagrams = datagrams().await? - before;
        let arrived = !arrived(sniffer, client, &self.attempt, since).await?.is_empty();
        let mut seen = Seen { succeeded: ran.succeeded(), record, missing, datagrams, arrived, possible: None };
        if !arrived && judged {
            self.attempt.make(kiosk).await?;
            seen.possible = Some(arrives(sniffer, kiosk, &self.attempt, since).await.is_ok());
        }
        Ok(Outcome {
            client: self.client.application.to_owned(),
            destination: self.attempt.what,
            country: self.country,
            expected: self.expected,
            seen,
        })
    }
}

/// How many datagrams of a pod went nowhere so far, by its sidecar's metrics.
async fn datagrams(asked_by: &Client, pod: &Client) -> Result<u64> {
    let address = pod.addresses.first().context("the pod has no address")?;
    let url = format!("http://{}/metrics", std::net::SocketAddr::new(*address, METRICS_PORT));
    let metrics = asked_by.run(&curl_body(&url)).await?.success()?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(DATAGRAMS));
    Ok(line.with_context(|| format!("{DATAGRAMS}is not among the metrics of {}", pod.name))?.trim().parse()?)
}

impl Outcome {
    /// The cells of the table.
    pub(crate) fn cells(&self) -> [String; 6] {
        let (verdict, reason) = self.verdict();
        let saw = if self.seen.arrived { "yes" } else { "no" };
        [&self.client, &self.destination, &self.country, &verdict, &reason, saw].map(|cell| cell.to_owned())
    }

    fn verdict(&self) -> (String, String) {
        let Some(record) = &self.seen.record else {
            return match self.expected {
                Expected::Unjudged => ("not judged".into(), "no holding".into()),
                Expected::DenyDatagram if self.seen.datagrams > 0 => ("Deny".into(), Reason::UnlistedDatagram.code().into()),
                Expected::Drop if !self.seen.succeeded => ("Deny".into(), "packet filter".into()),
                _ => ("unknown".into(), "no record".into()),
            };
        };
        let reason = record.reason.map(|reason| reason.code().to_owned()).unwrap_or_default();
        match (&self.expected, record.verdict, record.dialled) {
            (Expected::AllowElsewhere(_), Decision::Allow, Some(there)) => (format!("Allow, to {there}"), reason),
            _ => (format!("{:?}", record.verdict), reason),
        }
    }

    /// Why it is not as expected.
    pub(crate) fn failure(&self) -> Option<String> {
        let Seen { succeeded, record, missing, datagrams, arrived, possible } = &self.seen;
        let verdict = record.as_ref().map(|record| (record.verdict, record.reason));
        let dialled = record.as_ref().and_then(|record| record.dialled);
        let (verdict_holds, succeeds, arrives) = match &self.expected {
            Expected::Allow => (verdict == Some((Decision::Allow, None)), true, true),
            Expected::AllowElsewhere(there) => {
                let led = dialled.is_some_and(|address| there.contains(&address));
                (verdict == Some((Decision::Allow, None)) && led, true, false)
            }
            Expected::Deny(reason) => (verdict == Some((Decision::Deny, Some(*reason))), false, false),
            Expected::DenyDatagram => (*datagrams > 0, true, false),
            Expected::Drop => (true, false, false),
            Expected::Unjudged => (record.is_none(), true, true),
        };
        // dig succeeds with an answer that denies
        let denied_answer = record.as_ref().is_some_and(|record| record.protocol == shekara_policy::Protocol::Dns);
        let mut wrong: Vec<String> = missing.iter().cloned().collect();
        let expected = &self.expected;
        if !verdict_holds && missing.is_none() {
            wrong.push(format!("{expected:?} is expected, the record says {verdict:?}, dialled {dialled:?}"));
        }
        if *succeeded != succeeds && !denied_answer {
            wrong.push(format!("{expected:?} is expected, the client {}", if *succeeded { "succeeded" } else { "failed" }));
        }
        if *arrived != arrives {
            wrong.push(format!("{expected:?} is expected, the destination saw {}", if *arrived { "it" } else { "nothing" }));
        }
        if *possible == Some(false) {
            wrong.push("the same attempt does not get out of a pod that no holding covers, so nothing is proven".into());
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(expected: Expected, seen: Seen) -> Outcome {
        Outcome { client: "a".into(), destination: "b".into(), country: "KZ".into(), expected, seen }
    }

    fn record(verdict: &str, reason: Option<&str>, dialled: Option<&str>) -> Option<FlowRecord> {
        let record = serde_json::json!({
            "sequence": 1, "time": "2026-11-24T12:00:00Z", "durationMs": 3, "protocol": "TLS", "port": 443, "verdict": verdict,
            "reason": reason, "dialled": dialled, "bytesOut": 1, "bytesIn": 1, "end": "Completed",
        });
        Some(serde_json::from_value(record).unwrap())
    }

    #[test]
    fn an_outcome_as_expected_fails_nothing() {
        let allowed =
            Seen { succeeded: true, record: record("Allow", None, Some("192.0.2.10")), arrived: true, ..Seen::default() };
        assert_eq!(outcome(Expected::Allow, allowed.clone()).failure(), None);
        let elsewhere = Seen { arrived: false, possible: Some(true), ..allowed };
        let expected = Expected::AllowElsewhere(vec!["192.0.2.10".parse().unwrap()]);
        assert_eq!(outcome(expected.clone(), elsewhere.clone()).failure(), None);
        assert_eq!(outcome(expected, elsewhere).cells()[3], "Allow, to 192.0.2.10");
        let denied = Seen { record: record("Deny", Some("CrossBorder"), None), possible: Some(true), ..Seen::default() };
        assert_eq!(outcome(Expected::Deny(Reason::CrossBorder), denied).failure(), None);
        let datagram = Seen { succeeded: true, datagrams: 1, possible: Some(true), ..Seen::default() };
        assert_eq!(outcome(Expected::DenyDatagram, datagram).cells()[3..], ["Deny", "UnlistedDatagram", "no"]);
        assert_eq!(outcome(Expected::Drop, Seen::default()).failure(), None);
    }

    #[test]
    fn each_difference_is_named() {
        let leaked = Seen { record: record("Deny", Some("CrossBorder"), None), arrived: true, ..Seen::default() };
        let failure = outcome(Expected::Deny(Reason::CrossBorder), leaked).failure().unwrap();
        assert_eq!(failure, "Deny(CrossBorder) is expected, the destination saw it");
        let other = Seen { record: record("Deny", Some("NoPermit"), None), possible: Some(false), ..Seen::default() };
        let failure = outcome(Expected::Deny(Reason::CrossBorder), other).failure().unwrap();
        assert!(failure.contains("NoPermit") && failure.contains("nothing is proven"), "{failure}");
        let unseen = Seen { succeeded: false, record: record("Allow", None, Some("192.0.2.10")), ..Seen::default() };
        let failure = outcome(Expected::Allow, unseen).failure().unwrap();
        assert!(failure.contains("the client failed") && failure.contains("saw nothing"), "{failure}");
        let not_counted = Seen { succeeded: true, ..Seen::default() };
        assert!(outcome(Expected::DenyDatagram, not_counted).failure().is_some());
        let abroad = Seen { succeeded: true, record: record("Allow", None, Some("198.51.100.10")), ..Seen::default() };
        assert!(outcome(Expected::AllowElsewhere(vec![]), abroad).failure().is_some());
    }
}
