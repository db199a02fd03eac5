use rstest::rstest;

use super::*;

const PLATFORM: &str = r#"{"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}"#;

/// What becomes of the platform's resources, or what is wrong.
fn fit(application: Value, annotations: Value, limits: Value, hard: Value) -> Result<Value, String> {
    let container: Container = serde_json::from_value(json!({"name": "app", "resources": application})).unwrap();
    let range = json!({"metadata": {"name": "range"}, "spec": {"limits": limits}});
    let quota = json!({"metadata": {"name": "quota"}, "spec": {"hard": hard}});
    let room =
        Room { limit_ranges: vec![serde_json::from_value(range).unwrap()], quotas: vec![serde_json::from_value(quota).unwrap()] };
    let annotations = serde_json::from_value(annotations).unwrap();
    let mut faults = Faults::default();
    let platform = serde_json::from_str(PLATFORM).unwrap();
    let fitted = fitted(&platform, None, std::iter::once(&container), &annotations, &room, &mut faults);
    faults.into_result(&["faces".to_owned()].into()).map_err(|refusal| refusal.to_string())?;
    Ok(serde_json::to_value(fitted).unwrap())
}

fn guaranteed() -> Value {
    json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1000m", "memory": "1Gi"}})
}

#[test]
fn without_wishes_it_is_as_the_platform_says() {
    let platform: Value = serde_json::from_str(PLATFORM).unwrap();
    assert_eq!(fit(json!({}), json!({}), json!([]), json!({})), Ok(platform.clone()));
    // a LimitRange of pods or claims says nothing of containers
    let others = json!([{"type": "Pod", "max": {"cpu": "1m"}}, {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]);
    assert_eq!(fit(json!({}), json!({}), others, json!({"pods": "3"})), Ok(platform));
}

#[rstest]
#[case::more(json!({"shekara.dev/sidecar-cpu": "1", "shekara.dev/sidecar-memory": "256Mi"}), json!({"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}))]
#[case::no_more_than_the_limit(json!({"shekara.dev/sidecar-memory": "64Mi"}), json!({"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}))]
#[case::less(json!({"shekara.dev/sidecar-cpu": "1m", "shekara.dev/sidecar-memory": "1Ki"}), serde_json::from_str(PLATFORM).unwrap())]
fn an_annotation_raises_and_never_lowers(#[case] annotations: Value, #[case] expected: Value) {
    assert_eq!(fit(json!({}), annotations, json!([]), json!({})), Ok(expected));
}

#[test]
fn an_annotation_that_cannot_be_read_is_named() {
    let said = fit(json!({}), json!({"shekara.dev/sidecar-cpu": "much"}), json!([]), json!({})).unwrap_err();
    assert!(
        said.contains("metadata.annotations[shekara.dev/sidecar-cpu]: \"much\" is not a quantity of Kubernetes; as in 500m"),
        "{said}"
    );
}

/// Requests and limits are equal where they are so in the pod's own containers, so that the pod keeps its class.
#[rstest]
#[case::as_it_was(guaranteed(), json!({}), json!({"cpu": "500m", "memory": "128Mi"}))]
#[case::raised(guaranteed(), json!({"shekara.dev/sidecar-cpu": "750m"}), json!({"cpu": "750m", "memory": "128Mi"}))]
#[case::requests_are_the_limits(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), json!({}), json!({"cpu": "500m", "memory": "128Mi"}))]
fn a_guaranteed_pod_stays_so(#[case] application: Value, #[case] annotations: Value, #[case] both: Value) {
    assert_eq!(fit(application, annotations, json!([]), json!({})), Ok(json!({"requests": both, "limits": both})));
}

#[test]
fn a_pod_that_is_not_guaranteed_does_not_become_so() {
    for application in [
        json!({"limits": {"memory": "1Gi"}}),
        json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}),
    ] {
        assert_eq!(fit(application, json!({}), json!([]), json!({})).unwrap()["limits"], json!({"memory": "128Mi"}));
    }
}

#[rstest]
#[case::least(json!({"min": {"cpu": "50m", "memory": "256Mi"}}), json!({"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "256Mi"}}))]
#[case::most(json!({"max": {"cpu": "100m", "memory": "64Mi"}}), json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}))]
#[case::ratio(json!({"maxLimitRequestRatio": {"cpu": "4", "memory": "2"}}), json!({"requests": {"cpu": "125m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}))]
#[case::all(json!({"min": {"cpu": "100m"}, "max": {"cpu": "1"}, "maxLimitRequestRatio": {"cpu": "2"}}), json!({"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}))]
fn it_is_within_what_a_limit_range_asks(#[case] mut item: Value, #[case] expected: Value) {
    item["type"] = json!("Container");
    assert_eq!(fit(json!({}), json!({}), json!([item]), json!({})), Ok(expected));
}

