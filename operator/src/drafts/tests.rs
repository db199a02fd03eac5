use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::events::{self, Events};
use crate::fixtures::{ApiServer, apply, caches, config, holding};
use crate::metrics::Metrics;

const OWNER: &str = "ReplicaSet";

fn standard(observe: Value) -> Value {
    json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
        "spec": {
            "title": "t", "authority": {"name": "a", "country": "KZ"}, "appliesTo": {"data": ["vehicle.*"]}, "homeCountries": ["KZ"],
            "transfers": [{"data": ["vehicle.*"], "countries": ["KZ"], "grounds": ["Law"]}], "observe": observe
        }
    })
}

async fn drafts(objects: Vec<(String, Value)>) -> (Arc<ApiServer>, Drafts, Events) {
    let (server, client) = ApiServer::start(objects).await;
    let config: Config = config();
    let (notices, events) = events::channel(client.clone(), &config, Arc::new(Metrics::new().unwrap()));
    let caches = Arc::new(caches(&[standard(json!({"maxDays": 2, "drafts": true}))]));
    (server, Drafts::new(client, &caches, notices), events)
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A workload of this name with pods of this value of the label `app`.
struct Named {
    labels: BTreeMap<String, String>,
    none: BTreeMap<String, String>,
    owner: Owner,
}

impl Named {
    fn new(name: &str, app: &str) -> Self {
        let owner = Owner { api_version: "apps/v1".into(), kind: OWNER.into(), name: name.into(), uid: format!("uid-of-{name}") };
        Self { labels: map(&[("app", app)]), none: BTreeMap::new(), owner }
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            namespace: "cameras",
            namespace_labels: &self.none,
            owner: self.owner.clone(),
            labels: &self.labels,
            annotations: &self.none,
            data: "vehicle.location",
        }
    }
}

#[tokio::test]
async fn a_draft_is_called_after_the_workload_and_observes_where_that_is_granted() {
    let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": true});
    let replicas =
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web-5d8f", "ownerReferences": [owner]}});
    let path = "/apis/apps/v1/namespaces/cameras/replicasets/web-5d8f".to_owned();
    let (server, drafts, mut events) = drafts(vec![(path, replicas)]).await;
    let named = Named::new("web-5d8f", "web");
    let draft = drafts.plan(&named.subject()).await.unwrap().unwrap();
    assert_eq!(draft.metadata.annotations.as_ref().unwrap()["shekara.dev/draft-of"], "Deployment/web");
    assert_eq!(draft.spec.enforcement.mode, Mode::Observe);
    assert!(server.holdings().is_empty() && events.waiting().is_empty(), "a plan makes nothing");
    drafts.make(&named.subject(), draft).await.unwrap();
    assert_eq!(server.holdings(), ["draft-web"]);
    let (reason, note) = events.waiting().pop().unwrap();
    assert_eq!(reason, "DraftCreated");
    assert!(note.contains("draft-web") && note.contains("It observes until") && note.ends_with("off."), "{note}");
    assert!(drafts.plan(&named.subject()).await.unwrap().is_none(), "it claims the workload");
}

