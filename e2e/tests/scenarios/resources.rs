//! The sidecar fits the namespace and the pod: covered pods start under LimitRanges and ResourceQuotas that ask for limits, a pod of the
//! class Guaranteed stays so, an annotation raises what the sidecar has, and a LimitRange that leaves it too little is named.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::{LimitRange, Pod, ResourceQuota};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use shekara_e2e::holdings::{CONDITION, with};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::records::SIDECAR;
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};

const RANGE: &str = "range";

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    scenario.standard().await?;
    scenario.holding(&[]).await?;
    let own = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "50m", "memory": "64Mi"}});
    let guaranteed = pod(scenario, "guaranteed", &own, &json!({"shekara.dev/sidecar-cpu": "600m"}))?;
    scenario.api::<Pod>().create(&PostParams::default(), &guaranteed).await?;
    let both = json!({"cpu": "600m", "memory": "128Mi"});
    stands(scenario, "guaranteed", "Guaranteed", &json!({"requests": both, "limits": both})).await?;

    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "quota"},
        "spec": {"hard": {"limits.cpu": "8", "limits.memory": "8Gi", "requests.cpu": "8", "requests.memory": "8Gi"}}
    }))?;
    scenario.api::<ResourceQuota>().create(&PostParams::default(), &quota).await?;
    let limits = json!({"type": "Container", "min": {"memory": "48Mi"}, "maxLimitRequestRatio": {"memory": "2", "cpu": "10"}});
    range(scenario, &limits).await?;
    until("a pod is taken in a namespace with a quota", CONDITION, async || {
        let fits = pod(scenario, "fits", &own, &json!({}))?;
        let mut burstable = serde_json::to_value(fits)?;
        burstable = with(burstable, "/spec/containers/0/resources/requests/cpu", json!("10m"))?;
        let burstable: Pod = serde_json::from_value(burstable)?;
        match scenario.api::<Pod>().create(&PostParams::default(), &burstable).await {
            Ok(_) => Ok(Seen::Yes(())),
            // the quota is not counted yet
            Err(kube::Error::Api(status)) if status.message.contains("quota") => Ok(Seen::NotYet(status.message)),
            Err(error) => Err(error.into()),
        }
    })
    .await?;
    let fitted = json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}});
    stands(scenario, "fits", "Burstable", &fitted).await?;

    scenario.api::<LimitRange>().delete(RANGE, &DeleteParams::default()).await?;
    range(scenario, &json!({"type": "Container", "max": {"memory": "16Mi"}})).await?;
    until("a LimitRange that leaves too little is named", CONDITION, async || {
        let small = json!({"requests": {"cpu": "10m", "memory": "8Mi"}, "limits": {"cpu": "20m", "memory": "8Mi"}});
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        match scenario.api::<Pod>().create(&dry, &pod(scenario, "squeezed", &small, &json!({}))?).await {
            Err(kube::Error::Api(status)) if status.message.contains("16Mi of memory at most") => Ok(Seen::Yes(())),
            Err(kube::Error::Api(status)) => Ok(Seen::NotYet(status.message)),
            Err(error) => Err(error.into()),
            Ok(_) => bail!("the pod is taken"),
        }
    })
    .await
}

fn pod(scenario: &Scenario, name: &str, resources: &Value, annotations: &Value) -> Result<Pod> {
    let pod = serde_json::to_value(scenario.client_manifest(name, Cover::Covered)?.pod()?)?;
    let pod = with(pod, "/spec/containers/0/resources", resources.clone())?;
    Ok(serde_json::from_value(with(pod, "/metadata/annotations", annotations.clone())?)?)
}

async fn range(scenario: &Scenario, item: &Value) -> Result<()> {
    let range: LimitRange = serde_json::from_value(json!({"metadata": {"name": RANGE}, "spec": {"limits": [item]}}))?;
    scenario.api::<LimitRange>().create(&PostParams::default(), &range).await.map(drop).map_err(Into::into)
}

/// The pod becomes ready, in this class, with these resources of each of our containers.
async fn stands(scenario: &Scenario, name: &str, class: &str, resources: &Value) -> Result<()> {
    Client::ready(&scenario.api(), name).await?;
    let pod = scenario.api::<Pod>().get(name).await?;
    let found = pod.status.and_then(|status| status.qos_class).unwrap_or_default();
    ensure!(found == class, "{name} is {found}");
    let ours = pod.spec.into_iter().flat_map(|spec| spec.init_containers.into_iter().flatten());
    let proxy = ours.into_iter().find(|container| container.name == SIDECAR).context("there is no sidecar")?;
    let found = serde_json::to_value(proxy.resources)?;
    ensure!(found == *resources, "{name} has {found}");
    Ok(())
}
