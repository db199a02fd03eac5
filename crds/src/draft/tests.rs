use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::compile::{Surroundings, compile};
use crate::declaration::missing;

fn now() -> Timestamp {
    "2026-06-01T10:00:00.75Z".parse().unwrap()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A standard of these categories, with what it says of Observe.
fn standard(data: &str, observe: &Value) -> SovereigntyStandard {
    let mut spec = json!({
        "title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"data": [data]}, "homeCountries": ["KZ"],
        "transfers": [{"data": [data], "countries": ["KZ"], "grounds": ["Law"]}]
    });
    if !observe.is_null() {
        spec["observe"] = observe.clone();
    }
    serde_json::from_value(json!({"metadata": {"name": data}, "spec": spec})).unwrap()
}

fn around<'a>(
    standards: &'a [SovereigntyStandard],
    namespace_labels: &'a BTreeMap<String, String>,
    taken: &'a BTreeSet<String>,
) -> Around<'a> {
    Around { standards, namespace_labels, taken, drafts: 0, now: now() }
}

fn of(labels: &[(&str, &str)], data: &str, standards: &[SovereigntyStandard]) -> Result<DataHolding, DraftError> {
    let marked = Marked { namespace: "telematics", kind: "Deployment", name: "web", labels: &map(labels), data };
    draft(&marked, &around(standards, &BTreeMap::new(), &BTreeSet::new()))
}

#[test]
fn a_draft_says_what_it_is_and_where_it_came_from() {
    let holding = of(&[("app", "web"), ("pod-template-hash", "abc")], "vehicle.location, biometric.face", &[]).unwrap();
    assert!(is_draft(&holding));
    let expected = json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding",
        "metadata": {
            "name": "draft-web", "namespace": "telematics",
            "labels": {"shekara.dev/draft": "true"}, "annotations": {"shekara.dev/draft-of": "Deployment/web"}
        },
        "spec": {
            "title": "DRAFT: not declared yet (Deployment web)", "controller": {"name": "DRAFT: not declared yet", "country": "ZZ"},
            "workloadSelector": {"matchLabels": {"app": "web"}},
            "data": [{"category": "biometric.face"}, {"category": "vehicle.location"}], "enforcement": {"mode": "Enforce"}
        }
    });
    assert_eq!(serde_json::to_value(&holding).unwrap(), expected);
}

#[rstest]
#[case("vehicle.speed", "UnknownCategory")]
#[case("vehicle.*", "UnknownCategory")]
#[case("vehicle.location,Biometric.face", "UnknownCategory")]
#[case("", "NoCategory")]
#[case(" , ", "NoCategory")]
fn an_annotation_that_means_nothing_makes_no_draft(#[case] data: &str, #[case] code: &str) {
    assert_eq!(of(&[("app", "web")], data, &[]).unwrap_err().code(), code);
}

#[rstest]
#[case(&[], Err(DraftError::NoLabel))]
#[case(&[("job-name", "j"), ("batch.kubernetes.io/controller-uid", "u"), ("shekara.dev/covered", "true")], Err(DraftError::NoLabel))]
#[case(&[("app", "web"), ("statefulset.kubernetes.io/pod-name", "web-0"), ("apps.kubernetes.io/pod-index", "0"), ("controller-revision-hash", "h")], Ok(&[("app", "web")] as &[_]))]
#[case(&[("app", "web"), ("version", "2"), ("helm.sh/chart", "web-2")], Ok(&[("app", "web")] as &[_]))]
#[case(&[("app.kubernetes.io/version", "2")], Ok(&[("app.kubernetes.io/version", "2")] as &[_]))]
#[case::rollouts(&[("app", "web"), ("rollouts-pod-template-hash", "h"), ("chart", "web-2")], Ok(&[("app", "web")] as &[_]))]
#[case::topology(&[("app", "web"), ("topology.kubernetes.io/zone", "a"), ("topology.kubernetes.io/region", "r")], Ok(&[("app", "web")] as &[_]))]
#[case::knative(
    &[
        ("app", "web-00002"), ("serving.knative.dev/revision", "web-00002"), ("serving.knative.dev/service", "web"),
        ("serving.knative.dev/configurationGeneration", "2"), ("serving.knative.dev/revisionUID", "u"),
    ],
    Ok(&[("serving.knative.dev/service", "web")] as &[_])
)]
#[case::tekton(
    &[
        ("tekton.dev/pipeline", "etl-x7"), ("tekton.dev/pipelineRun", "etl-x7"), ("tekton.dev/pipelineTask", "load"),
        ("tekton.dev/taskRun", "etl-x7-load"), ("tekton.dev/taskRunUID", "u"),
    ],
    Ok(&[("tekton.dev/pipelineTask", "load")] as &[_])
)]
#[case::the_name_of_an_instance_where_there_is_nothing_else(&[("app", "etl"), ("workflows.argoproj.io/workflow", "etl"), ("workflows.argoproj.io/completed", "false")], Ok(&[("app", "etl")] as &[_]))]
#[case::a_job_may_have_the_name_of_its_program(&[("app", "migrate"), ("job-name", "migrate"), ("tier", "db")], Ok(&[("app", "migrate"), ("tier", "db")] as &[_]))]
#[case::a_value_that_says_nothing(&[("apps.kubernetes.io/pod-index", "0"), ("shard", "0")], Ok(&[("shard", "0")] as &[_]))]
#[case::job_sets(&[("jobset.sigs.k8s.io/jobset-name", "train"), ("jobset.sigs.k8s.io/job-key", "k"), ("batch.kubernetes.io/job-completion-index", "1")], Err(DraftError::NoLabel))]
#[case::groups(&[("leaderworkerset.sigs.k8s.io/name", "llm"), ("leaderworkerset.sigs.k8s.io/group-index", "1"), ("leaderworkerset.sigs.k8s.io/group-key", "k")], Ok(&[("leaderworkerset.sigs.k8s.io/name", "llm")] as &[_]))]
#[case::spark(&[("spark-app-selector", "spark-1"), ("spark-exec-id", "1"), ("spark-role", "executor"), ("spark-version", "4")], Ok(&[("spark-role", "executor")] as &[_]))]
fn pods_are_selected_by_labels_that_last(#[case] labels: &[(&str, &str)], #[case] expected: Result<&[(&str, &str)], DraftError>) {
    let selected = of(labels, "vehicle.location", &[]).map(|holding| holding.spec.workload_selector.match_labels);
    assert_eq!(selected, expected.map(map));
}