/// A cache that is behind would make a second holding of what is declared already.
#[tokio::test]
async fn a_holding_that_no_cache_knows_yet_is_seen() {
    let (_server, drafts, _events) = drafts(vec![(ApiServer::holding("fleet"), holding("fleet", "web"))]).await;
    assert!(drafts.plan(&Named::new("web", "web").subject()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_name_is_never_taken_from_another_holding() {
    let other = |name: &str| (ApiServer::holding(name), holding(name, "other"));
    let (_server, drafts, _events) = drafts(vec![other("draft-web"), other("draft-web-2")]).await;
    let draft = drafts.plan(&Named::new("web", "web").subject()).await.unwrap().unwrap();
    assert_eq!(draft.name_any(), "draft-web-3");
}

fn unreadable(name: &str) -> Value {
    json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "DataHolding", "metadata": {"name": name, "namespace": "cameras"}, "spec": 1})
}

/// It may claim the workload, and let it reach less than a draft that observes.
#[tokio::test]
async fn no_draft_takes_the_place_of_a_holding_that_cannot_be_read() {
    let (_server, drafts, _events) = drafts(vec![(ApiServer::holding("faces"), unreadable("faces"))]).await;
    let listed = drafts.plan(&Named::new("web", "web").subject()).await.unwrap_err().to_string();
    assert!(listed.contains("the DataHolding faces ") && listed.ends_with("(UnreadableHolding)"), "{listed}");
    apply(&drafts.caches.holdings, unreadable("cars"));
    let cached = drafts.plan(&Named::new("web", "web").subject()).await.unwrap_err().to_string();
    assert!(cached.contains("the DataHolding cars "), "{cached}");
    let named = Named::new("web", "web");
    let elsewhere = Subject { namespace: "elsewhere", ..named.subject() };
    let elsewhere = drafts.plan(&elsewhere).await;
    assert!(!matches!(elsewhere, Err(DraftsError::Unreadable(_))), "{elsewhere:?}");
}

#[rstest]
#[case("web", &["draft-web"], None)]
#[case("other", &["draft-web", "draft-web-2"], Some("draft-web-2"))]
#[tokio::test]
async fn who_was_faster_is_left_alone(#[case] app: &str, #[case] expected: &[&str], #[case] made: Option<&str>) {
    let (server, drafts, mut events) = drafts(vec![]).await;
    let (first, second) = (Named::new("web", "web"), Named::new("web", app));
    let planned = drafts.plan(&second.subject()).await.unwrap().unwrap();
    drafts.make(&first.subject(), drafts.plan(&first.subject()).await.unwrap().unwrap()).await.unwrap();
    events.waiting();
    assert_eq!(
        drafts.make(&second.subject(), planned).await.unwrap().as_deref(),
        made,
        "the name that it has, not the one that was planned"
    );
    assert_eq!(server.holdings(), expected);
    assert_eq!(events.waiting().len(), usize::from(made.is_some()));
}

#[tokio::test]
async fn what_means_nothing_asks_nobody() {
    let (server, drafts, _events) = drafts(vec![]).await;
    let named = Named::new("web", "web");
    let problem = drafts.plan(&Subject { data: "vehicle.speed", ..named.subject() }).await.unwrap_err().to_string();
    assert!(
        problem.contains("\"vehicle.speed\" is not a category of data") && problem.ends_with("(UnknownCategory)"),
        "{problem}"
    );
    assert_eq!(server.asked("dataholdings"), 0);
}

#[tokio::test]
async fn what_there_can_be_no_draft_of_asks_nobody() {
    let (server, drafts, _events) = drafts(vec![]).await;
    for number in 0..shekara_crds::draft::MOST {
        let mut draft = holding(&format!("draft-{number}"), "other");
        draft["metadata"]["labels"] = json!({"shekara.dev/draft": "true"});
        apply(&drafts.caches.holdings, draft);
    }
    let mut named = Named::new("web", "web");
    let many = drafts.plan(&named.subject()).await.unwrap_err().to_string();
    assert!(many.ends_with("(TooManyDrafts)"), "{many}");
    named.labels = map(&[("pod-template-hash", "a")]);
    let none = drafts.plan(&named.subject()).await.unwrap_err().to_string();
    assert!(none.ends_with("(NoLabel)"), "{none}");
    assert_eq!(server.asked("dataholdings"), 0);
}

#[test]
fn the_longest_sentence_fits_into_an_event() {
    let name = "w".repeat(253);
    let named = Named::new(&name, "web");
    let draft: DataHolding = serde_json::from_value(holding(&"d".repeat(63), "web")).unwrap();
    let namespace = "n".repeat(63);
    let text = sentence(&Subject { namespace: &namespace, ..named.subject() }, &draft);
    assert!(text.len() <= 1024, "{} bytes: {text}", text.len());
    assert!(text.contains("enforces and allows nothing") && text.contains("shekara.dev/protect=true"), "{text}");
}
