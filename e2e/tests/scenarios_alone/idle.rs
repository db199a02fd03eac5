//! Where nothing changes nothing is written: the API server counts what it is asked to write while a border stands idle.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use shekara_crds::PROTECT_LABEL;
use shekara_e2e::measure;
use shekara_e2e::operator_metrics::{api_server_counts, label};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, still, until};
use shekara_e2e::world::hosts::cast::CLINIC;
use tokio::time::sleep;

/// How long the cluster is watched, in seconds, where `SHEKARA_IDLE_SECONDS` does not say another number.
const WINDOW: u64 = 30;

/// How long the cluster may take to become still after the border was put up.
const SETTLING: Duration = Duration::from_secs(120);

/// How long nothing was written when it counts as still: counts are kept every 30 s, those of what has just ended too.
const STILL: Duration = Duration::from_secs(35);

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let clinic = json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]);
    let border = scenario.border(&[("clinic", clinic)]).await?;
    border.stands(scenario.world()?).await?;
    others_are_gone(scenario).await?;
    still("the cluster is idle", STILL, SETTLING, async || writes(&scenario.kube).await).await?;
    let window = Duration::from_secs(std::env::var("SHEKARA_IDLE_SECONDS").map_or(Ok(WINDOW), |text| text.parse())?);
    let before = writes(&scenario.kube).await?;
    sleep(window).await;
    let written = difference(&before, &writes(&scenario.kube).await?);
    measure::print(&format!("writes of our kinds, Events, Secrets and ConfigMaps in {} s", window.as_secs()), written.len());
    ensure!(written.is_empty(), "the idle cluster was written to: {written:?}");
    Ok(())
}

/// Waits until nothing is left of the scenarios before this one.
async fn others_are_gone(scenario: &Scenario) -> Result<()> {
    let protected = ListParams::default().labels(&format!("{PROTECT_LABEL}=true"));
    let namespaces: Api<Namespace> = Api::all(scenario.kube.clone());
    until("the namespaces of other scenarios are gone", SETTLING, async || {
        let all = namespaces.list(&protected).await?.items;
        let others = all.into_iter().map(|namespace| namespace.name_any()).filter(|name| *name != scenario.namespace);
        let others: Vec<String> = others.collect();
        Ok(Seen::some_or(others.is_empty().then_some(()), others))
    })
    .await
}

/// What the operator could write, by kind and verb. Leases are renewed, tokens reviewed, and nodes say that they live: those are
/// not looked at.
async fn writes(client: &Client) -> Result<BTreeMap<String, f64>> {
    let mut sums = BTreeMap::new();
    for (labels, value) in api_server_counts(client, "apiserver_request_total").await? {
        let of = |name| label(&labels, name).with_context(|| format!("a sample without {name}: {labels}"));
        let (group, resource, verb) = (of("group")?, of("resource")?, of("verb")?);
        let ours = group == "shekara.dev" || ["secrets", "configmaps", "events"].contains(&resource);
        if ours && ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"].contains(&verb) {
            *sums.entry(format!("{verb} {resource}")).or_default() += value;
        }
    }
    Ok(sums)
}

fn difference(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let more = |(what, number): (&String, &f64)| {
        let more = number - before.get(what).copied().unwrap_or_default();
        (more > 0.0).then(|| (what.clone(), more))
    };
    now.iter().filter_map(more).collect()
}
