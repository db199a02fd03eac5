//! Without the operator the border stands: flows that are allowed go on and new ones are allowed by the last document, the others
//! stay closed, a live flow is not touched. Peers inside the cluster that are known go on, others are denied. A pod that would be covered
//! cannot be created bare, nor with a sidecar that is told to observe though the holding enforces; others can. When the operator is
//! back, what happened meanwhile is in the status, new pods are covered, and a holding that was deleted meanwhile is closed.
//!
//! Closes 14 of the threat model for an operator that is down.

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};
use shekara_crds::{DATA_ANNOTATION, DataHolding};
use shekara_e2e::clients::{curl, tcp};
use shekara_e2e::closed::closed;
use shekara_e2e::cluster::without_operator;
use shekara_e2e::holdings::{CONDITION, FACE, with};
use shekara_e2e::live::{ECHO_PORT, LiveFlow};
use shekara_e2e::pods::Client;
use shekara_e2e::pods::copied::{copy, with_value, with_variable};
use shekara_e2e::pods::workload::{Cover, Workload};
use shekara_e2e::records::is_denial;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::{ADS, CLINIC, ECHO};
use shekara_policy::Reason;

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let echo = scenario.world()?.hosts.get(ECHO)?.any_v4()?;
    let endpoints = json!([
        {"host": CLINIC, "ports": [443], "protocol": "TLS"},
        {"network": format!("{echo}/32"), "ports": [ECHO_PORT], "protocol": "TCP"},
    ]);
    let border = scenario.border(&[("party", endpoints)]).await?;
    let member =
        scenario.start(&Workload::new("member", Cover::Covered).serving("nginx", scenario.images.get("nginx")?, 80)).await?;
    scenario.enforcing(2).await?;
    until("the member is reached", CONDITION, async || Ok(border.covered.python(&tcp(member.v4()?, 80)).await?.seen())).await?;
    let mut live = LiveFlow::open(&border.covered, echo).await?;
    live.goes_on().await?;
    let ends = scenario
        .holding_with("ends", with(scenario.holding_spec(&[]), "/workloadSelector", json!({"matchLabels": {"app": "nobody"}}))?)
        .await?;
    scenario.condition("ends", "Accepted", "True").await?;
    without_operator(&scenario.kube, async || {
        stands(scenario, &border, &mut live).await?;
        scenario.api::<DataHolding>().delete("ends", &DeleteParams::default()).await?;
        peers(&border, &member).await
    })
    .await?;
    live.goes_on().await?;
    back(scenario, &border).await?;
    let closed = closed(scenario, ends.metadata.uid.as_deref().unwrap_or_default()).await?;
    ensure!(closed.registered.name == "ends" && closed.at_the_latest, "{closed:?}");
    Ok(())
}

async fn stands(scenario: &Scenario, border: &Border, live: &mut LiveFlow) -> Result<()> {
    live.goes_on().await?;
    border.stands(scenario.world()?).await?;
    scenario.refuses_covered_pods().await?;
    made_by_hand(scenario, border).await.context("pods made by hand")?;
    let mut marked = scenario.client_manifest("marked", Cover::Free)?.pod()?;
    marked.metadata.annotations = Some([(DATA_ANNOTATION.to_owned(), FACE.to_owned())].into());
    match scenario.api::<Pod>().create(&PostParams::default(), &marked).await {
        Err(kube::Error::Api(status)) if status.message.contains("says that it holds biometric.face") => {}
        Err(error) => return Err(error).context("the pod that says what it holds is refused for another reason"),
        Ok(_) => bail!("a pod that says what it holds was created without a draft"),
    }
    scenario.client("bystander", Cover::Free).await.context("a pod that no holding covers").map(drop)
}

