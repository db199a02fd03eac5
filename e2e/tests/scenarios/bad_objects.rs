//! Objects that mean nothing are refused by the API server, and those that a schema cannot tell are shown by a condition. Either
//! way the field is named, and a corrected object is accepted.

use anyhow::{Context as _, Result, bail, ensure};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};
use shekara_crds::Recipient;
use shekara_e2e::holdings::{CONDITION, FACE, recipient_spec, with};
use shekara_e2e::scenario::Scenario;
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    refused(scenario).await?;
    scenario.standard().await?;
    scenario.recipient("clinic", endpoints(CLINIC)).await?;
    shown(scenario).await?;
    recipient_shown(scenario).await?;
    without_standard(scenario).await
}

fn endpoints(host: &str) -> Value {
    json!([{"host": host, "ports": [443], "protocol": "TLS"}])
}

/// What the API server says no to: the kind, where the spec is spoilt and how, and what the answer says.
async fn refused(scenario: &Scenario) -> Result<()> {
    let network = |network: &str| json!({"network": network, "ports": [443], "protocol": "TCP"});
    let both = json!({"host": CLINIC, "network": "192.0.2.0/24", "ports": [443], "protocol": "TCP"});
    let port = json!({"host": CLINIC, "ports": [70000], "protocol": "TLS"});
    let udp = json!({"host": CLINIC, "ports": [53], "protocol": "UDP"});
    let cases = [
        ("Recipient", "/endpoints/0", network("192.0.2.0/33"), "spec.endpoints[0].network"),
        ("Recipient", "/endpoints/0", network("192.0.2.1"), "spec.endpoints[0].network"),
        ("Recipient", "/endpoints/0", both, "spec.endpoints[0]"),
        ("Recipient", "/endpoints/0", port, "spec.endpoints[0].ports[0]"),
        ("Recipient", "/endpoints/0", udp, "spec.endpoints[0].protocol"),
        ("Recipient", "/country", json!("kz"), "spec.country"),
        ("Recipient", "/role", json!("Friend"), "spec.role"),
        ("Recipient", "/permits/0/data", json!(["biometric.aura"]), "spec.permits[0].data[0]"),
        ("Recipient", "/permits/0/validUntil", json!("tomorrow"), "spec.permits[0].validUntil"),
        ("SovereigntyStandard", "/networks/0/cidr", json!("10.40.0.0/99"), "spec.networks[0].cidr"),
        ("SovereigntyStandard", "/homeCountries", json!([]), "spec.homeCountries"),
        ("DataHolding", "/workloadSelector", json!({}), "spec.workloadSelector"),
        ("DataHolding", "/data", json!([]), "spec.data"),
        ("DataHolding", "/data/0/category", json!("biometric.aura"), "spec.data[0].category"),
        ("DataHolding", "/enforcement", json!({"mode": "Off"}), "spec.enforcement.mode"),
    ];
    for (kind, pointer, value, field) in cases {
        let spec = with(spec(scenario, kind)?, pointer, value.clone())?;
        let answer = refusal(scenario, kind, spec).await.with_context(|| format!("{kind} with {pointer} {value}"))?;
        ensure!(answer.contains(field), "{kind} with {pointer} {value}: the answer does not name {field}: {answer}");
    }
    Ok(())
}

/// A sound spec of a kind.
fn spec(scenario: &Scenario, kind: &str) -> Result<Value> {
    Ok(match kind {
        "Recipient" => recipient_spec(endpoints(CLINIC)),
        "DataHolding" => scenario.holding_spec(&["clinic"]),
        _ => with(scenario.standard_spec(), "/networks", json!([{"cidr": "10.40.0.0/16", "country": "KZ"}]))?,
    })
}

/// Asks the API server to create the object, without keeping it, and gives its refusal.
async fn refusal(scenario: &Scenario, kind: &str, spec: Value) -> Result<String> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("shekara.dev", "v1alpha1", kind));
    let api: Api<DynamicObject> = match kind {
        "DataHolding" => Api::namespaced_with(scenario.kube.clone(), &scenario.namespace, &resource),
        _ => Api::all_with(scenario.kube.clone(), &resource),
    };
    let object = DynamicObject::new(&scenario.named("bad"), &resource).data(json!({"spec": spec}));
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &object).await {
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(status.message),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("it is not refused"),
    }
}

/// What the schema lets through is a condition of the holding.
async fn shown(scenario: &Scenario) -> Result<()> {
    let sound = scenario.holding_spec(&["clinic"]);
    let cases = [
        ("/transfers/0/recipient", json!("nobody"), "RecipientNotFound", "spec.transfers[0].recipient"),
        ("/transfers/0/data", json!(["vehicle.location"]), "DataNotHeld", "spec.transfers[0].data"),
        ("/transfers/0/data", json!([]), "EmptyTransferDenied", "spec.transfers[0]"),
        (
            "/inCluster",
            json!([{"namespace": "nowhere", "service": "none", "data": [FACE]}]),
            "ServiceNotFound",
            "spec.inCluster[0]",
        ),
    ];
    for (pointer, value, reason, field) in cases {
        scenario.holding_with("faces", with(sound.clone(), pointer, value)?).await?;
        says(scenario, reason, field).await?;
    }
    scenario.holding_with("faces", sound).await?;
    scenario.condition("faces", "Accepted", "True").await?;

    let expired = with(recipient_spec(endpoints(CLINIC)), "/permits/0/validUntil", json!("2020-01-01T00:00:00Z"))?;
    scenario.recipient_with("clinic", expired).await?;
    says(scenario, "PermitExpired", "spec.permits[].validUntil").await?;
    scenario.recipient("clinic", endpoints(CLINIC)).await?;
    scenario.condition("faces", "Accepted", "True").await?;
    Ok(())
}

/// Waits until the holding says so: the reason and message may be of the case before while the status is the same.
async fn says(scenario: &Scenario, reason: &str, field: &str) -> Result<()> {
    until(&format!("the holding says {reason} of {field}"), CONDITION, async || {
        let condition = scenario.condition("faces", "Accepted", "False").await?;
        let so = condition.reason == reason && condition.message.contains(field);
        Ok(Seen::some_or(so.then_some(()), condition))
    })
    .await?;
    scenario.condition("faces", "Ready", "False").await.map(drop)
}

/// A recipient's own condition names the field.
async fn recipient_shown(scenario: &Scenario) -> Result<()> {
    scenario.recipient("odd", endpoints("clinic..example.kz")).await?;
    let api: Api<Recipient> = Api::all(scenario.kube.clone());
    until("the recipient says that its host is none", CONDITION, async || {
        let status = api.get(&scenario.named("odd")).await?.status.unwrap_or_default();
        let accepted = status.conditions.iter().find(|condition| condition.type_ == "Accepted");
        let so = accepted.is_some_and(|condition| {
            condition.status == "False"
                && condition.reason == "InvalidField"
                && condition.message.contains("spec.endpoints[0].host")
        });
        Ok(Seen::some_or(so.then_some(()), status))
    })
    .await
}

/// Data that no standard binds go nowhere.
async fn without_standard(scenario: &Scenario) -> Result<()> {
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}});
    let elsewhere = with(scenario.standard_spec(), "/appliesTo/namespaceSelector", selector)?;
    scenario.standard_with(elsewhere).await?;
    says(scenario, "NoStandard", "spec.data").await?;
    scenario.standard().await?;
    scenario.condition("faces", "Accepted", "True").await.map(drop)
}
