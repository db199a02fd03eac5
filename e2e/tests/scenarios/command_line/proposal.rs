//! A draft is of what was seen, refused as it stands, and taken once each fact is filled in.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use shekara_e2e::holdings::FACE;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::world::hosts::cast::{ADS, MAPS};
use tokio::process::Command;

use super::program::{Program, at, fed};

/// Each fact that the draft leaves open, and one that the API server takes.
fn facts() -> [(&'static str, Value); 7] {
    [
        ("/spec/legalName", json!("Advertiser")),
        ("/spec/country", json!("US")),
        ("/spec/role", json!("Processor")),
        ("/spec/permits/0/data", json!([FACE])),
        ("/spec/permits/0/ground", json!("Contract")),
        ("/spec/permits/0/document/number", json!("1")),
        ("/spec/permits/0/validUntil", json!("2099-01-01T00:00:00Z")),
    ]
}

pub(super) async fn check(scenario: &Scenario, program: &Program, border: &Border) -> Result<()> {
    let log = border.covered.log(shekara_e2e::records::SIDECAR).await?;
    let manifest = program.fed(&["propose", "faces", "--records", "-"], &log).await?;
    ensure!(manifest.contains(&format!("{MAPS}:443 TLS in DE: CrossBorder")), "what Enforce denies is not said:\n{manifest}");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&manifest).with_context(|| format!("not YAML:\n{manifest}"))?;
    let drafts: Vec<Value> = documents.into_iter().filter(|document| *at(document, "/kind") == json!("Recipient")).collect();
    let is_ads = |draft: &&Value| *at(draft, "/spec/endpoints/0/host") == json!(ADS);
    let draft = drafts.iter().find(is_ads).with_context(|| format!("{ADS} is not drafted:\n{manifest}"))?;
    let seen = json!([{"host": ADS, "ports": [443], "protocol": "TLS"}]);
    ensure!(*at(draft, "/spec/endpoints") == seen, "other endpoints: {draft:#}");
    ensure!(*at(draft, "/spec/permits/0/holders") == json!([format!("{}/faces", scenario.namespace)]), "{draft:#}");
    ensure!(!drafts.iter().any(|draft| draft.to_string().contains(MAPS)), "{MAPS} is listed already:\n{manifest}");

    let (code, said) = dry_run(&manifest).await?;
    ensure!(code != 0, "the API server takes the manifest as it stands: {said}");
    let whole = filled(draft, None)?;
    let (code, said) = dry_run(&whole.to_string()).await?;
    ensure!(code == 0, "the draft is refused although every fact is filled in: {said}");
    for (fact, _) in facts() {
        let (code, said) = dry_run(&filled(draft, Some(fact))?.to_string()).await?;
        ensure!(code != 0, "the API server takes a draft without {fact}: {said}");
    }
    Ok(())
}

/// The draft with every fact but one.
fn filled(draft: &Value, but: Option<&str>) -> Result<Value> {
    let mut draft = draft.clone();
    for (fact, value) in facts().into_iter().filter(|(fact, _)| Some(*fact) != but) {
        *draft.pointer_mut(fact).with_context(|| format!("the draft has no {fact}"))? = value;
    }
    Ok(draft)
}

/// Has the API server judge a manifest, without taking it.
async fn dry_run(manifest: &str) -> Result<(i32, String)> {
    let mut kubectl = Command::new("kubectl");
    kubectl.args(["create", "--dry-run=server", "--filename", "-"]);
    fed(kubectl, manifest).await
}
