use rstest::rstest;

use super::*;
use crate::injection::containers::{FILES_VOLUME, TOKEN_VOLUME, files_volume};
use crate::injection::{Room, SIDECAR_USER};

fn settings() -> Settings {
    Settings {
        image: "registry.example/shekara-sidecar@sha256:1".into(),
        pull_policy: "IfNotPresent".into(),
        resources: serde_json::from_value(json!({"limits": {"memory": "48Mi"}, "requests": {"memory": "48Mi"}})).unwrap(),
        setting: Setting::Init,
        room: Room::default(),
        log: "info".into(),
        policy_api: "shekara-policy.shekara-system.svc.cluster.local:8443".into(),
        authority: "PEM".into(),
        root: "0".repeat(64).parse().unwrap(),
        key_set: 3,
        namespace_uid: "n1".into(),
        stamps: vec!["cars=u1:5".parse().unwrap(), "faces=u2:7".parse().unwrap()],
        observe_until: None,
        datagrams: vec![],
        limits: shekara_policy::Limits::default(),
        resolvers: vec!["10.96.0.10:53".parse().unwrap(), "[fd00:10:96::a]:53".parse().unwrap()],
    }
}

fn holdings(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

fn bare() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "cameras", "labels": {"app": "recognizer"}, "annotations": {HOLDINGS_ANNOTATION: "none"}},
        "spec": {
            "initContainers": [{"name": "migrate", "image": "postgres"}],
            "containers": [
                {"name": "app", "image": "nginx", "securityContext": {"capabilities": {"add": ["SYS_NICE"], "drop": ["MKNOD", "CAP_NET_RAW"]}}},
                {"name": "strict", "image": "nginx", "securityContext": {"capabilities": {"drop": ["ALL"]}}}
            ]
        }
    })
}

fn patched(pod: &Value, names: &[&str]) -> Value {
    let mut after = pod.clone();
    json_patch::patch(&mut after, &inject(pod, &holdings(names), &settings()).unwrap()).unwrap();
    after
}

fn names(pod: &Value, list: &str) -> Vec<String> {
    pod["spec"][list].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sidecar_comes_first_and_everything_else_stays() {
    let pod = patched(&bare(), &["faces", "cars"]);
    assert_eq!(names(&pod, "initContainers"), [INIT, PROXY, VERIFY, "migrate"]);
    assert_eq!(names(&pod, "containers"), ["app", "strict"]);
    assert_eq!(names(&pod, "volumes"), [TOKEN_VOLUME, FILES_VOLUME]);
    assert_eq!(pod["metadata"]["labels"], json!({"app": "recognizer", COVERED_LABEL: "true"}));
    assert_eq!(pod["metadata"]["annotations"], json!({HOLDINGS_ANNOTATION: "cars,faces"}));
    assert_eq!(pod["spec"]["securityContext"], json!({"seccompProfile": {"type": "RuntimeDefault"}}));
    serde_json::from_value::<Pod>(pod).unwrap();
}

/// A pod whose probes and hooks ask the application.
fn probed() -> Value {
    let mut pod = bare();
    let app = &mut pod["spec"]["containers"][0];
    app["ports"] = json!([{"name": "http", "containerPort": 8080}]);
    app["readinessProbe"] = json!({"httpGet": {"port": "http", "path": "/$(HOME)"}, "periodSeconds": 3, "timeoutSeconds": 2});
    app["livenessProbe"] = json!({"tcpSocket": {"port": 8081}, "failureThreshold": 9});
    pod
}

/// The variable of each of our containers.
fn told(pod: &Value, name: &str) -> [Option<Value>; 3] {
    [0, 1, 2].map(|index| {
        let variables = pod["spec"]["initContainers"][index]["env"].as_array().cloned().unwrap_or_default();
        variables.into_iter().find(|variable| variable["name"] == name)
    })
}

#[test]
fn the_kubelet_asks_the_sidecar_which_alone_is_told_what_to_ask() {
    assert_eq!(told(&patched(&bare(), &["faces"]), "SHEKARA_PROBES"), [None, None, None]);
    let mut pod = probed();
    let once = patched(&pod, &["faces"]);
    let app = &once["spec"]["containers"][0];
    let instead = |path: &str| json!({"path": path, "port": 15020, "scheme": "HTTP"});
    assert_eq!(
        app["readinessProbe"],
        json!({"httpGet": instead("/probe/app/readiness"), "periodSeconds": 3, "timeoutSeconds": 2})
    );
    assert_eq!(app["livenessProbe"], json!({"httpGet": instead("/probe/app/liveness"), "failureThreshold": 9}));
    let [init, proxy, verify] = told(&once, "SHEKARA_PROBES");
    assert_eq!((init, verify), (None, None));
    let asked = proxy.unwrap()["value"].as_str().unwrap().to_owned();
    // the kubelet puts values of other variables in the place of such a word
    assert!(!asked.contains("$("), "{asked}");
    let asked = shekara_policy::probes::Probes::from_json(&asked).unwrap();
    assert_eq!(asked.0["/probe/app/readiness"].port, 8080);
    assert_eq!(told(&once, "SHEKARA_NODE"), [None, None, None]);
    // hooks are for the node alone
    pod["spec"]["containers"][0]["lifecycle"] = json!({"preStop": {"httpGet": {"port": 8080, "path": "/drain"}}});
    let hooked = patched(&pod, &["faces"]);
    assert_eq!(hooked["spec"]["containers"][0]["lifecycle"], json!({"preStop": {"httpGet": instead("/hook/app/preStop")}}));
    let node = json!({"name": "SHEKARA_NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.hostIPs"}}});
    assert_eq!(told(&hooked, "SHEKARA_NODE"), [None, Some(node), None]);
}

