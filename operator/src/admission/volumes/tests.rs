use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::super::tests::{answer, pod, review};
use super::*;
use crate::admission::Distributed;
use crate::documents::Documents;
use crate::events;
use crate::fixtures::{ApiServer, caches, config, covered_pod, holding, namespace, published};
use crate::keys::Keys;
use crate::metrics::Metrics;

/// A webhook in a cluster with these objects, whose standard lists the driver `home`.
async fn admission(objects: Vec<(String, Value)>, pods: &[Value]) -> Admission {
    let standard = json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
        "spec": {
            "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["KZ"],
            "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Contract"]}],
            "storage": {"mode": "Listed", "drivers": [{"name": "home", "country": "KZ"}, {"name": "abroad", "country": "DE"}]}
        }
    });
    let known = [namespace("cameras", json!({"shekara.dev/protect": "true"})), holding("faces", "recognizer"), standard];
    let known: Vec<Value> = known.into_iter().chain(pods.iter().cloned()).collect();
    let (_, client) = ApiServer::start(objects).await;
    let (config, metrics) = (Arc::new(config()), Arc::new(Metrics::new().unwrap()));
    let (notices, _) = events::channel(client.clone(), &config, Arc::clone(&metrics));
    let documents = Arc::new(Documents::default());
    documents.publish("cameras", "faces", Some(published("faces", "recognizer", "sha256:1")));
    let authorities = watch::channel(vec!["PEM".to_owned()]).1;
    let paths = watch::channel(vec![]).1;
    let distributed = Distributed { authorities, paths, keys: Keys::of_test(), documents };
    Admission::new(client, &config, &Arc::new(caches(&known)), distributed, notices, &metrics)
}

fn claim(name: &str, spec: Value) -> (String, Value) {
    let path = format!("/api/v1/namespaces/cameras/persistentvolumeclaims/{name}");
    (path, json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "uid": "u"}, "spec": spec}))
}

fn beta(name: &str, class: &str, spec: Value) -> (String, Value) {
    let (path, mut claim) = claim(name, spec);
    claim["metadata"]["annotations"] = json!({"volume.beta.kubernetes.io/storage-class": class});
    (path, claim)
}

fn volume(name: &str, annotations: Value, spec: Value) -> (String, Value) {
    let path = format!("/api/v1/persistentvolumes/{name}");
    (
        path,
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "annotations": annotations}, "spec": spec}),
    )
}

fn class(name: &str, provisioner: &str, annotations: Value) -> Value {
    json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner})
}

fn cluster() -> Vec<(String, Value)> {
    let classes = "/apis/storage.k8s.io/v1/storageclasses";
    let default = class("usual", "home", json!({"storageclass.kubernetes.io/is-default-class": "true"}));
    let list = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClassList", "metadata": {}, "items": [class("fast", "fast", json!({})), default]});
    vec![
        (classes.to_owned(), list),
        (format!("{classes}/usual"), class("usual", "home", json!({}))),
        (format!("{classes}/cloud"), class("cloud", "abroad", json!({}))),
        claim("bound", json!({"volumeName": "v1", "storageClassName": "cloud"})),
        volume("v1", json!({}), json!({"csi": {"driver": "home", "volumeHandle": "1"}})),
        claim("made", json!({"volumeName": "v2"})),
        volume("v2", json!({"pv.kubernetes.io/provisioned-by": "home"}), json!({"hostPath": {"path": "/a"}})),
        claim("by-hand", json!({"volumeName": "v3"})),
        volume("v3", json!({}), json!({"nfs": {"server": "192.0.2.1", "path": "/"}})),
        claim("lost", json!({"volumeName": "v4"})),
        claim("waits", json!({"storageClassName": "cloud"})),
        claim("usual", json!({})),
        claim("classless", json!({"storageClassName": ""})),
        beta("beta", "cloud", json!({"storageClassName": "usual"})),
        claim("hands", json!({"storageClassName": "hands"})),
        (format!("{classes}/hands"), class("hands", "kubernetes.io/no-provisioner", json!({}))),
        (
            "/api/v1/persistentvolumes".to_owned(),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeList", "metadata": {}, "items": [
                {"metadata": {"name": "v5"}, "spec": {"storageClassName": "hands", "csi": {"driver": "home", "volumeHandle": "5"}}},
                {"metadata": {"name": "v6"}, "spec": {"storageClassName": "hands", "nfs": {"server": "192.0.2.1", "path": "/"}}},
            ]}),
        ),
    ]
}

