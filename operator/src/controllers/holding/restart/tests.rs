use std::sync::Arc;

use rstest::rstest;
use serde_json::{Value, json};
use shekara_crds::{DRAFT_LABEL, RESTARTED_ANNOTATION};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;
use crate::controllers::holding::coverage::{Surveyed, Why};
use crate::events::{self, Events};
use crate::fixtures::{ApiServer, config, holding};
use crate::metrics::Metrics;

const NOW: &str = "2026-06-01T10:00:00Z";
const BEFORE: &str = "2026-06-01T09:00:00Z";
const AFTER: &str = "2026-06-01T10:00:05Z";
const BUDGETS: &str = "/apis/policy/v1/namespaces/cameras/poddisruptionbudgets";

fn path(kind: &str, name: &str) -> String {
    format!("/apis/apps/v1/namespaces/cameras/{kind}/{name}")
}

fn workload(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "cameras", "uid": format!("uid-of-{name}")},
        "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": []}}}
    })
}

/// The workloads whose new pods would be refused.
struct Refused(Vec<&'static str>);

impl Foresight for Refused {
    fn foresees<'a>(&'a self, _: &'a str, name: &'a str, _: &'a Value) -> BoxFuture<'a, Result<(), String>> {
        let refused = self.0.contains(&name);
        async move { if refused { Err("spec.hostNetwork: it would share the network".to_owned()) } else { Ok(()) } }.boxed()
    }
}

/// Workloads with a bare pod each, created at this time.
struct Fixture {
    server: Arc<ApiServer>,
    client: Client,
    notices: Notices,
    events: Events,
    pace: Pace,
    holding: DataHolding,
    pods: Vec<PodSummary>,
    refused: Refused,
}

impl Fixture {
    async fn new(names: &[&str]) -> Self {
        let budgets = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudgetList", "metadata": {}, "items": []});
        let (server, client) = ApiServer::start(vec![(BUDGETS.to_owned(), budgets)]).await;
        for name in names {
            server.put(&path("deployments", name), workload("Deployment", name));
        }
        let (notices, events) = events::channel(client.clone(), &config(), Arc::new(Metrics::new().unwrap()));
        let holding = serde_json::from_value(holding("faces", "a")).unwrap();
        let mut fixture =
            Self { server, client, notices, events, pace: Pace::default(), holding, pods: vec![], refused: Refused(vec![]) };
        fixture.pods = names.iter().map(|name| fixture.pod("Deployment", name, BEFORE)).collect();
        fixture
    }

    #[allow(clippy::unused_self, reason = "it reads as what it is")]
    fn pod(&self, kind: &str, owner: &str, created: &str) -> PodSummary {
        PodSummary {
            namespace: "cameras".into(),
            name: format!("{owner}-0"),
            created: Some(created.parse().unwrap()),
            labels: [("app".to_owned(), owner.to_owned())].into(),
            owner: Some(Owner {
                api_version: if kind == "Job" { "batch/v1" } else { "apps/v1" }.into(),
                kind: kind.into(),
                name: owner.into(),
                uid: format!("uid-of-{owner}"),
            }),
            ..PodSummary::default()
        }
    }

    async fn look(&self, at_once: usize, now: &str) -> Option<Duration> {
        self.look_at(State::Bare, at_once, now).await
    }

    /// A look that is due.
    async fn look_at(&self, state: State, at_once: usize, now: &str) -> Option<Duration> {
        let surveyed = |pod: &PodSummary| Surveyed { state, name: pod.name.clone(), failed: None, why: None::<Why> };
        let survey = Survey { pods: self.pods.iter().map(surveyed).collect(), ..Survey::default() };
        let pods: Vec<&PodSummary> = self.pods.iter().collect();
        self.pace.forget(&Key::new("cameras", "faces"));
        let restarts = Restarts { client: &self.client, admission: &self.refused, notices: &self.notices, pace: &self.pace };
        restarts.look(&self.holding, at_once, &survey, &pods, now.parse().unwrap()).await
    }

    /// Those that were restarted, of these Deployments.
    fn restarted(&self, names: &[&str]) -> Vec<String> {
        let at = |name: &str| {
            let object = self.server.object(&path("deployments", name));
            object["spec"]["template"]["metadata"]["annotations"][RESTARTED_ANNOTATION].as_str().map(str::to_owned)
        };
        names.iter().filter(|name| at(name).is_some()).map(|name| (*name).to_owned()).collect()
    }
}

#[tokio::test]
async fn as_many_as_may_be_are_restarted_at_once_and_the_next_when_one_is_done() {
    let mut fixture = Fixture::new(&["a", "b", "c"]).await;
    assert_eq!(fixture.look(2, NOW).await, Some(LOOK));
    assert_eq!(fixture.restarted(&["a", "b", "c"]), ["a", "b"]);
    let (reason, note) = fixture.events.waiting().remove(0);
    assert!(reason == "Restarted" && note.contains("the DataHolding faces covers its pods"), "{note}");
    fixture.look(2, AFTER).await;
    assert_eq!(fixture.restarted(&["a", "b", "c"]), ["a", "b"]);
    // the pod of the first has been replaced by a covered one
    fixture.pods.remove(0);
    fixture.look(2, AFTER).await;
    assert_eq!(fixture.restarted(&["a", "b", "c"]), ["a", "b", "c"]);
    fixture.pods.clear();
    assert_eq!(fixture.look(2, AFTER).await, None, "there is nothing to wait for");
}

#[tokio::test]
async fn between_two_looks_there_is_time() {
    let fixture = Fixture::new(&["a"]).await;
    fixture.look(1, NOW).await;
    let (client, notices, pace) = (&fixture.client, &fixture.notices, &fixture.pace);
    let restarts = Restarts { client, admission: &fixture.refused, notices, pace };
    let survey =
        Survey { pods: vec![Surveyed { state: State::Bare, name: "a-0".into(), failed: None, why: None }], ..Survey::default() };
    let asked = fixture.server.asked("deployments/a");
    let rest = restarts.look(&fixture.holding, 1, &survey, &[&fixture.pods[0]], NOW.parse().unwrap()).await;
    assert!(rest.is_some_and(|rest| rest <= LOOK));
    assert_eq!(fixture.server.asked("deployments/a"), asked);
}

#[tokio::test]
async fn what_a_budget_keeps_and_what_is_paused_waits() {
    let fixture = Fixture::new(&["a", "b", "c"]).await;
    let budget = |allowed: i32| {
        json!({
            "metadata": {"name": "b", "namespace": "cameras"}, "spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["b"]}]}},
            "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}
        })
    };
    let list =
        |items: Value| json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudgetList", "metadata": {}, "items": items});
    fixture.server.put(BUDGETS, list(json!([budget(0)])));
    let mut paused = workload("Deployment", "c");
    paused["spec"]["paused"] = json!(true);
    fixture.server.put(&path("deployments", "c"), paused);
    fixture.look(3, NOW).await;
    assert_eq!(fixture.restarted(&["a", "b", "c"]), ["a"]);
    fixture.server.put(BUDGETS, list(json!([budget(1)])));
    fixture.look(3, NOW).await;
    assert_eq!(fixture.restarted(&["a", "b", "c"]), ["a", "b"]);
}

#[tokio::test]
async fn other_owners_pods_without_one_and_drafts_are_left_alone() {
    let mut fixture = Fixture::new(&["a"]).await;
    fixture.pods = vec![fixture.pod("Job", "job", BEFORE), PodSummary { owner: None, ..fixture.pod("Deployment", "a", BEFORE) }];
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job", "uid": "uid-of-job"}});
    fixture.server.put("/apis/batch/v1/namespaces/cameras/jobs/job", job);
    fixture.look(5, NOW).await;
    fixture.pods = vec![fixture.pod("Deployment", "a", BEFORE)];
    fixture.holding.metadata.labels = Some([(DRAFT_LABEL.to_owned(), "true".to_owned())].into());
    assert_eq!(fixture.look(5, NOW).await, None);
    assert_eq!(fixture.restarted(&["a"]), Vec::<String>::new());
}

#[tokio::test]
async fn a_deployment_is_found_behind_its_replica_set_and_another_of_the_name_is_not_restarted() {
    let mut fixture = Fixture::new(&["a"]).await;
    let owner = |uid: &str| json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "a", "uid": uid, "controller": true}]);
    let set = |uid: &str| json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "a-1", "uid": "uid-of-a-1", "ownerReferences": owner(uid)}});
    fixture.pods = vec![fixture.pod("ReplicaSet", "a-1", BEFORE)];
    fixture.server.put(&path("replicasets", "a-1"), set("another"));
    fixture.look(1, NOW).await;
    assert!(fixture.restarted(&["a"]).is_empty());
    fixture.server.put(&path("replicasets", "a-1"), set("uid-of-a"));
    fixture.look(1, NOW).await;
    assert_eq!(fixture.restarted(&["a"]), ["a"]);
}

