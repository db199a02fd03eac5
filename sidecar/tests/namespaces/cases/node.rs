//! The plugin by which the node sets the packet filter of a pod.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::actor::{Actor, profile};
use crate::document::document;
use crate::place::Place;
use crate::policy_api::PolicyApi;
use crate::world::{CLINIC, SHOP};

/// What a plugin before has made.
fn made() -> Value {
    json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/run/netns/pod"}], "ips": [{"address": "10.244.1.2/24"}]})
}

/// Calls the plugin for the pod as a container runtime does, with this annotation; whether it succeeded, and its answer.
async fn call(place: &Place, command: &str, annotation: Option<&str>) -> (bool, Value) {
    let annotations = annotation.map(|text| json!({"shekara.dev/packet-filter": text})).unwrap_or(json!({}));
    let config = json!({
        "cniVersion": "1.0.0", "name": "kindnet", "type": "shekara", "prevResult": made(),
        "runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotations},
    });
    let mut plugin = Command::new(place.path("shekara"));
    plugin.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CNI_COMMAND", command).env("CNI_CONTAINERID", "c");
    plugin
        .env("CNI_NETNS", format!("/run/netns/{}", place.pod.name))
        .env("CNI_IFNAME", "eth0")
        .envs(profile())
        .kill_on_drop(true);
    let mut child = plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // what it does not need it need not have read
    let _ = child.stdin.take().unwrap().write_all(config.to_string().as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let answer = if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).unwrap() };
    (output.status.success(), answer)
}

#[tokio::test]
async fn it_sets_the_same_packet_filter_and_hands_on_what_was_made() {
    let mut place = Place::by_user();
    assert_eq!(call(&place, "ADD", Some(r#"{"user":1900000000}"#)).await, (true, made()));
    assert_eq!(call(&place, "CHECK", Some(r#"{"user":1900000000}"#)).await, (true, Value::Null));
    place.api = Some(PolicyApi::start(&place.world, &[document()]));
    place.run();
    place.ready().await;
    place.curl_as(Actor::RestrictedApp, &["-4", &format!("https://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.curl_as(Actor::RestrictedApp, &[&format!("http://{}/", SHOP.v4)]).await.failed();
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok, "{said:?}");
    for family in ["netdev", "inet"] {
        assert!(place.command(Actor::Init, "nft", &["delete", "table", family, "shekara"]).await.ok);
        let (ok, answer) = call(&place, "CHECK", Some(r#"{"user":1900000000}"#)).await;
        assert!(!ok && answer["code"] == 102, "{answer}");
        assert!(call(&place, "ADD", Some(r#"{"user":1900000000}"#)).await.0);
    }
}

#[tokio::test]
async fn a_pod_without_the_annotation_is_left_as_it_is() {
    let place = Place::open();
    assert_eq!(call(&place, "ADD", None).await, (true, made()));
    let url = format!("http://{}/", SHOP.v4);
    place.curl(&[&url]).await.served_by(SHOP.v4);
    assert_eq!(call(&place, "ADD", Some("{}")).await, (true, made()));
    place.curl(&[&url]).await.failed();
}

#[tokio::test]
async fn a_pod_whose_annotation_cannot_be_obeyed_gets_no_network() {
    let place = Place::open();
    for annotation in ["", r#"{"user":0}"#, r#"{"open":true}"#] {
        let (ok, answer) = call(&place, "ADD", Some(annotation)).await;
        let said = answer["msg"].as_str().unwrap();
        assert!(!ok && answer["code"] == 100 && said.contains("shekara.dev/packet-filter"), "{answer}");
    }
}

#[tokio::test]
async fn it_answers_whatever_a_container_runtime_asks() {
    let place = Place::open();
    let (ok, answer) = call(&place, "VERSION", None).await;
    assert!(ok && answer["supportedVersions"].as_array().unwrap().contains(&json!("1.0.0")), "{answer}");
    for command in ["DEL", "GC", "STATUS"] {
        assert_eq!(call(&place, command, Some("{}")).await, (true, Value::Null), "{command}");
    }
}
