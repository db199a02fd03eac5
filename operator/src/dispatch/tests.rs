use std::time::Duration;

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::controllers::Queues;
use crate::events;
use crate::fixtures::{caches, client, config, covered_pod, holding, namespace};
use crate::metrics::Metrics;
use crate::peers::Peers;
use crate::watch::{Cache, Cached};

struct Fixture {
    dispatcher: Dispatcher,
    _events: events::Events,
}

impl Fixture {
    async fn new() -> Self {
        let objects = [namespace("cameras", json!({})), holding("faces", "a"), holding("cars", "b")];
        let (config, metrics) = (Arc::new(config()), Arc::new(Metrics::new().unwrap()));
        let (caches, documents, ledger) =
            (Arc::new(caches(&objects)), Arc::new(Documents::default()), Arc::new(Ledger::default()));
        let keys = Keys::of_test();
        let queues = Arc::new(Queues::default());
        let (notices, events) = events::channel(client(), &config, metrics);
        let dispatcher = Dispatcher {
            peers: Arc::new(Peers::new(&config, &caches, &documents, &ledger, Resumed::always())),
            signer: Arc::new(Signer::new(Arc::clone(&keys), Arc::clone(&caches))),
            keys,
            config,
            caches,
            documents,
            ledger,
            log_readers: Arc::default(),
            queues,
            notices,
            resumed: Resumed::always(),
        };
        dispatcher.everything();
        let fixture = Self { dispatcher, _events: events };
        fixture.visits().await;
        fixture
    }

    /// The change that an object makes.
    fn change<V: Cached>(&self, cache: &Cache<V>, object: Value) {
        self.dispatcher.take(&cache.take(Event::Apply(serde_json::from_value(object).unwrap())));
    }

    fn digest(&self, name: &str) -> Option<String> {
        self.dispatcher.documents.of("cameras").get(name).map(|published| published.digest.clone())
    }

    /// The holdings that are visited until nothing is left to visit.
    async fn visits(&self) -> Vec<String> {
        let queue = &self.dispatcher.queues.holdings;
        let mut names = Vec::new();
        // time is paused and goes on by itself when everybody waits
        while let Ok(key) = tokio::time::timeout(Duration::from_secs(60), queue.next()).await {
            queue.done(&key);
            names.push(key.name);
        }
        names.sort();
        names
    }
}