#[test]
fn a_pod_with_probes_is_changed_once_and_again_only_where_they_are_others() {
    let mut pod = probed();
    pod["spec"]["containers"][0]["lifecycle"] = json!({"postStart": {"httpGet": {"port": 8080}}});
    pod["spec"]["initContainers"][0]["startupProbe"] = json!({"grpc": {"port": 5432}});
    let mut once = patched(&pod, &["faces"]);
    assert_eq!(inject(&once, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
    let port = |pod: &Value, path: &str| {
        let asked = told(pod, "SHEKARA_PROBES")[1].clone().unwrap();
        shekara_policy::probes::Probes::from_json(asked["value"].as_str().unwrap()).unwrap().0[path].port
    };
    // another admission puts a container before and changes a probe, and ours is called again
    once["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "other", "image": "other"}));
    once["spec"]["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 9090}});
    let again = patched(&once, &["faces"]);
    assert_eq!(names(&again, "initContainers"), [INIT, PROXY, VERIFY, "other", "migrate"]);
    assert_eq!((port(&again, "/probe/app/readiness"), port(&again, "/probe/migrate/startup")), (9090, 5432));
    assert_eq!(again["spec"]["initContainers"][4]["startupProbe"]["httpGet"]["path"], "/probe/migrate/startup");
    assert_eq!(inject(&again, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
}

#[test]
fn a_probe_that_nobody_told_the_sidecar_of_is_refused() {
    let mut pod = patched(&probed(), &["faces"]);
    let variables = pod["spec"]["initContainers"][1]["env"].as_array_mut().unwrap();
    variables.retain(|variable| variable["name"] != "SHEKARA_PROBES");
    let Refusal { faults, .. } = inject(&pod, &holdings(&["faces"]), &settings()).unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["spec.containers[0].readinessProbe.httpGet.path", "spec.containers[0].livenessProbe.httpGet.path"]);
}

#[test]
fn packet_filter_proxy_and_proof_are_told_alike_until_when_the_pod_observes() {
    let told = |pod: &Value| {
        let variable = |index: usize| {
            let variables = pod["spec"]["initContainers"][index]["env"].as_array().cloned().unwrap_or_default();
            variables.into_iter().find(|variable| variable["name"] == "SHEKARA_OBSERVE_UNTIL").map(|found| found["value"].clone())
        };
        [0, 1, 2].map(variable)
    };
    let inject_until = |pod: &Value, until: Option<&str>| {
        let settings = Settings { observe_until: until.map(|until| until.parse().unwrap()), ..settings() };
        let mut after = pod.clone();
        json_patch::patch(&mut after, &inject(pod, &holdings(&["faces"]), &settings).unwrap()).unwrap();
        after
    };
    let observing = inject_until(&bare(), Some("2026-12-01T00:00:00Z"));
    assert_eq!(told(&observing), [0, 1, 2].map(|_| Some(json!("2026-12-01T00:00:00Z"))));
    // what the pod brings along counts for nothing
    let enforcing = inject_until(&observing, None);
    assert_eq!(told(&enforcing), [None, None, None]);
    assert_eq!(names(&enforcing, "initContainers"), [INIT, PROXY, VERIFY, "migrate"]);
}

#[test]
fn packet_filter_and_proxy_are_told_alike_which_datagrams_have_ports_and_the_proxy_what_it_holds() {
    let variables =
        |pod: &Value, index: usize| pod["spec"]["initContainers"][index]["env"].as_array().cloned().unwrap_or_default();
    let value = |pod: &Value, index: usize, name: &str| {
        variables(pod, index).into_iter().find(|variable| variable["name"] == name).map(|found| found["value"].clone())
    };
    let datagrams = vec!["192.0.2.40:5000".parse().unwrap(), "[2001:db8::4]:123".parse().unwrap()];
    let settings = Settings { datagrams, ..settings() };
    let mut pod = bare();
    json_patch::patch(&mut pod, &inject(&bare(), &holdings(&["faces"]), &settings).unwrap()).unwrap();
    let told = Some(json!("192.0.2.40:5000,[2001:db8::4]:123"));
    assert_eq!([0, 1, 2].map(|index| value(&pod, index, "SHEKARA_UDP")), [told.clone(), told, None]);
    let limits = value(&pod, 1, "SHEKARA_LIMITS").unwrap();
    assert_eq!(shekara_policy::Limits::from_json(limits.as_str().unwrap()).unwrap(), shekara_policy::Limits::default());
    assert!(variables(&patched(&bare(), &["faces"]), 0).is_empty());
}

#[test]
fn applications_lose_three_capabilities_and_nothing_else() {
    let pod = patched(&bare(), &["faces"]);
    assert_eq!(
        pod["spec"]["initContainers"][3]["securityContext"],
        json!({"capabilities": {"drop": ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]}})
    );
    // CAP_NET_RAW takes nothing away: the runtime puts another CAP_ before it
    let capabilities = json!({"add": ["SYS_NICE"], "drop": ["MKNOD", "CAP_NET_RAW", "NET_ADMIN", "NET_RAW", "SYS_ADMIN"]});
    assert_eq!(pod["spec"]["containers"][0]["securityContext"], json!({"capabilities": capabilities}));
    assert_eq!(pod["spec"]["containers"][1]["securityContext"], json!({"capabilities": {"drop": ["ALL"]}}));
}

#[test]
fn the_injected_containers_have_what_they_need_and_no_more() {
    let pod = patched(&bare(), &["faces"]);
    let [init, proxy, verify] = [0, 1, 2].map(|index| pod["spec"]["initContainers"][index].clone());
    for (container, capabilities, user) in
        [(&init, json!(["NET_ADMIN"]), 0), (&proxy, json!(["NET_RAW"]), 0), (&verify, Value::Null, 65532)]
    {
        let context = &container["securityContext"];
        assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{container}");
        assert_eq!(context["capabilities"]["add"], capabilities, "{container}");
        assert_eq!(context["runAsUser"], user);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(container["resources"]["limits"]["memory"], "48Mi");
    }
    assert_eq!((&init["volumeMounts"], &verify["volumeMounts"]), (&Value::Null, &Value::Null));
    assert_eq!(proxy["volumeMounts"][0]["name"], TOKEN_VOLUME);
    assert_eq!((&init["restartPolicy"], &proxy["restartPolicy"]), (&Value::Null, &json!("Always")));
    let variable =
        |name: &str| proxy["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name).unwrap()["value"].clone();
    assert_eq!(variable("SHEKARA_RESOLVERS"), "10.96.0.10:53,[fd00:10:96::a]:53");
    assert_eq!(variable("SHEKARA_TOKEN"), "/var/run/secrets/shekara.dev/token");
    assert_eq!(variable("SHEKARA_HOLDINGS"), "faces");
    assert_eq!(variable("SHEKARA_ROOT"), "0".repeat(64));
    assert_eq!((variable("SHEKARA_DOCUMENTS"), variable("SHEKARA_KEY_SET")), (json!("cars=u1:5,faces=u2:7"), json!("3")));
    assert_eq!(
        proxy["volumeMounts"][1],
        json!({"name": FILES_VOLUME, "mountPath": "/var/run/shekara.dev/policy", "readOnly": true})
    );
    let file = json!({"configMap": {"name": "shekara-policy-faces", "items": [{"key": "document.json", "path": "faces.json"}], "optional": true}});
    assert_eq!(pod["spec"]["volumes"][1]["projected"]["sources"], json!([file]));
}

#[test]
fn a_second_call_changes_nothing() {
    let once = patched(&bare(), &["faces"]);
    assert_eq!(inject(&once, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
}

#[test]
fn what_others_did_in_between_is_put_right_and_their_containers_stay() {
    let mut between = patched(&bare(), &["faces"]);
    let containers = between["spec"]["initContainers"].as_array_mut().unwrap();
    containers.insert(0, json!({"name": "other-injector", "image": "other"}));
    // a LimitRange, the plugin that always pulls, and the one that mounts the token of the service account
    containers[2]["resources"] = json!({"limits": {"cpu": "1"}});
    containers[2]["imagePullPolicy"] = json!("Always");
    containers[1]["volumeMounts"] =
        json!([{"name": "kube-api-access-1", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]);
    let again = patched(&between, &["faces", "later"]);
    assert_eq!(names(&again, "initContainers"), [INIT, PROXY, VERIFY, "other-injector", "migrate"]);
    assert_eq!(names(&again, "volumes"), [TOKEN_VOLUME, FILES_VOLUME]);
    assert_eq!(again["spec"]["volumes"][1], files_volume(&holdings(&["faces", "later"])));
    assert_eq!(again["metadata"]["annotations"][HOLDINGS_ANNOTATION], "faces,later");
    let fresh = patched(&bare(), &["faces", "later"]);
    for index in 0..3 {
        assert_eq!(again["spec"]["initContainers"][index], fresh["spec"]["initContainers"][index]);
    }
}

/// A LimitRange gives every container what nobody says of it, once, and asks for it in the end.
#[test]
fn amounts_that_are_not_fitted_stay_as_a_limit_range_gave_them() {
    let given = json!({"limits": {"ephemeral-storage": "1Gi", "memory": "48Mi"}, "requests": {"ephemeral-storage": "1Gi", "memory": "48Mi"}});
    let mut between = patched(&bare(), &["faces"]);
    for index in 0..3 {
        between["spec"]["initContainers"][index]["resources"] = given.clone();
    }
    assert_eq!(inject(&between, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
    // and where ours are put in anew
    between["spec"]["initContainers"][1]["resources"]["limits"]["cpu"] = json!("1");
    let again = patched(&between, &["faces", "later"]);
    assert_eq!(
        [0, 1, 2].map(|index| again["spec"]["initContainers"][index]["resources"].clone()),
        [0, 1, 2].map(|_| given.clone())
    );
}

#[test]
fn what_a_pod_says_of_itself_as_a_whole_is_raised_once() {
    let mut pod = bare();
    pod["spec"]["resources"] = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "hugepages-2Mi": "2Mi"}});
    let mut once = patched(&pod, &["faces"]);
    let expected = json!({"requests": {"memory": "1072Mi"}, "limits": {"memory": "2096Mi", "hugepages-2Mi": "2Mi"}});
    assert_eq!(once["spec"]["resources"], expected);
    assert_eq!(inject(&once, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
    // ours are put in anew
    once["spec"]["initContainers"].as_array_mut().unwrap().insert(0, json!({"name": "other", "image": "other"}));
    assert_eq!(patched(&once, &["faces", "later"])["spec"]["resources"], expected);
}

#[rstest]
#[case::none(json!({}), Value::Null)]
#[case::unconfined(json!({"appArmorProfile": {"type": "Unconfined"}}), Value::Null)]
#[case::of_the_application(json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}), json!({"type": "RuntimeDefault"}))]
fn a_profile_of_app_armor_that_is_for_the_application_is_not_ours(#[case] of_pod: Value, #[case] expected: Value) {
    let mut pod = bare();
    pod["spec"]["securityContext"] = of_pod;
    let mut once = patched(&pod, &["faces"]);
    for index in 0..3 {
        assert_eq!(once["spec"]["initContainers"][index]["securityContext"]["appArmorProfile"], expected);
    }
    assert_eq!(inject(&once, &holdings(&["faces"]), &settings()).unwrap(), Patch(vec![]));
    // another admission names one, or takes it away
    once["spec"]["securityContext"]["appArmorProfile"] = json!({"type": "RuntimeDefault"});
    assert_eq!(names(&patched(&once, &["faces"]), "initContainers"), [INIT, PROXY, VERIFY, "migrate"]);
    once["spec"]["securityContext"]["appArmorProfile"] = json!({"type": "Unconfined"});
    assert_eq!(names(&patched(&once, &["faces"]), "initContainers"), [INIT, PROXY, VERIFY, "migrate"]);
}

#[test]
fn no_annotation_says_which_profile_of_app_armor_ours_have() {
    let (own, ours) =
        ("container.apparmor.security.beta.kubernetes.io/app", "container.apparmor.security.beta.kubernetes.io/shekara-proxy");
    let mut pod = bare();
    pod["metadata"]["annotations"] = json!({own: "localhost/p", ours: "localhost/p"});
    let after = patched(&pod, &["faces"]);
    assert_eq!(after["metadata"]["annotations"], json!({own: "localhost/p", HOLDINGS_ANNOTATION: "faces"}));
}

/// A port of a container, with one endpoint that is listed for datagrams.
#[rstest]
#[case(json!({"containerPort": 15001}), true)]
#[case(json!({"containerPort": 15006, "protocol": "TCP"}), true)]
#[case(json!({"containerPort": 15020}), true)]
#[case(json!({"containerPort": 15053, "protocol": "UDP"}), true)]
#[case(json!({"containerPort": 15009, "protocol": "UDP"}), true)]
#[case(json!({"containerPort": 15100, "protocol": "UDP"}), true)]
#[case(json!({"containerPort": 15101, "protocol": "UDP"}), false)]
#[case(json!({"containerPort": 15100}), false)]
#[case(json!({"containerPort": 15020, "protocol": "UDP"}), false)]
#[case(json!({"containerPort": 15001, "protocol": "SCTP"}), false)]
fn a_port_of_the_sidecar_is_nobody_elses(#[case] port: Value, #[case] taken: bool) {
    let mut pod = bare();
    pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8080}, port]);
    let settings = Settings { datagrams: vec!["192.0.2.40:5000".parse().unwrap()], ..settings() };
    let refused = inject(&pod, &holdings(&["faces"]), &settings).err();
    let fields: Vec<String> = refused.into_iter().flat_map(|refusal| refusal.faults).map(|fault| fault.field).collect();
    assert_eq!(fields, if taken { vec!["spec.containers[0].ports[1].containerPort"] } else { vec![] });
}

#[test]
fn a_pod_without_any_lists_gets_them() {
    let pod = patched(&json!({"metadata": {}, "spec": {"containers": [{"name": "a"}]}}), &["faces"]);
    assert_eq!(names(&pod, "initContainers"), [INIT, PROXY, VERIFY]);
    assert_eq!(pod["metadata"]["labels"][COVERED_LABEL], "true");
}

/// Each field by its path in the pod, and the path under which it is refused.
#[rstest]
#[case("/spec/hostNetwork", json!(true), "spec.hostNetwork")]
#[case("/spec/hostPID", json!(true), "spec.hostPID")]
#[case("/spec/hostIPC", json!(true), "spec.hostIPC")]
#[case("/spec/shareProcessNamespace", json!(true), "spec.shareProcessNamespace")]
#[case("/spec/os", json!({"name": "windows"}), "spec.os.name")]
#[case("/spec/nodeSelector", json!({"kubernetes.io/os": "windows"}), "spec.nodeSelector[kubernetes.io/os]")]
#[case("/spec/securityContext", json!({"seccompProfile": {"type": "Unconfined"}}), "spec.securityContext.seccompProfile.type")]
#[case("/spec/volumes", json!([{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}]), "spec.volumes[1].hostPath")]
#[case("/spec/volumes", json!([{"name": "a", "nfs": {"server": "192.0.2.1", "path": "/"}}]), "spec.volumes[0]")]
#[case("/spec/volumes", json!([{"name": "a", "projected": {"sources": [{"configMap": {"name": "c"}}, {"serviceAccountToken": {"audience": "shekara", "path": "t"}}]}}]), "spec.volumes[0].projected.sources[1].serviceAccountToken.audience")]
#[case("/spec/volumes", json!([{"name": "shekara-token", "emptyDir": {}}]), "spec.volumes[0].name")]
#[case("/spec/containers/0/securityContext", json!({"privileged": true}), "spec.containers[0].securityContext.privileged")]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["CHOWN", "NET_ADMIN"]}}), "spec.containers[0].securityContext.capabilities.add[1]")]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["CAP_NET_RAW"]}}), "spec.containers[0].securityContext.capabilities.add[0]")]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["sys_admin"]}}), "spec.containers[0].securityContext.capabilities.add[0]")]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["ALL"]}}), "spec.containers[0].securityContext.capabilities.add[0]")]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["BPF"]}}), "spec.containers[0].securityContext.capabilities.add[0]")]
#[case("/spec/containers/0/securityContext", json!({"procMount": "Unmasked"}), "spec.containers[0].securityContext.procMount")]
#[case("/spec/containers/0/securityContext", json!({"seccompProfile": {"type": "Unconfined"}}), "spec.containers[0].securityContext.seccompProfile.type")]
#[case("/spec/containers/0/ports", json!([{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}]), "spec.containers[0].ports[1].hostPort")]
#[case("/spec/containers/0/volumeMounts", json!([{"name": "shekara-token", "mountPath": "/t"}]), "spec.containers[0].volumeMounts[0].name")]
#[case("/spec/containers/0/livenessProbe", json!({"tcpSocket": {"port": 1, "host": "a"}}), "spec.containers[0].livenessProbe.tcpSocket.host")]
#[case("/spec/containers/0/name", json!("istio-proxy"), "spec.containers[0].name")]
#[case("/spec/containers/0/name", json!("shekara-proxy"), "spec.containers[0].name")]
#[case("/spec/initContainers/0/securityContext", json!({"privileged": true}), "spec.initContainers[0].securityContext.privileged")]
#[case("/spec/initContainers/0/name", json!("shekara-verify"), "spec.initContainers[0].name")]
fn each_way_round_is_refused_by_name(#[case] pointer: &str, #[case] value: Value, #[case] field: &str) {
    let mut pod = bare();
    set(&mut pod, pointer, value);
    let Refusal { faults, .. } = inject(&pod, &holdings(&["faces"]), &settings()).unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, [field]);
}

#[rstest]
#[case("/spec/hostNetwork", json!(false))]
#[case("/spec/os", json!({"name": "linux"}))]
#[case("/spec/securityContext", json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}, "runAsNonRoot": true}))]
#[case("/spec/containers/0/securityContext", json!({"capabilities": {"add": ["NET_BIND_SERVICE", "CHOWN"]}, "procMount": "Default", "privileged": false}))]
#[case("/spec/containers/0/ports", json!([{"containerPort": 80, "hostPort": 0}]))]
#[case("/spec/volumes", json!([{"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c"}}]))]
fn what_is_harmless_is_not_refused(#[case] pointer: &str, #[case] value: Value) {
    let mut pod = bare();
    set(&mut pod, pointer, value);
    let before = pod.pointer("/spec/securityContext/seccompProfile").cloned();
    let after = patched(&pod, &["faces"]);
    if before.is_some() {
        assert_eq!(after.pointer("/spec/securityContext/seccompProfile").cloned(), before);
    }
}

/// A container of our name that is not ours is refused, whatever the difference.
#[rstest]
#[case("/spec/initContainers/1/image", json!("evil"))]
#[case("/spec/initContainers/1/command", json!(["sleep"]))]
#[case("/spec/initContainers/1/args", json!(["x"]))]
#[case("/spec/initContainers/1/env/0/value", json!("evil:8443"))]
#[case("/spec/initContainers/1/env/1/value", json!("another authority"))]
#[case("/spec/initContainers/1/securityContext/capabilities/add", json!(["NET_RAW", "SYS_ADMIN"]))]
#[case("/spec/initContainers/1/volumeMounts", json!([]))]
#[case("/spec/initContainers/1/lifecycle", json!({"preStop": {"sleep": {"seconds": 1}}}))]
#[case("/spec/initContainers/1/securityContext/appArmorProfile", json!({"type": "Unconfined"}))]
#[case("/spec/initContainers/1/securityContext/appArmorProfile", json!({"type": "Localhost", "localhostProfile": "p"}))]
fn a_look_alike_is_refused(#[case] pointer: &str, #[case] value: Value) {
    let mut pod = patched(&bare(), &["faces"]);
    set(&mut pod, pointer, value);
    let Refusal { faults, .. } = inject(&pod, &holdings(&["faces"]), &settings()).unwrap_err();
    assert!(faults.iter().any(|fault| fault.field == "spec.initContainers[1].name"), "{faults:?}");
}

#[test]
fn a_token_volume_that_is_not_ours_is_refused_although_ours_is_there() {
    let mut pod = patched(&bare(), &["faces"]);
    let volume =
        json!({"name": "own", "projected": {"sources": [{"serviceAccountToken": {"audience": "shekara", "path": "t"}}]}});
    pod["spec"]["volumes"].as_array_mut().unwrap().push(volume);
    let refusal = inject(&pod, &holdings(&["faces"]), &settings()).unwrap_err();
    assert!(refusal.to_string().contains("spec.volumes[2].projected.sources[0].serviceAccountToken.audience: "), "{refusal}");
}

#[test]
fn every_fault_is_named_at_once() {
    let mut pod = bare();
    set(&mut pod, "/spec/hostNetwork", json!(true));
    set(&mut pod, "/spec/hostPID", json!(true));
    let refusal = inject(&pod, &holdings(&["faces"]), &settings()).unwrap_err().to_string();
    assert!(
        refusal.starts_with("the DataHolding faces covers the pod, which cannot be admitted so: spec.hostNetwork: "),
        "{refusal}"
    );
    assert!(refusal.contains("; spec.hostPID: "), "{refusal}");
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match object.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
}

fn set_by(setting: Setting, pod: &Value) -> Result<Value, Refusal> {
    let mut after = pod.clone();
    let patch = inject(pod, &holdings(&["faces"]), &Settings { setting, ..settings() })?;
    json_patch::patch(&mut after, &patch).unwrap();
    Ok(after)
}

fn restricted() -> Value {
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}});
    json!({
        "metadata": {"name": "web", "namespace": "cameras"},
        "spec": {
            "securityContext": {"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "initContainers": [{"name": "migrate", "image": "postgres", "securityContext": context}],
            "containers": [{"name": "app", "image": "nginx", "securityContext": context}]
        }
    })
}

#[test]
fn where_the_node_sets_the_packet_filter_no_container_adds_a_capability() {
    let pod = set_by(Setting::Node, &bare()).unwrap();
    assert_eq!(names(&pod, "initContainers"), [PROXY, VERIFY, "migrate"]);
    assert_eq!(pod["metadata"]["annotations"]["shekara.dev/packet-filter"], "{}");
    let context = &pod["spec"]["initContainers"][0]["securityContext"];
    assert!(context["capabilities"].get("add").is_none() && context["runAsUser"] == 0, "{context}");
    let dropped: Vec<&str> =
        context["capabilities"]["drop"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(dropped.contains(&"SETUID") && !dropped.contains(&"NET_RAW") && !dropped.contains(&"ALL"), "{dropped:?}");
    assert_eq!(set_by(Setting::Node, &pod).unwrap(), pod);
}

#[test]
fn the_node_is_told_of_endpoints_and_of_the_end_of_observing() {
    let observing = Settings {
        setting: Setting::Node,
        observe_until: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        datagrams: vec!["192.0.2.40:5000".parse().unwrap()],
        ..settings()
    };
    let mut pod = bare();
    json_patch::patch(&mut pod, &inject(&bare(), &holdings(&["faces"]), &observing).unwrap()).unwrap();
    assert_eq!(
        pod["metadata"]["annotations"]["shekara.dev/packet-filter"],
        r#"{"observeUntil":"2026-12-01T00:00:00Z","datagrams":["192.0.2.40:5000"]}"#
    );
}

#[test]
fn in_a_restricted_namespace_the_sidecar_is_a_user_of_its_own() {
    let pod = set_by(Setting::NodeByUser, &restricted()).unwrap();
    assert_eq!(names(&pod, "initContainers"), [PROXY, VERIFY, "migrate"]);
    assert_eq!(pod["metadata"]["annotations"]["shekara.dev/packet-filter"], r#"{"user":65533}"#);
    let proxy = &pod["spec"]["initContainers"][0];
    let context = &proxy["securityContext"];
    assert!(context["runAsUser"] == SIDECAR_USER && context["runAsNonRoot"] == true, "{context}");
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
    assert!(proxy["env"].as_array().unwrap().contains(&json!({"name": "SHEKARA_USER", "value": "65533"})));
    assert_eq!(set_by(Setting::NodeByUser, &pod).unwrap(), pod);
}

#[rstest]
#[case::the_pod_is_that_user("/spec/securityContext/runAsUser", json!(SIDECAR_USER), "spec.containers[0].securityContext.runAsUser")]
#[case::a_container_is("/spec/containers/0/securityContext/runAsUser", json!(SIDECAR_USER), "spec.containers[0].securityContext.runAsUser")]
#[case::an_image_may_say("/spec/securityContext", json!({}), "spec.initContainers[0].securityContext.runAsUser")]
#[case::root("/spec/containers/0/securityContext/runAsUser", json!(0), "spec.containers[0].securityContext.runAsUser")]
#[case::setuid_files("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true), "allowPrivilegeEscalation")]
#[case::capabilities("/spec/initContainers/0/securityContext/capabilities", json!({}), "spec.initContainers[0].securityContext.capabilities.drop")]
#[case::one_too_many("/spec/containers/0/securityContext/capabilities/add", json!(["SETUID"]), "capabilities.add[0]")]
fn in_a_restricted_namespace_no_container_can_become_that_user(#[case] path: &str, #[case] value: Value, #[case] field: &str) {
    let mut pod = restricted();
    let operation = json!([{"op": "add", "path": path, "value": value}]);
    json_patch::patch(&mut pod, &serde_json::from_value::<Patch>(operation).unwrap()).unwrap();
    let refusal = set_by(Setting::NodeByUser, &pod).unwrap_err().to_string();
    assert!(refusal.contains(field), "{refusal}");
}

#[test]
fn a_pod_that_sets_its_own_packet_filter_asks_nothing_of_the_node() {
    let mut pod = bare();
    pod["metadata"]["annotations"]["shekara.dev/packet-filter"] = json!("{}");
    let pod = set_by(Setting::Init, &pod).unwrap();
    assert!(pod["metadata"]["annotations"].get("shekara.dev/packet-filter").is_none());
}