#[test]
fn a_name_is_a_label_and_another_holdings_is_left_to_it() {
    let named = |name: &str, taken: &[&str]| {
        let taken = taken.iter().map(|name| (*name).to_owned()).collect();
        let marked = Marked { namespace: "n", kind: "Pod", name, labels: &map(&[("app", "a")]), data: "vehicle.location" };
        draft(&marked, &around(&[], &BTreeMap::new(), &taken)).unwrap().metadata.name.unwrap()
    };
    assert_eq!(named("web", &["draft-other"]), "draft-web");
    assert_eq!(named("web", &["draft-web"]), "draft-web-2");
    assert_eq!(named("web", &["draft-web", "draft-web-2", "a"]), "draft-web-3");
    assert_eq!(named("web.v1", &[]), "draft-web-v1");
    assert_eq!(named("...", &[]), "draft-workload");
    let long = "w".repeat(253);
    let first = named(&long, &[]);
    assert_eq!(first.len(), 63);
    let second = named(&long, &[first.as_str()]);
    assert!(second.len() == 63 && second.ends_with("-2"), "{second}");
}

#[test]
fn a_namespace_has_no_drafts_without_end() {
    let (labels, taken) = (map(&[("app", "web")]), BTreeSet::new());
    let marked = Marked { namespace: "n", kind: "Pod", name: "p", labels: &labels, data: "vehicle.location" };
    let mut around = around(&[], &labels, &taken);
    around.drafts = MOST - 1;
    assert!(draft(&marked, &around).is_ok());
    around.drafts = MOST;
    assert_eq!(draft(&marked, &around), Err(DraftError::TooManyDrafts));
}

/// What two standards say of Observe, and until when the draft observes.
#[rstest]
#[case(json!({"maxDays": 14, "drafts": true}), json!({"maxDays": 3, "drafts": true}), Some("2026-06-04T10:00:00Z"))]
#[case(json!({"maxDays": 14, "drafts": true}), json!({"maxDays": 3}), None)]
#[case(json!({"maxDays": 14, "drafts": true}), json!(null), None)]
#[case(json!({"maxDays": 14, "drafts": true}), json!({"maxDays": 0, "drafts": true}), None)]
#[case(json!({"maxDays": 14}), json!({"maxDays": 14}), None)]
fn a_draft_observes_where_every_standard_grants_it(#[case] first: Value, #[case] second: Value, #[case] until: Option<&str>) {
    let standards = [standard("vehicle.*", &first), standard("vehicle.location", &second), standard("biometric.*", &json!(null))];
    let enforcement = of(&[("app", "web")], "vehicle.location", &standards).unwrap().spec.enforcement;
    assert_eq!(enforcement.observe_until.as_deref(), until);
    assert_eq!(enforcement.mode, if until.is_some() { Mode::Observe } else { Mode::Enforce });
}