#[tokio::test]
async fn what_is_no_better_afterwards_is_told_and_not_restarted_again() {
    let mut fixture = Fixture::new(&["a", "b"]).await;
    fixture.look(1, NOW).await;
    fixture.events.waiting();
    fixture.pods[0].created = Some(AFTER.parse().unwrap());
    fixture.look(1, AFTER).await;
    let said: Vec<String> = fixture.events.waiting().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(said, ["RestartFailed", "Restarted"], "and the next one has its turn");
    let at = fixture.server.object(&path("deployments", "a"))["spec"]["template"]["metadata"]["annotations"]
        [RESTARTED_ANNOTATION]
        .clone();
    assert_eq!(at, json!(NOW));
}

#[tokio::test]
async fn what_would_not_start_again_is_left_running_and_told() {
    let mut fixture = Fixture::new(&["a", "b"]).await;
    fixture.refused = Refused(vec!["a"]);
    fixture.look(1, NOW).await;
    assert_eq!(fixture.restarted(&["a", "b"]), ["b"]);
    let (reason, note) = fixture.events.waiting().remove(0);
    assert!(reason == "RestartFailed" && note.contains("its new pods would be refused: spec.hostNetwork"), "{note}");
}

/// Whoever writes the whole template takes the annotation away.
#[tokio::test]
async fn a_workload_is_restarted_once_a_day_whoever_writes_its_template() {
    let fixture = Fixture::new(&["a"]).await;
    fixture.look(1, NOW).await;
    fixture.server.put(&path("deployments", "a"), workload("Deployment", "a"));
    fixture.look(1, "2026-06-02T09:59:59Z").await;
    assert!(fixture.restarted(&["a"]).is_empty());
    fixture.look(1, "2026-06-02T10:00:00Z").await;
    assert_eq!(fixture.restarted(&["a"]), ["a"]);
}

