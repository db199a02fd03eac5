use serde_json::{Value, json};
use shekara_crds::{DataHolding, SovereigntyStandard};

use super::*;

fn holding(name: &str, title: &str) -> Value {
    json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding", "metadata": {"name": name, "namespace": "cameras", "managedFields": [{"manager": "x"}]},
        "spec": {"title": title, "controller": {"name": "c", "country": "KZ"}, "workloadSelector": {"matchLabels": {"a": "b"}}, "data": []}
    })
}

fn guarded<K: DeserializeOwned + Resource>(object: Value) -> DeserializeGuard<K> {
    serde_json::from_value(object).unwrap()
}

fn change(name: &str, created: bool) -> Change {
    Change { kind: Kind::DataHolding, key: Key::new("cameras", name), created }
}

fn list(cache: &Cache<DataHolding>, objects: Vec<Value>) -> Vec<Change> {
    assert_eq!(cache.take(Event::Init), []);
    for object in objects {
        assert_eq!(cache.take(Event::InitApply(guarded(object))), []);
    }
    cache.take(Event::InitDone)
}

#[test]
fn a_listing_counts_when_it_is_complete_and_what_it_lacks_is_gone() {
    let cache = Cache::<DataHolding>::default();
    assert_eq!(list(&cache, vec![holding("a", "1"), holding("b", "1")]), [change("a", false), change("b", false)]);
    assert_eq!(list(&cache, vec![holding("b", "1"), holding("c", "1")]), [change("a", false), change("c", true)]);
    assert_eq!(cache.all().len(), 2);
    assert_eq!(cache.get(&Key::new("cameras", "b")).unwrap().metadata.managed_fields, None);
}

#[test]
fn a_holding_keeps_the_marks_of_the_project_and_no_others() {
    let cache = Cache::<DataHolding>::default();
    let mut draft = holding("a", "1");
    draft["metadata"]["labels"] = json!({"shekara.dev/draft": "true", "app": "web"});
    draft["metadata"]["annotations"] = json!({"example.kz/note": "x"});
    cache.take(Event::Apply(guarded(draft.clone())));
    let kept = cache.get(&Key::new("cameras", "a")).unwrap();
    assert_eq!((kept.metadata.labels.as_ref().unwrap().len(), &kept.metadata.annotations), (1, &None));
    assert!(shekara_crds::draft::is_draft(&kept));
    // who takes it over changes its label alone
    draft["metadata"]["labels"] = json!({"app": "web"});
    assert_eq!(cache.take(Event::Apply(guarded(draft))), [change("a", false)]);
}

#[test]
fn only_a_difference_is_a_change() {
    let cache = Cache::<DataHolding>::default();
    assert_eq!(cache.take(Event::Apply(guarded(holding("a", "1")))), [change("a", true)]);
    assert_eq!(cache.take(Event::Apply(guarded(holding("a", "1")))), []);
    assert_eq!(cache.take(Event::Apply(guarded(holding("a", "2")))), [change("a", false)]);
    assert_eq!(cache.take(Event::Delete(guarded(holding("a", "2")))), [change("a", false)]);
    assert_eq!(cache.take(Event::Delete(guarded(holding("a", "2")))), []);
}

#[test]
fn a_namespace_has_its_own_objects_alone() {
    let cache = Cache::<DataHolding>::default();
    let mut other = holding("a", "1");
    other["metadata"]["namespace"] = json!("cameras2");
    list(&cache, vec![holding("z", "1"), other]);
    let names: Vec<String> = cache.in_namespace("cameras").into_iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(names, ["cameras/z"]);
}

#[test]
fn an_object_that_cannot_be_decoded_stalls_nothing_and_is_counted() {
    let cache = Cache::<DataHolding>::default();
    let mut broken = holding("b", "1");
    broken["spec"]["data"] = json!("text");
    let changes = list(&cache, vec![holding("a", "1"), broken.clone(), holding("c", "1")]);
    assert_eq!(changes, [change("a", false), change("b", false), change("c", false)], "its condition is to say so");
    assert_eq!(cache.all().len(), 2);
    assert_eq!(cache.all_unreadable(), [Key::new("cameras", "b")]);
    assert!(cache.unreadable(&Key::new("cameras", "b")).unwrap().contains("sequence"));
    assert_eq!(cache.take(Event::Apply(guarded(broken))), [], "nothing is new");
    assert_eq!(cache.take(Event::Apply(guarded(holding("b", "1")))), [change("b", true)]);
    assert_eq!(cache.all_unreadable(), []);
}

#[test]
fn a_standard_that_cannot_be_decoded_closes_every_route() {
    let cache = Cache::<SovereigntyStandard>::default();
    let broken = json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"}, "spec": {"future": true}});
    cache.take(Event::Apply(guarded(broken)));
    let stand_in = cache.get(&Key::new("", "kz")).unwrap();
    let holding: DataHolding = serde_json::from_value(holding("a", "1")).unwrap();
    let around = shekara_crds::Surroundings {
        standards: &[(*stand_in).clone()],
        recipients: &BTreeMap::new(),
        namespace_labels: &BTreeMap::new(),
        services: &[],
        cluster: &shekara_policy::document::Cluster {
            networks: vec![],
            domain: "cluster.local".parse().unwrap(),
            resolvers: vec![],
        },
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    let compiled = shekara_crds::compile(&holding, around);
    assert_eq!(compiled.standards, ["kz"]);
    assert!(compiled.problems.iter().any(|problem| problem.field.contains("SovereigntyStandard/kz")), "{:?}", compiled.problems);
}
