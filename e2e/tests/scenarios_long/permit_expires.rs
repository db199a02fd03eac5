//! The end of a permit comes while a flow lives and while there is no operator: the flow is closed within a second of that instant,
//! and says why; the destination sees nothing more. A flow under another permit goes on.
//!
//! Closes 20 of the threat model for what ends by time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use shekara_e2e::attempt::{Arrival, Attempt, all_closed, packets_from};
use shekara_e2e::clients::tcp;
use shekara_e2e::cluster::without_operator;
use shekara_e2e::holdings::{CONDITION, recipient_spec, with};
use shekara_e2e::live::{ECHO_PORT, LiveFlow};
use shekara_e2e::measure;
use shekara_e2e::operator_metrics::sidecar_counts;
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::ECHO;
use shekara_policy::Reason;
use shekara_policy::record::End;

/// How long the permit lasts from when it is written: the document reaches the pod and the operator is gone before its end.
const LASTS: SignedDuration = SignedDuration::from_secs(75);

/// How much of it must be left when the operator is gone.
const LEFT: f64 = 5.0;

/// What is promised.
const PROMISED: f64 = 1.0;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?;
    let (ending, lasting) = (echo.any_v4()?, echo.any_v6()?);
    let endpoints = json!([{"network": format!("{ending}/32"), "ports": [ECHO_PORT], "protocol": "TCP"}]);
    let others = json!([{"network": format!("{lasting}/128"), "ports": [ECHO_PORT], "protocol": "TCP"}]);
    let border = scenario.border(&[("party", endpoints.clone()), ("other", others)]).await?;
    border.covered.has_our_clock().await?;
    let mut closed = LiveFlow::open(&border.covered, ending).await?;
    let mut kept = LiveFlow::open(&border.covered, lasting).await?;

    let end = Timestamp::from_second((Timestamp::now() + LASTS).as_second())?;
    let spec = with(recipient_spec(endpoints), "/permits/0/validUntil", json!(end.to_string()))?;
    scenario.recipient_with("party", spec).await?;
    in_force(scenario, &border, end).await?;
    without_operator(&scenario.kube, async || expires(scenario, &border, end, &mut closed, &mut kept).await).await?;
    kept.goes_on().await?;
    scenario.enforcing(1).await.map(drop)
}

/// Waits until the sidecar enforces the document that names the end.
async fn in_force(scenario: &Scenario, border: &Border, end: Timestamp) -> Result<()> {
    until("the sidecar enforces the document with the end", CONDITION, async || {
        let text = scenario.file().await?.unwrap_or_default();
        let (bundle, _) = scenario.bundle().await?;
        #[allow(clippy::cast_precision_loss, reason = "a serial is a time in milliseconds, far below 2^53")]
        let serial = bundle.document.serial as f64;
        let enforced = sidecar_counts(&scenario.kube, &scenario.namespace, &border.covered.name, "shekara_policy_serial").await?;
        let named = text.contains(&end.to_string());
        Ok(Seen::some_or((named && (enforced - serial).abs() < 0.5).then_some(()), (named, serial, enforced)))
    })
    .await
}

async fn expires(scenario: &Scenario, border: &Border, end: Timestamp, closed: &mut LiveFlow, kept: &mut LiveFlow) -> Result<()> {
    let left = end.duration_since(Timestamp::now()).as_secs_f64();
    ensure!(left > LEFT, "the operator was there until {left:.1} s before the end");
    closed.goes_on().await.context("before the end")?;
    kept.goes_on().await.context("before the end")?;

    let end = end.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
    let late = closed.closed(Duration::from_secs_f64(left) + CONDITION).await? - end;
    measure::print("a live flow was closed after the end of its permit", format_args!("{:.0} ms", late * 1e3));
    ensure!((0.0..=PROMISED).contains(&late), "the flow was closed {late:.2} s after the end");

    let world = scenario.world()?;
    let (echo, since) = (world.hosts.get(ECHO)?.any_v4()?, world.sniffer.clock().await?);
    kept.goes_on().await.context("under another permit")?;
    let attempts = [Attempt::python("the recipient whose permit has ended", &tcp(echo, ECHO_PORT), Arrival::Packet(echo, "tcp"))];
    for outcome in all_closed(&world.sniffer, &border.covered, &border.free, &attempts).await? {
        outcome.failure()?;
    }
    let after = packets_from(&world.sniffer, &border.covered, echo, since).await?;
    ensure!(after.is_empty(), "{ECHO} still sees the pod: {after:?}");
    let reason = Some(Reason::PermitExpired);
    let ended = |record: &shekara_policy::record::FlowRecord| record.end == End::PolicyChanged && record.reason == reason;
    border.covered.record("the flow that was closed", ended).await?;
    let refused = |record: &_| is_denial(record, Reason::PermitExpired) && record.end == End::Refused;
    border.covered.record("a new flow", refused).await.map(drop)
}