#[tokio::test(start_paused = true)]
async fn a_recipient_concerns_the_holdings_that_name_it() {
    let fixture = Fixture::new().await;
    let mut other = holding("cars", "b");
    (other["spec"]["transfers"], other["metadata"]["generation"]) = (json!([]), json!(2));
    fixture.change(&fixture.dispatcher.caches.holdings, other);
    assert_eq!(fixture.visits().await, ["cars"]);
    let before = (fixture.digest("faces"), fixture.digest("cars"));
    let recipient = json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "Recipient", "metadata": {"name": "clinic"},
        "spec": {"legalName": "Clinic", "country": "KZ", "role": "Processor", "endpoints": [{"host": "a.kz", "ports": [443], "protocol": "TLS"}]}
    });
    fixture.change(&fixture.dispatcher.caches.recipients, recipient);
    assert_ne!(fixture.digest("faces"), before.0);
    assert_eq!(fixture.digest("cars"), before.1);
    assert_eq!(fixture.visits().await, ["faces"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_concerns_the_holdings_of_its_namespace_and_no_document() {
    let fixture = Fixture::new().await;
    let since = fixture.dispatcher.documents.of("cameras")["faces"].since;
    fixture.change(&fixture.dispatcher.caches.pods, covered_pod("web", "a", "faces"));
    assert_eq!(fixture.visits().await, ["cars", "faces"]);
    assert_eq!(fixture.dispatcher.documents.of("cameras")["faces"].since, since);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_reads_the_logs_of_its_node_concerns_every_holding_where_a_standard_has_it_reported() {
    let fixture = Fixture::new().await;
    let Dispatcher { caches, .. } = &fixture.dispatcher;
    let mut pod = covered_pod("agent", "a", "");
    pod["metadata"]["namespace"] = json!("logging");
    pod["spec"]["volumes"] = json!([{"name": "logs", "hostPath": {"path": "/var/log"}}]);
    fixture.change(&caches.pods, pod.clone());
    assert!(fixture.visits().await.is_empty());
    let standard = json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
        "spec": {
            "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["KZ"],
            "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Law"]}], "logs": {"mode": "Reported"}
        }
    });
    fixture.change(&caches.standards, standard);
    fixture.visits().await;
    // what a kubelet says of it is no news
    pod["status"]["phase"] = json!("Pending");
    fixture.change(&caches.pods, pod.clone());
    assert!(fixture.visits().await.is_empty());
    pod["metadata"]["labels"] = json!({"app": "another"});
    fixture.change(&caches.pods, pod.clone());
    assert_eq!(fixture.visits().await, ["cars", "faces"]);
    fixture.dispatcher.take(&caches.pods.take(Event::Delete(serde_json::from_value(pod).unwrap())));
    assert_eq!(fixture.visits().await, ["cars", "faces"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_is_looked_at_and_compiles_nothing() {
    let fixture = Fixture::new().await;
    let mut written = holding("faces", "a");
    written["status"] = json!({"denied": 1});
    let key = Key::new("cameras", "faces");
    assert!(fixture.dispatcher.is_compiled(&key));
    fixture.change(&fixture.dispatcher.caches.holdings, written.clone());
    assert_eq!(fixture.visits().await, ["faces"]);
    written["metadata"]["generation"] = json!(2);
    written["spec"]["transfers"] = json!([]);
    let before = fixture.digest("faces");
    fixture.change(&fixture.dispatcher.caches.holdings, written);
    assert_ne!(fixture.digest("faces"), before);
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_is_declared_is_published_although_nothing_but_its_label_changed() {
    let fixture = Fixture::new().await;
    let holdings = &fixture.dispatcher.caches.holdings;
    let is_draft = || shekara_crds::draft::is_draft(&fixture.dispatcher.documents.of("cameras")["faces"].holding);
    let mut draft = holding("faces", "a");
    draft["metadata"]["labels"] = json!({"shekara.dev/draft": "true"});
    fixture.change(holdings, draft);
    assert!(is_draft());
    fixture.change(holdings, holding("faces", "a"));
    assert!(!is_draft());
}

#[tokio::test(start_paused = true)]
async fn a_status_asks_for_no_look_at_drafts_and_a_spec_or_the_label_does() {
    let fixture = Fixture::new().await;
    let Dispatcher { caches, queues, .. } = &fixture.dispatcher;
    let asked = async || {
        let namespace = tokio::time::timeout(Duration::from_secs(60), queues.drafts.next()).await;
        namespace.is_ok_and(|namespace| {
            queues.drafts.done(&namespace);
            namespace == "cameras"
        })
    };
    let mut changed = holding("faces", "a");
    changed["status"] = json!({"denied": 1});
    fixture.change(&caches.holdings, changed.clone());
    assert!(!asked().await);
    changed["metadata"]["labels"] = json!({"shekara.dev/draft": "true"});
    fixture.change(&caches.holdings, changed.clone());
    assert!(asked().await);
    // its document stays the same
    changed["metadata"]["generation"] = json!(2);
    changed["spec"]["title"] = json!("Another");
    fixture.change(&caches.holdings, changed.clone());
    assert!(asked().await);
    changed["status"] = json!({"denied": 2});
    fixture.change(&caches.holdings, changed);
    assert!(!asked().await);
}

/// The holding `faces` with these categories, of this generation, and what its status says is held.
fn holds(data: &[&str], generation: i64, held: Value) -> Value {
    let mut holding = holding("faces", "a");
    holding["metadata"]["generation"] = json!(generation);
    holding["spec"]["data"] = data.iter().map(|category| json!({"category": category})).collect();
    holding["status"] = json!({"held": held});
    holding
}

fn counts(fixture: &Fixture) -> Vec<String> {
    fixture.dispatcher.documents.of("cameras")["faces"].document.data.iter().map(ToString::to_string).collect()
}

const BOTH: [&str; 2] = ["biometric.face", "biometric.iris"];

#[tokio::test(start_paused = true)]
async fn what_was_taken_away_stays_in_the_document_until_the_last_pod_ends_that_was_there() {
    let fixture = Fixture::new().await;
    let (caches, key) = (&fixture.dispatcher.caches, Key::new("cameras", "faces"));
    let pod = |name: &str, day: u32| {
        let mut pod = covered_pod(name, "a", "faces");
        pod["metadata"]["creationTimestamp"] = json!(format!("2026-06-{day:02}T10:00:00Z"));
        pod
    };
    fixture.change(&caches.pods, pod("old", 1));
    fixture.change(&caches.pods, pod("new", 3));
    // added and taken away before any status was written
    fixture.change(&caches.holdings, holds(&BOTH, 2, json!([])));
    fixture.change(&caches.holdings, holds(&BOTH[..1], 3, json!([])));
    assert_eq!(counts(&fixture), BOTH);
    let recorded = json!([{"category": BOTH[0]}, {"category": BOTH[1], "removedAt": "2026-06-02T10:00:00Z"}]);
    fixture.change(&caches.holdings, holds(&BOTH[..1], 4, recorded));
    assert_eq!(counts(&fixture), BOTH);
    let gone = caches.pods.take(Event::Delete(serde_json::from_value(pod("old", 1)).unwrap()));
    fixture.dispatcher.take(&gone);
    assert_eq!(counts(&fixture), BOTH, "no change of a pod compiles anything by itself");
    fixture.dispatcher.publish(&key);
    assert_eq!(counts(&fixture), BOTH[..1]);
}

#[tokio::test(start_paused = true)]
async fn after_a_start_the_file_says_what_was_counted_last_though_it_has_ended() {
    let fixture = Fixture::new().await;
    let Dispatcher { caches, documents, keys, .. } = &fixture.dispatcher;
    fixture.change(&caches.pods, covered_pod("old", "a", "faces"));
    fixture.change(&caches.holdings, holds(&BOTH, 2, json!([])));
    let (document, start) = (documents.of("cameras")["faces"].document.clone(), "2026-06-01T10:00:00Z".parse().unwrap());
    let ended = SignedDocument::sign(&document, "", 1, start, start, &keys.current().key).unwrap();
    let bundle = shekara_policy::signed::Bundle { keys: keys.current().signed.clone(), document: ended };
    let file = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shekara-policy-faces", "namespace": "cameras"},
        "data": {"document.json": bundle.to_json().unwrap()}});
    crate::fixtures::apply(&caches.policy_files, file);
    // nothing is in memory, and while the operator was away a category was taken away
    documents.publish("cameras", "faces", None);
    crate::fixtures::apply(&caches.holdings, holds(&BOTH[..1], 3, json!([])));
    fixture.dispatcher.everything();
    assert_eq!(counts(&fixture), BOTH);
}

#[tokio::test(start_paused = true)]
async fn a_holding_that_is_gone_has_no_document() {
    let fixture = Fixture::new().await;
    let caches = &fixture.dispatcher.caches;
    let gone = caches.holdings.take(Event::Delete(serde_json::from_value(holding("faces", "a")).unwrap()));
    fixture.dispatcher.take(&gone);
    assert_eq!(fixture.digest("faces"), None);
    assert!(fixture.digest("cars").is_some());
}