/// A volume of a covered pod, and what the refusal says of it, if it is refused.
#[rstest]
#[case::bound(json!({"persistentVolumeClaim": {"claimName": "bound"}}), None)]
#[case::made_by_a_provisioner(json!({"persistentVolumeClaim": {"claimName": "made"}}), None)]
#[case::made_by_hand(json!({"persistentVolumeClaim": {"claimName": "by-hand"}}), Some("spec.volumes[0].persistentVolumeClaim.claimName: its driver is nfs"))]
#[case::a_volume_that_is_gone(json!({"persistentVolumeClaim": {"claimName": "lost"}}), Some("nobody can say of which driver it is"))]
#[case::not_bound_yet(json!({"persistentVolumeClaim": {"claimName": "waits"}}), Some("its driver is abroad"))]
#[case::the_default_class(json!({"persistentVolumeClaim": {"claimName": "usual"}}), None)]
#[case::the_annotation_counts_before_the_field(json!({"persistentVolumeClaim": {"claimName": "beta"}}), Some("its driver is abroad"))]
#[case::and_so_with_the_pod(json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "cloud"}}, "spec": {"storageClassName": "usual"}}}}), Some("its driver is abroad"))]
#[case::one_of_those_that_people_made(json!({"persistentVolumeClaim": {"claimName": "hands"}}), Some("its driver is nfs"))]
#[case::for_a_volume_made_by_hand(json!({"persistentVolumeClaim": {"claimName": "classless"}}), Some("nobody can say"))]
#[case::no_such_claim(json!({"persistentVolumeClaim": {"claimName": "none"}}), Some("nobody can say"))]
#[case::csi(json!({"csi": {"driver": "s3.example.com"}}), Some("spec.volumes[0].csi.driver: its driver is s3.example.com"))]
#[case::csi_at_home(json!({"csi": {"driver": "home"}}), None)]
#[case::with_the_pod(json!({"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "cloud"}}}}), Some("its driver is abroad"))]
#[case::of_no_driver(json!({"emptyDir": {}}), None)]
#[tokio::test]
async fn a_volume_of_a_driver_that_no_standard_lists_is_refused(#[case] mut volume: Value, #[case] expected: Option<&str>) {
    volume["name"] = json!("data");
    let mut pod = pod("recognizer");
    pod["spec"]["volumes"] = json!([volume]);
    let (_, answer) = answer(admission(cluster(), &[]).await, review(pod)).await;
    assert_eq!(answer["response"]["allowed"], json!(expected.is_none()), "{answer}");
    let said = answer["response"]["status"]["message"].as_str().unwrap_or_default();
    assert!(said.contains(expected.unwrap_or_default()), "{said}");
}

/// Another default class beside the one whose driver is allowed.
#[rstest]
#[case::of_a_driver_abroad("abroad", json!({"storageclass.kubernetes.io/is-default-class": "true"}), Some("its driver is abroad"))]
#[case::by_the_older_mark("abroad", json!({"storageclass.beta.kubernetes.io/is-default-class": "true"}), Some("its driver is abroad"))]
#[case::no_default_class("abroad", json!({"storageclass.kubernetes.io/is-default-class": "false"}), None)]
#[case::without_a_volume_yet("kubernetes.io/no-provisioner", json!({"storageclass.kubernetes.io/is-default-class": "true"}), Some("nobody can say"))]
#[tokio::test]
async fn each_default_class_may_be_the_one_of_a_claim_that_names_none(
    #[case] provisioner: &str,
    #[case] annotations: Value,
    #[case] expected: Option<&str>,
) {
    let mut cluster = cluster();
    cluster[0].1["items"].as_array_mut().unwrap().push(class("second", provisioner, annotations));
    let mut pod = pod("recognizer");
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "usual"}}]);
    let (_, answer) = answer(admission(cluster, &[]).await, review(pod)).await;
    assert_eq!(answer["response"]["allowed"], json!(expected.is_none()), "{answer}");
    let said = answer["response"]["status"]["message"].as_str().unwrap_or_default();
    assert!(said.contains(expected.unwrap_or_default()), "{said}");
}

#[tokio::test]
async fn a_claim_that_covered_pods_have_mounted_is_for_no_other_pod() {
    let mut covered = covered_pod("1", "recognizer", "faces");
    covered["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "now"}}]);
    let mut before = claim("before", json!({}));
    before.1["metadata"]["annotations"] = json!({"shekara.dev/holdings": "faces,plates"});
    let objects = [vec![before, claim("free", json!({}))], cluster()].concat();
    for (name, expected) in
        [("now", Some("DataHoldings faces cover")), ("before", Some("DataHoldings faces, plates cover")), ("free", None)]
    {
        let mut pod = pod("other");
        pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
        let (_, answer) = answer(admission(objects.clone(), std::slice::from_ref(&covered)).await, review(pod)).await;
        assert_eq!(answer["response"]["allowed"], json!(expected.is_none()), "{name}: {answer}");
        let said = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(said.contains(expected.unwrap_or_default()), "{name}: {said}");
    }
}

/// A pod of a holding that holds less would lead what is there by its own routes.
#[tokio::test]
async fn a_claim_of_another_holding_is_for_pods_that_hold_as_much() {
    let mut marked = claim("plates", json!({"volumeName": "v1"}));
    marked.1["metadata"]["annotations"] = json!({"shekara.dev/holdings": "plates"});
    let mut own = claim("own", json!({"volumeName": "v1"}));
    own.1["metadata"]["annotations"] = json!({"shekara.dev/holdings": "faces"});
    let objects = [vec![marked, own], cluster()].concat();
    for (name, expected) in [("plates", Some("DataHoldings plates cover")), ("own", None)] {
        let mut pod = pod("recognizer");
        pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
        let (_, answer) = answer(admission(objects.clone(), &[]).await, review(pod)).await;
        assert_eq!(answer["response"]["allowed"], json!(expected.is_none()), "{name}: {answer}");
        let said = answer["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(said.contains(expected.unwrap_or_default()), "{name}: {said}");
    }
}
