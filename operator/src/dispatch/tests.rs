use std::time::Duration;

use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::*;
use crate::controllers::Controllers;
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
        let queues =
            Controllers::new(client(), &config, &caches, &documents, &keys, &ledger, &metrics, Resumed::always()).queues();
        let (notices, events) = events::channel(client(), &config, metrics);
        let dispatcher = Dispatcher {
            peers: Arc::new(Peers::new(&config, &caches, &documents, &ledger, Resumed::always())),
            signer: Arc::new(Signer::new(Arc::clone(&keys), Arc::clone(&caches))),
            keys,
            config,
            caches,
            documents,
            ledger,
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
async fn a_holding_that_is_gone_has_no_document() {
    let fixture = Fixture::new().await;
    let caches = &fixture.dispatcher.caches;
    let gone = caches.holdings.take(Event::Delete(serde_json::from_value(holding("faces", "a")).unwrap()));
    fixture.dispatcher.take(&gone);
    assert_eq!(fixture.digest("faces"), None);
    assert!(fixture.digest("cars").is_some());
}