#[rstest]
#[case::never(None, State::Bare, BEFORE, NOW, Turn::Waits)]
#[case::just_now(Some(NOW), State::Bare, BEFORE, AFTER, Turn::Runs)]
#[case::new_and_bare(Some(NOW), State::Bare, AFTER, AFTER, Turn::Stuck)]
#[case::not_replaced(Some(BEFORE), State::Bare, "2026-06-01T08:00:00Z", NOW, Turn::Stuck)]
#[case::again_the_same_day(Some(BEFORE), State::RestartNeeded, "2026-06-01T09:30:00Z", NOW, Turn::Stuck)]
#[case::again_a_day_later(Some("2026-05-31T10:00:00Z"), State::RestartNeeded, BEFORE, NOW, Turn::Waits)]
#[case::bare_again_a_day_later(Some("2026-05-31T10:00:00Z"), State::Bare, BEFORE, NOW, Turn::Waits)]
#[case::another_root_just_now(Some(NOW), State::RestartNeeded, AFTER, AFTER, Turn::Runs)]
fn where_a_workload_stands(
    #[case] restarted: Option<&str>,
    #[case] state: State,
    #[case] created: &str,
    #[case] now: &str,
    #[case] expected: Turn,
) {
    let pod = PodSummary { created: Some(created.parse().unwrap()), ..PodSummary::default() };
    let restarted = restarted.map(|at| at.parse().unwrap());
    assert_eq!(turn(restarted, &[(&pod, state)], now.parse().unwrap()), expected);
}
