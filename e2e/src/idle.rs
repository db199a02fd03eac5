//! A border that stands idle: where nothing changes nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use shekara_crds::PROTECT_LABEL;
use tokio::time::sleep;

use crate::measure;
use crate::operator_metrics::{api_server_counts, label};
use crate::scenario::Scenario;
use crate::wait::{Seen, still, until};
use crate::world::hosts::cast::CLINIC;

/// How long the cluster may take to become still after the border was put up.
const SETTLING: Duration = Duration::from_secs(120);

/// How long nothing was written when it counts as still: counts are kept every 30 s, those of what has just ended too.
const STILL: Duration = Duration::from_secs(35);

impl Scenario {
    /// Puts up a border, waits until the cluster is still, and asserts that within this window the API server is asked to write nothing
    /// that the operator could write.
    ///
    /// # Errors
    /// When something is written, or the cluster does not become still.
    pub async fn stands_idle(&self, window: Duration) -> Result<()> {
        let clinic = json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]);
        let border = self.border(&[("clinic", clinic)]).await?;
        border.stands(self.world()?).await?;
        others_are_gone(self).await?;
        still("the cluster is idle", STILL, SETTLING, async || writes(&self.kube).await).await?;
        let before = writes(&self.kube).await?;
        sleep(window).await;
        let written = difference(&before, &writes(&self.kube).await?);
        measure::print(&format!("writes of our kinds, Events, Secrets and ConfigMaps in {} s", window.as_secs()), written.len());
        ensure!(written.is_empty(), "the idle cluster was written to: {written:?}");
        Ok(())
    }
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
