use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::events::{self, Events};
use crate::fixtures::{ApiServer, apply, caches, config, covered_pod, delete, holding, namespace};
use crate::metrics::Metrics;

struct Fixture {
    server: Arc<ApiServer>,
    caches: Arc<Caches>,
    workloads: Arc<Workloads>,
    keeper: Keeper,
    events: Events,
}

impl Fixture {
    /// A keeper whose caches learn at once of what it makes.
    async fn new(objects: Vec<(String, Value)>) -> Self {
        let (server, client) = ApiServer::start(objects).await;
        let (config, metrics) = (Arc::new(config()), Arc::new(Metrics::new().unwrap()));
        let caches = Arc::new(caches(&[namespace("cameras", json!({}))]));
        let learning = Arc::clone(&caches);
        server.on_creation(move |object| apply(&learning.holdings, object.clone()));
        let (notices, events) = events::channel(client.clone(), &config, metrics);
        let workloads = Arc::new(Workloads::default());
        let keeper = Keeper::new(client, &caches, &workloads, &Arc::new(Queues::default()), notices, Resumed::always());
        Self { server, caches, workloads, keeper, events }
    }

    fn pod(&self, name: &str, app: &str, data: Option<&str>) {
        let mut pod = covered_pod(name, app, "");
        pod["spec"]["initContainers"] = json!([]);
        let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": app, "uid": format!("uid-of-{app}"), "controller": true});
        pod["metadata"]["ownerReferences"] = json!([owner]);
        if let Some(data) = data {
            pod["metadata"]["annotations"] = json!({"shekara.dev/data": data});
        }
        apply(&self.caches.pods, pod);
    }

    async fn visit(&mut self) -> Vec<String> {
        self.keeper.visit("cameras").await.unwrap();
        self.server.holdings()
    }

    fn reasons(&mut self) -> Vec<String> {
        self.events.waiting().into_iter().map(|(reason, _)| reason).collect()
    }
}

#[tokio::test]
async fn pods_that_say_what_they_hold_and_that_nobody_claims_get_one_draft() {
    let mut fixture = Fixture::new(vec![]).await;
    fixture.pod("web-0", "web", None);
    assert_eq!(fixture.visit().await, [""; 0], "nobody said anything");
    fixture.pod("web-0", "web", Some("vehicle.location"));
    fixture.pod("web-1", "web", Some("vehicle.location"));
    assert_eq!(fixture.visit().await, ["draft-web"]);
    assert_eq!(fixture.reasons(), ["DraftCreated"]);
    assert_eq!(fixture.visit().await, ["draft-web"]);
    assert_eq!(
        (fixture.reasons().len(), fixture.server.asked("POST /apis/shekara.dev/v1alpha1/namespaces/cameras/dataholdings")),
        (0, 1)
    );
}

#[tokio::test]
async fn a_pod_that_has_ended_or_is_claimed_makes_none() {
    let mut fixture = Fixture::new(vec![]).await;
    apply(&fixture.caches.holdings, holding("faces", "a"));
    fixture.pod("a-0", "a", Some("biometric.face"));
    fixture.pod("b-0", "b", Some("biometric.face"));
    let mut ended = covered_pod("b-0", "b", "");
    ended["metadata"]["annotations"] = json!({"shekara.dev/data": "biometric.face"});
    ended["status"]["phase"] = json!("Succeeded");
    apply(&fixture.caches.pods, ended);
    assert_eq!(fixture.visit().await, [""; 0]);
    assert!(fixture.reasons().is_empty());
    // the holding ends, and with it the claim
    delete(&fixture.caches.holdings, holding("faces", "a"));
    assert_eq!(fixture.visit().await, ["draft-a"]);
}

