use rstest::rstest;
use serde_json::json;

use super::*;

fn rewritten(spec: &Value) -> (Rewritten, Vec<String>) {
    let mut faults = Faults::default();
    let rewritten = rewrite(&serde_json::from_value(spec.clone()).unwrap(), &mut faults);
    let refusal = faults.into_result(&[].into());
    let fields = refusal.err().into_iter().flat_map(|refusal| refusal.faults).map(|fault| fault.field);
    (rewritten, fields.collect())
}

fn asks(port: u16, within: u32, ask: Value) -> Value {
    json!({"port": port, "within": within, "ask": ask})
}

#[test]
fn every_kind_of_probe_and_hook_is_asked_of_the_sidecar_and_ours_and_exec_stay() {
    let spec = json!({
        "terminationGracePeriodSeconds": 90,
        "initContainers": [
            {"name": "shekara-proxy", "livenessProbe": {"httpGet": {"port": 15020, "path": "/live"}}},
            {"name": "helper", "restartPolicy": "Always", "startupProbe": {"tcpSocket": {"port": 1}, "timeoutSeconds": 7}}
        ],
        "containers": [{
            "name": "app", "ports": [{"name": "http", "containerPort": 2}],
            "readinessProbe": {"httpGet": {"port": "http", "path": "/a?b", "scheme": "HTTPS", "httpHeaders": [{"name": "Host", "value": "a"}]}},
            "livenessProbe": {"grpc": {"port": 3, "service": "faces"}},
            "lifecycle": {"postStart": {"httpGet": {"port": "4"}}, "preStop": {"httpGet": {"port": 5, "host": ""}}}
        }, {
            "name": "other", "readinessProbe": {"httpGet": {"port": "http"}}, "livenessProbe": {"exec": {"command": ["true"]}},
            "startupProbe": {"tcpSocket": {"port": 70000}},
            "lifecycle": {"postStart": {"tcpSocket": {"port": 6}}, "preStop": {"sleep": {"seconds": 1}}}
        }, {"name": "direct", "readinessProbe": {"httpGet": {"port": 15020, "path": "/ready"}}}]
    });
    let (found, faults) = rewritten(&spec);
    assert!(faults.is_empty(), "{faults:?}");
    let http = |path: &str| json!({"http": {"tls": false, "path": path, "headers": []}});
    let asked = json!({
        "/probe/helper/startup": asks(1, 7, json!({"tcp": {}})),
        "/probe/app/readiness": asks(2, 1, json!({"http": {"tls": true, "path": "/a?b", "headers": [["Host", "a"]]}})),
        "/probe/app/liveness": asks(3, 1, json!({"grpc": {"service": "faces"}})),
        "/hook/app/postStart": asks(4, 60, http("/")),
        "/hook/app/preStop": asks(5, 90, http("/")),
    });
    assert_eq!(serde_json::to_value(&found.asked).unwrap(), asked);
    let handlers: std::collections::BTreeMap<String, Value> = found.handlers.into_iter().collect();
    let expected = [
        ("/spec/initContainers/1/startupProbe", "/probe/helper/startup"),
        ("/spec/containers/0/readinessProbe", "/probe/app/readiness"),
        ("/spec/containers/0/livenessProbe", "/probe/app/liveness"),
        ("/spec/containers/0/lifecycle/postStart", "/hook/app/postStart"),
        ("/spec/containers/0/lifecycle/preStop", "/hook/app/preStop"),
    ];
    let instead = |(place, path): (&str, &str)| (place.to_owned(), json!({"path": path, "port": 15020, "scheme": "HTTP"}));
    assert_eq!(handlers, expected.map(instead).into());
}

/// A container, and the field for which the pod is refused.
#[rstest]
#[case(json!({"readinessProbe": {"httpGet": {"port": 1, "host": "10.0.0.1"}}}), "readinessProbe.httpGet.host")]
#[case(json!({"startupProbe": {"tcpSocket": {"port": 1, "host": "a"}}}), "startupProbe.tcpSocket.host")]
#[case(json!({"lifecycle": {"preStop": {"httpGet": {"port": 1, "host": "a"}}}}), "lifecycle.preStop.httpGet.host")]
#[case(json!({"lifecycle": {"postStart": {"tcpSocket": {"port": 1, "host": "a"}}}}), "lifecycle.postStart.tcpSocket.host")]
#[case(json!({"livenessProbe": {"httpGet": {"port": 15020, "path": "/probe/app/liveness"}}}), "livenessProbe.httpGet.path")]
#[case(json!({"lifecycle": {"preStop": {"httpGet": {"port": 15020, "path": "/hook/app/preStop"}}}}), "lifecycle.preStop.httpGet.path")]
#[case(json!({"readinessProbe": {"httpGet": {"port": 15020, "path": "/healthz"}}}), "readinessProbe.httpGet.port")]
#[case(json!({"readinessProbe": {"httpGet": {"port": 15020}}}), "readinessProbe.httpGet.port")]
#[case(json!({"livenessProbe": {"httpGet": {"port": 15020, "path": "/probe/other/liveness"}}}), "livenessProbe.httpGet.port")]
#[case(json!({"livenessProbe": {"tcpSocket": {"port": 15001}}}), "livenessProbe.tcpSocket.port")]
#[case(json!({"startupProbe": {"grpc": {"port": 15006}}}), "startupProbe.grpc.port")]
#[case(json!({"lifecycle": {"preStop": {"httpGet": {"port": "15020", "path": "/quit"}}}}), "lifecycle.preStop.httpGet.port")]
fn what_cannot_be_asked_from_within_the_pod_is_refused_by_name(#[case] container: Value, #[case] field: &str) {
    let mut container = container;
    container["name"] = json!("app");
    let (_, faults) = rewritten(&json!({"containers": [{"name": "first"}, container]}));
    assert_eq!(faults, [format!("spec.containers[1].{field}")]);
}

#[test]
fn what_an_earlier_call_told_the_sidecar_is_kept_with_the_time_of_the_probe() {
    let told = json!({"/probe/app/liveness": asks(8080, 1, json!({"grpc": {"service": ""}}))}).to_string();
    let spec = |told: &str| {
        json!({
            "initContainers": [{"name": "shekara-proxy", "env": [{"name": "SHEKARA_PROBES", "value": told}]}],
            "containers": [{"name": "app", "livenessProbe": {"httpGet": {"port": 15020, "path": "/probe/app/liveness"}, "timeoutSeconds": 3}}]
        })
    };
    let (found, faults) = rewritten(&spec(&told));
    assert!(faults.is_empty(), "{faults:?}");
    let expected = json!({"/probe/app/liveness": asks(8080, 3, json!({"grpc": {"service": ""}}))});
    assert_eq!(serde_json::to_value(&found.asked).unwrap(), expected);
    assert_eq!(rewritten(&spec("{")).1, ["spec.containers[0].livenessProbe.httpGet.path"]);
}

#[test]
fn more_than_fits_is_refused() {
    let probe = json!({"httpGet": {"port": 1, "path": "/a".repeat(40_000)}});
    assert_eq!(rewritten(&json!({"containers": [{"name": "app", "livenessProbe": probe}]})).1, ["spec.containers"]);
    let containers: Vec<Value> =
        (0..257).map(|n| json!({"name": format!("a{n}"), "livenessProbe": {"tcpSocket": {"port": 1}}})).collect();
    assert_eq!(rewritten(&json!({"containers": containers})).1, ["spec.containers"]);
}

#[test]
fn times_are_within_bounds() {
    assert_eq!([-5, 0, 1, 30, i64::MAX].map(seconds), [1, 1, 1, 30, MOST_SECONDS]);
}
