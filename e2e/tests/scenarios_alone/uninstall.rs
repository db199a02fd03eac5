//! After `helm uninstall` no webhook and no admission policy is left, pods can be created, and pods that were covered before stay
//! behind their border by the last document. After another install new pods are covered again.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use shekara_e2e::cluster::{RELEASE, helm};
use shekara_e2e::pods::START;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::release;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let values = release::values().await?;
    helm(&["uninstall", RELEASE, "--wait", "--timeout", "2m"]).await?;
    let without = without_shekara(scenario, &border).await;
    // whatever came of it, the cluster is left as it was found
    release::install(&values).await?;
    without.context("after the uninstall")?;
    anew(scenario).await
}

async fn without_shekara(scenario: &Scenario, border: &Border) -> Result<()> {
    let mut left = Vec::new();
    left.extend(named_after_us::<MutatingWebhookConfiguration>(scenario).await?);
    left.extend(named_after_us::<ValidatingWebhookConfiguration>(scenario).await?);
    left.extend(named_after_us::<ValidatingAdmissionPolicy>(scenario).await?);
    left.extend(named_after_us::<ValidatingAdmissionPolicyBinding>(scenario).await?);
    ensure!(left.is_empty(), "the uninstall left {left:?}");
    let bare = scenario.client_in_time("bare", Cover::Covered).await?;
    let spec = bare.object().await?.spec.context("the pod has no spec")?;
    ensure!(spec.init_containers.unwrap_or_default().is_empty(), "something still changes pods");
    border.stands(scenario.world()?).await
}

async fn named_after_us<K>(scenario: &Scenario) -> Result<Vec<String>>
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let found = Api::<K>::all(scenario.kube.clone()).list(&ListParams::default()).await?;
    Ok(found.items.iter().map(K::name_any).filter(|name| name.contains(RELEASE)).collect())
}

/// The declarations were kept: once the pods of before are gone, a new one is covered and the holding is enforced.
async fn anew(scenario: &Scenario) -> Result<()> {
    let pods = scenario.api::<Pod>();
    for name in ["covered", "bare"] {
        pods.delete(name, &DeleteParams::default()).await?;
        until(&format!("{name} is gone"), START, async || {
            Ok(Seen::some_or(pods.get_opt(name).await?.is_none().then_some(()), "there"))
        })
        .await?;
    }
    scenario.client_in_time("anew", Cover::Covered).await?;
    scenario.enforcing(1).await.map(drop)
}