/// What we make up where no limit is said is cut to what is left, and not refused.
#[test]
fn a_guaranteed_pod_is_not_refused_for_a_limit_that_nobody_asked_for() {
    let limits =
        json!([{"type": "Container", "max": {"cpu": "250m", "memory": "64Mi"}}, {"type": "Container", "max": {"cpu": "100m"}}]);
    let both = json!({"cpu": "100m", "memory": "64Mi"});
    assert_eq!(fit(guaranteed(), json!({}), limits, json!({})), Ok(json!({"requests": both, "limits": both})));
}

#[rstest]
#[case("1024Mi", "1Gi")]
#[case("1536Mi", "1536Mi")]
#[case("100000000", "100M")]
#[case("1000", "1k")]
#[case("1001", "1001")]
fn amounts_are_written_as_the_api_server_does(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(Resource::Memory.write(thousandths(text).unwrap()).0, expected);
}

#[test]
fn a_limit_range_that_leaves_too_little_is_named() {
    let said = fit(json!({}), json!({}), json!([{"type": "Container", "max": {"memory": "16Mi"}}]), json!({})).unwrap_err();
    assert!(said.contains("leaves a container 16Mi of memory at most, and the sidecar needs 32Mi"), "{said}");
}

#[rstest]
#[case::limits(json!({"limits.cpu": "4", "limits.memory": "4Gi"}), json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}))]
#[case::requests(json!({"cpu": "4", "requests.memory": "4Gi"}), serde_json::from_str(PLATFORM).unwrap())]
fn what_a_quota_counts_is_said(#[case] hard: Value, #[case] expected: Value) {
    assert_eq!(fit(json!({}), json!({}), json!([]), hard), Ok(expected));
}

fn said(resources: &Value) -> ResourceRequirements {
    serde_json::from_value(resources.clone()).unwrap()
}

/// What a pod says of itself as a whole becomes with the platform's resources in it.
#[rstest]
#[case::both(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}), json!({"requests": {"cpu": "1020m", "memory": "1056Mi"}, "limits": {"memory": "2176Mi"}}))]
#[case::a_limit_where_ours_have_none(json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}), json!({"requests": {"cpu": "1020m"}, "limits": {"cpu": "1500m"}}))]
#[case::no_less_than_proxy_and_proof(json!({"requests": {"cpu": "1m", "memory": "1Mi"}}), json!({"requests": {"cpu": "40m", "memory": "64Mi"}}))]
#[case::what_is_not_said_stays_so(json!({"limits": {"hugepages-2Mi": "2Mi"}}), json!({"limits": {"hugepages-2Mi": "2Mi"}}))]
fn a_pod_that_says_what_it_uses_as_a_whole_says_it_with_ours_and_once(#[case] of_pod: Value, #[case] expected: Value) {
    let ours: ResourceRequirements = serde_json::from_str(PLATFORM).unwrap();
    let mut after = of_pod.clone();
    for raised in raised(&said(&of_pod), &ours, None) {
        after[raised.list][raised.name] = json!(raised.amount);
    }
    assert_eq!(after, expected);
    assert_eq!(raised(&said(&after), &ours, Some(&ours)), []);
    // a LimitRange gave the proxy more meanwhile
    let more = said(&json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}));
    assert_eq!(raised(&said(&after), &ours, Some(&more)), []);
}

#[test]
fn what_the_proxy_needs_more_than_it_had_is_added() {
    let (less, more) = (said(&json!({"requests": {"memory": "32Mi"}})), said(&json!({"requests": {"memory": "64Mi"}})));
    let raised = raised(&said(&json!({"requests": {"memory": "160Mi"}})), &more, Some(&less));
    assert_eq!(raised, [Raised { list: "requests", name: "memory", amount: Quantity("192Mi".into()) }]);
}

#[rstest]
#[case(guaranteed(), true)]
#[case(json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}), false)]
fn a_pod_that_is_guaranteed_as_a_whole_stays_so_whatever_its_containers_say(#[case] of_pod: Value, #[case] expected: bool) {
    let container: Container = serde_json::from_value(json!({"name": "app"})).unwrap();
    let (platform, mut faults) = (serde_json::from_str(PLATFORM).unwrap(), Faults::default());
    let of_pod = said(&of_pod);
    let ours = fitted(&platform, Some(&of_pod), std::iter::once(&container), &BTreeMap::new(), &Room::default(), &mut faults);
    let mut after = serde_json::to_value(&of_pod).unwrap();
    for raised in raised(&of_pod, &ours, None) {
        after[raised.list][raised.name] = json!(raised.amount);
    }
    assert_eq!(is_guaranteed(&said(&after)), expected, "{after}");
}
