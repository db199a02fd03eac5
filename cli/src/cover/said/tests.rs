use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn pod() -> Value {
    let status = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "started": true, "state": state});
    json!({
        "metadata": {"name": "web", "namespace": "cameras"},
        "spec": {"containers": [], "initContainers": [{"name": "shekara-proxy", "env": []}]},
        "status": {"phase": "Running", "initContainerStatuses": [
            status("shekara-proxy", json!({"running": {}})), status("shekara-verify", json!({"terminated": {"exitCode": 0}}))]}
    })
}

/// A holding of one covered pod besides those that are uncovered.
fn holding(in_scope: i64, uncovered: Value) -> Value {
    json!({
        "metadata": {"name": "faces", "namespace": "cameras", "generation": 2},
        "spec": {"title": "t", "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"app": "web"}}, "data": []},
        "status": {
            "coverage": {"inScope": in_scope, "covered": 1, "summary": "", "uncovered": uncovered},
            "conditions": [{"type": "Enforcing", "status": "True", "reason": "r", "message": "m", "observedGeneration": 2, "lastTransitionTime": "2026-06-01T00:00:00Z"}]
        }
    })
}

fn said(pod: Value, holding: Value) -> Enforces {
    enforces(&serde_json::from_value(pod).unwrap(), &serde_json::from_value(holding).unwrap())
}

fn named(state: &str) -> Value {
    json!([{"name": "web", "state": state}])
}

#[test]
fn a_proven_pod_enforces_where_a_whole_list_of_the_uncovered_does_not_name_it() {
    assert_eq!(said(pod(), holding(1, json!([]))), Enforces::Yes);
    assert_eq!(said(pod(), holding(2, json!([{"name": "other", "state": "Bare"}]))), Enforces::Yes);
    assert_eq!(said(pod(), holding(2, named("Starting"))), Enforces::No);
}

#[rstest]
#[case::cut(holding(3, json!([{"name": "other", "state": "Bare"}])), "names fewer pods")]
#[case::outdated(holding(2, named("Outdated")), "it says Outdated")]
#[case::stale(holding(2, named("Stale")), "it says Stale")]
#[case::another_root(holding(2, named("RestartNeeded")), "it says RestartNeeded")]
#[case::an_earlier_pod_of_the_name(holding(2, named("Bare")), "it says Bare")]
fn what_the_status_does_not_say_for_sure_is_unsaid(#[case] holding: Value, #[case] why: &str) {
    assert!(matches!(said(pod(), holding), Enforces::Unsaid(said) if said.contains(why)));
}

#[test]
fn a_status_that_is_not_there_or_of_an_earlier_declaration_says_nothing() {
    let mut without = holding(1, json!([]));
    without["status"] = Value::Null;
    assert_eq!(said(pod(), without), Enforces::Unsaid("it has none yet".into()));
    let mut earlier = holding(1, json!([]));
    earlier["metadata"]["generation"] = json!(3);
    assert_eq!(said(pod(), earlier), Enforces::Unsaid("it is of an earlier declaration".into()));
    let mut nobody = holding(0, json!([]));
    nobody["status"]["coverage"]["covered"] = json!(0);
    assert!(matches!(said(pod(), nobody), Enforces::Unsaid(_)), "a pod that is not counted yet");
}

#[test]
fn a_pod_that_is_not_proven_or_was_admitted_to_observe_does_not_enforce_whatever_the_status_says() {
    let mut failed = pod();
    failed["status"]["initContainerStatuses"][1]["state"] = json!({"terminated": {"exitCode": 1}});
    let mut bare = pod();
    bare["spec"]["initContainers"] = json!([]);
    let mut observing = pod();
    observing["spec"]["initContainers"][0]["env"] = json!([{"name": "SHEKARA_OBSERVE_UNTIL", "value": "2026-01-01T00:00:00Z"}]);
    for pod in [failed, bare, observing] {
        assert_eq!(said(pod, holding(1, json!([]))), Enforces::No);
    }
}