/// A copy of a covered pod is as good as the pod; told to observe, to obey another root or to ask other resolvers, it is not.
async fn made_by_hand(scenario: &Scenario, border: &Border) -> Result<()> {
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let pods = scenario.api::<Pod>();
    let copied = copy(&border.covered.object().await?, "copied")?;
    pods.create(&dry, &copied).await.context("the copy of a covered pod is refused, so the next refusals say nothing")?;
    let told = json!({"name": "SHEKARA_OBSERVE_UNTIL", "value": "2200-01-01T00:00:00Z"});
    let read = json!({"name": "SHEKARA_OBSERVE_UNTIL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}});
    for (variable, why) in [(told, "was told to observe for longer"), (read, "does not have the sidecar of Shekara")] {
        match pods.create(&dry, &with_variable(&copied, &variable)?).await {
            Err(kube::Error::Api(status)) if status.message.contains(why) => {}
            Err(error) => return Err(error).with_context(|| format!("{variable}: refused for another reason")),
            Ok(_) => bail!("{variable}: the pod that observes without leave was created"),
        }
    }
    for (name, value) in [("SHEKARA_ROOT", "0".repeat(64)), ("SHEKARA_RESOLVERS", "192.0.2.53:53".to_owned())] {
        match pods.create(&dry, &with_value(&copied, name, &value)?).await {
            Err(kube::Error::Api(status)) if status.message.contains("shekara-genuine-pods") => {}
            Err(error) => return Err(error).with_context(|| format!("{name}: refused for another reason")),
            Ok(_) => bail!("{name}: the pod that obeys somebody else was created"),
        }
    }
    set_by_the_node(&pods, &dry, &copied).await
}

/// The same pod where the node sets the packet filter is taken, and with whatever would have the node let out somebody else, or be told
/// otherwise than the containers, it is not.
async fn set_by_the_node(pods: &Api<Pod>, dry: &PostParams, copied: &Pod) -> Result<()> {
    let mut by_node = serde_json::to_value(copied)?;
    let first = by_node.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut).context("no init containers")?;
    first.remove(0);
    *by_node.pointer_mut("/spec/initContainers/0/securityContext/capabilities").context("no capabilities")? =
        json!({"drop": ["SETUID"]});
    let asking = |annotation: &str| {
        let mut pod = by_node.clone();
        let annotations = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
        annotations.into_iter().for_each(|all| drop(all.insert("shekara.dev/packet-filter".into(), json!(annotation))));
        pod
    };
    pods.create(dry, &serde_json::from_value(asking("{}"))?).await.context("a pod whose packet filter the node sets")?;
    let listed = r#"{"datagrams":["192.0.2.40:5000","[2001:db8::4]:123"]}"#;
    pods.create(dry, &serde_json::from_value(asking(listed))?).await.context("with endpoints for datagrams")?;
    let mut tricks: Vec<Value> = [
        "",
        "[1000]",
        r#"{"user":1000}"#,
        r#"{"\u0075ser":1000}"#,
        r#"{"observeUntil":"2200-01-01T00:00:00Z"}"#,
        r#"{"datagrams":[],"user":1000}"#,
    ]
    .map(asking)
    .into();
    let mut another = asking("{}");
    let containers = another.pointer_mut("/spec/initContainers").and_then(Value::as_array_mut).context("no init containers")?;
    let able = json!({
        "name": "shekara-init", "image": "able", "command": ["able"], "securityContext": {"capabilities": {"add": ["NET_ADMIN"]}}
    });
    containers.push(able);
    tricks.push(another);
    for trick in tricks {
        match pods.create(dry, &serde_json::from_value(trick.clone())?).await {
            Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains("shekara") => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{trick}: refused for another reason"));
            }
            Ok(_) => bail!("a pod was taken that had to be refused: {trick}"),
        }
    }
    Ok(())
}

/// A peer that was known is reached, and nobody can say who another one is.
async fn peers(border: &Border, member: &Client) -> Result<()> {
    border.covered.python(&tcp(member.v4()?, 80)).await?.success().context("a known peer")?;
    let stranger = border.free.v4()?;
    border.covered.python(&tcp(stranger, 80)).await?.failure()?;
    let denied = |record: &_| is_denial(record, Reason::PeerUnanswered) && record.destination == Some(stranger);
    border.covered.record("a peer that nobody has asked about", denied).await.map(drop)
}

/// What happened meanwhile is reported, and a new pod is covered.
async fn back(scenario: &Scenario, border: &Border) -> Result<()> {
    scenario.client_in_time("another", Cover::Covered).await?;
    scenario.enforcing(3).await?;
    let api = scenario.api::<DataHolding>();
    let denied = until("the denial during the outage is in the status", CONDITION, async || {
        let found = api.list(&ListParams::default()).await?.items.pop().and_then(|holding| holding.status);
        let status = found.unwrap_or_default();
        let denial = status.denials.iter().find(|denial| denial.last_destination.as_deref() == Some(ADS)).cloned();
        Ok(Seen::some_or(denial, status))
    });
    denied.await?;
    let status = border.covered.run(&curl(&format!("https://{CLINIC}/"))).await?.success()?;
    ensure!(status == "200", "the clinic answers {status}");
    Ok(())
}