#[tokio::test]
async fn what_cannot_be_or_differs_is_told_and_does_not_hold_up_others() {
    let mut fixture = Fixture::new(vec![]).await;
    apply(&fixture.caches.holdings, holding("faces", "a"));
    fixture.pod("a-0", "a", Some("biometric.face,vehicle.location"));
    fixture.pod("b-0", "b", Some("vehicle.speed"));
    fixture.pod("c-0", "c", Some("vehicle.location"));
    assert_eq!(fixture.visit().await, ["draft-c"]);
    let told = fixture.events.waiting();
    let notes: Vec<&str> = told.iter().filter(|(reason, _)| reason == "DraftRefused").map(|(_, note)| note.as_str()).collect();
    assert!(
        notes[0].contains("vehicle.location") && notes[0].contains("(faces)") && notes[0].ends_with("(DataNotHeld)"),
        "{}",
        notes[0]
    );
    assert!(notes[1].ends_with("(UnknownCategory)"), "{}", notes[1]);
}

#[tokio::test]
async fn a_workload_that_is_annotated_itself_gets_one_by_the_labels_of_its_template() {
    let path = "/apis/apps/v1/namespaces/cameras/deployments/web".to_owned();
    let meta = json!({"name": "web", "namespace": "cameras", "uid": "u", "generation": 1, "annotations": {"shekara.dev/data": "vehicle.location"}});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"template": template}});
    let mut fixture = Fixture::new(vec![(path, deployment.clone())]).await;
    fixture.workloads.take(super::super::workloads::Kind::Deployment, Event::Apply(serde_json::from_value(deployment).unwrap()));
    assert_eq!(fixture.visit().await, ["draft-web"]);
    let made = fixture.caches.holdings.get(&Key::new("cameras", "draft-web")).unwrap();
    assert_eq!(made.spec.workload_selector.match_labels["app"], "web");
    let (_, note) = fixture.events.waiting().pop().unwrap();
    assert!(note.contains("once the namespace has the label shekara.dev/protect=true"), "{note}");
    fixture.visit().await;
    assert_eq!(fixture.server.asked("deployments/web"), 1, "the template is read once for its generation");
}

#[tokio::test]
async fn a_namespace_that_is_gone_is_forgotten() {
    let mut fixture = Fixture::new(vec![]).await;
    assert!(fixture.keeper.visit("elsewhere").await.is_ok());
}

#[tokio::test]
async fn a_holding_that_cannot_be_read_is_named_and_waited_for() {
    let mut fixture = Fixture::new(vec![]).await;
    let unreadable = json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding", "metadata": {"name": "faces", "namespace": "cameras"}, "spec": 1});
    apply(&fixture.caches.holdings, unreadable);
    fixture.pod("web-0", "web", Some("vehicle.location"));
    assert!(matches!(fixture.keeper.visit("cameras").await, Err(DraftsError::Unreadable(name)) if name == "faces"));
    assert!(fixture.server.holdings().is_empty());
    let (reason, note) = fixture.events.waiting().pop().unwrap();
    assert!(reason == "DraftRefused" && note.contains("the DataHolding faces "), "{note}");
    apply(&fixture.caches.holdings, holding("faces", "other"));
    assert_eq!(fixture.visit().await, ["draft-web"], "it is tried again");
}

/// Of which the caches know nothing yet.
#[tokio::test]
async fn a_visit_lists_the_holdings_once_however_many_workloads_there_are() {
    let there = |name: &str, app: &str| (ApiServer::holding(name), holding(name, app));
    let mut fixture = Fixture::new(vec![there("one", "a"), there("two", "b")]).await;
    fixture.pod("a-0", "a", Some("biometric.face"));
    fixture.pod("b-0", "b", Some("biometric.face"));
    assert_eq!(fixture.visit().await, ["one", "two"]);
    assert_eq!(fixture.server.asked("dataholdings"), 1);
    fixture.pod("c-0", "c", Some("biometric.face"));
    fixture.pod("d-0", "d", Some("biometric.face"));
    assert_eq!(fixture.visit().await, ["draft-c", "draft-d", "one", "two"], "a draft that was made is seen");
}