#[test]
fn without_a_standard_or_with_one_that_cannot_be_read_a_draft_enforces() {
    let grants = standard("vehicle.*", &json!({"maxDays": 14, "drafts": true}));
    for standards in [vec![], vec![grants, SovereigntyStandard::stand_in("kz")]] {
        assert_eq!(of(&[("app", "web")], "vehicle.location", &standards).unwrap().spec.enforcement, Enforcement::default());
    }
}

#[test]
fn what_a_draft_leaves_open_is_missing_whatever_the_standards_require() {
    let mut holding = of(&[("app", "web")], "vehicle.location", &[]).unwrap();
    let cluster =
        shekara_policy::document::Cluster { networks: vec![], domain: "cluster.local".parse().unwrap(), resolvers: vec![] };
    let around = Surroundings {
        standards: &[],
        recipients: &BTreeMap::new(),
        namespace_labels: &BTreeMap::new(),
        services: &[],
        cluster: &cluster,
        now: now(),
    };
    let fields = |holding: &DataHolding| missing(holding, around).into_iter().map(|lack| lack.field).collect::<Vec<_>>();
    let facts = ["spec.controller.country", "spec.controller.name", "spec.title"];
    assert_eq!(fields(&holding), [&["metadata.labels[shekara.dev/draft]"][..], &facts].concat());
    let text = missing(&holding, around).first().unwrap().to_string();
    assert!(text.contains("a draft") && text.ends_with("(Inventory)"), "{text}");
    // the label alone makes no declaration of it
    holding.metadata.labels = None;
    assert_eq!(fields(&holding), facts);
    holding.spec.title = "Web".into();
    holding.spec.controller = Controller { name: "Akimat".into(), registration_number: None, country: "KZ".into() };
    assert_eq!(fields(&holding), [""; 0]);
    assert!(compile(&holding, around).document.routes.is_empty());
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop_oneof![
        "[a-z]{1,3}",
        proptest::sample::select(vec![
            "app",
            "version",
            "helm.sh/chart",
            "pod-template-hash",
            "job-name",
            "batch.kubernetes.io/job-name",
            "rollouts-pod-template-hash",
            "serving.knative.dev/revision",
            "topology.kubernetes.io/zone",
            "shekara.dev/covered",
        ])
        .prop_map(str::to_owned),
    ];
    proptest::collection::btree_map(key, "[a-z0-9]{0,4}", 0..40)
}

fn observe() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        (0..400i32, any::<bool>()).prop_map(|(days, drafts)| json!({"maxDays": days.min(366), "drafts": drafts})),
    ]
}

proptest! {
    #[test]
    fn a_draft_claims_its_workload_and_opens_nothing(
        labels in labels(),
        name in "[a-z0-9.-]{1,253}",
        data in proptest::sample::subsequence(Category::all().collect::<Vec<_>>(), 1..6),
        observes in proptest::collection::vec((proptest::sample::select(vec!["biometric.*", "vehicle.*"]), observe()), 0..4),
        taken in proptest::collection::btree_set("draft-[a-z]{0,2}(-[2-4])?", 0..6),
    ) {
        let standards: Vec<_> = observes.iter().map(|(data, observe)| standard(data, observe)).collect();
        let text = data.iter().map(|category| category.as_str()).collect::<Vec<_>>().join(",");
        let marked = Marked { namespace: "n", kind: "Deployment", name: &name, labels: &labels, data: &text };
        let namespace = BTreeMap::new();
        let Ok(holding) = draft(&marked, &around(&standards, &namespace, &taken)) else {
            prop_assert!(labels.keys().all(|key| selection::lasting(&map(&[(key.as_str(), "")])).is_none()));
            return Ok(());
        };
        prop_assert!(holding.claims(&labels, &BTreeMap::new()));
        prop_assert!(holding.spec.transfers.is_empty() && holding.spec.in_cluster.is_empty() && holding.spec.cluster_api.is_none());
        prop_assert!(holding.spec.workload_selector.match_labels.len() <= 32 && holding.spec.title.chars().count() <= 256);
        prop_assert_eq!(holding.validate_cel().map_err(|errors| format!("{errors:?}")), Ok(()));
        let called = holding.metadata.name.clone().unwrap();
        prop_assert!(called.len() <= 63 && called.starts_with("draft-") && !called.ends_with('-') && !taken.contains(&called));
        let held: BTreeSet<Category> = data.into_iter().collect();
        let bound = standards.iter().filter(|standard| applies(standard, &held, &namespace)).collect::<Vec<_>>();
        let grants = |standard: &&SovereigntyStandard| standard.spec.observe.as_ref().is_some_and(|observe| observe.drafts);
        if bound.is_empty() || !bound.iter().all(grants) {
            prop_assert_eq!(holding.spec.enforcement.mode, Mode::Enforce);
        }
    }
}
