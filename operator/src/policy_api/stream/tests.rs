use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::super::Parts;
use super::*;
use crate::fixtures::{apply, caches, config, covered_pod, delete, published};

type Lines = std::pin::Pin<Box<dyn futures::Stream<Item = Result<Bytes, Infallible>> + Send>>;

struct Fixture {
    api: PolicyApi,
    stop: CancellationToken,
}

impl Fixture {
    fn new(objects: &[Value]) -> Self {
        let parts = Parts::alone(config(), caches(objects), Documents::default());
        let stop = parts.stop.clone();
        let api = PolicyApi::new(parts).unwrap();
        Self { api, stop }
    }

    fn publish(&self, name: &str, app: &str, digest: Option<&str>) {
        let published = digest.map(|digest| {
            let mut published = published(name, app, digest);
            // another digest is another document, and that has another serial
            Arc::make_mut(&mut published.signed).serial = digest.parse().unwrap();
            published
        });
        self.api.documents.publish("cameras", name, published);
    }

    fn stream(&self, pod: &str) -> Lines {
        let key = Key::new("cameras", pod);
        let changes = self.api.documents.follow_pod(&key, 4).unwrap();
        Box::pin(Stream::new(&self.api, key, format!("uid-of-{pod}"), changes).into_events())
    }

    fn pod(&self, pod: Value) {
        let key = Key::new("cameras", pod["metadata"]["name"].as_str().unwrap());
        apply(&self.api.caches.pods, pod);
        self.api.documents.pod_changed(&key);
    }
}

async fn next(lines: &mut Lines) -> Option<Vec<String>> {
    let line = tokio::time::timeout(Duration::from_secs(5), lines.next()).await.expect("a line or the end comes")?.unwrap();
    assert!(line.ends_with(b"\n"));
    let event: PolicyEvent = serde_json::from_slice(&line).unwrap();
    assert_eq!(event.checkpoint_interval, 10);
    let holding = |document: shekara_policy::signed::SignedDocument| document.holding_uid.replace("uid-of-", "");
    Some(event.documents.into_iter().map(holding).collect())
}

#[tokio::test]
async fn nothing_is_sent_before_every_holding_is_compiled() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces")]);
    let mut lines = fixture.stream("web");
    assert!(futures::poll!(lines.next()).is_pending());
    fixture.publish("faces", "a", Some("1"));
    fixture.api.documents.set_complete();
    assert_eq!(next(&mut lines).await, Some(vec!["faces".to_owned()]));
}

#[tokio::test]
async fn each_change_of_the_pods_own_documents_is_sent_and_no_other() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces")]);
    fixture.publish("faces", "a", Some("1"));
    fixture.api.documents.set_complete();
    let mut lines = fixture.stream("web");
    assert_eq!(next(&mut lines).await.unwrap(), ["faces"]);
    fixture.publish("other", "b", Some("1"));
    fixture.pod(covered_pod("web", "a", "faces"));
    assert!(futures::poll!(lines.next()).is_pending());
    fixture.publish("faces", "a", Some("2"));
    assert_eq!(next(&mut lines).await.unwrap(), ["faces"]);
    fixture.publish("cars", "a", Some("1"));
    assert_eq!(next(&mut lines).await.unwrap(), ["cars", "faces"], "a holding that claims the pod later binds it too");
    fixture.pod(covered_pod("web", "b", "faces"));
    assert_eq!(next(&mut lines).await.unwrap(), ["faces", "other"], "what admission stamped stays, whatever the labels are");
}

#[tokio::test]
async fn a_draft_is_sent_to_its_own_pods_alone_until_it_is_declared() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces"), covered_pod("new", "a", "draft-web")]);
    fixture.publish("faces", "a", Some("1"));
    fixture.api.documents.set_complete();
    let mut running = fixture.stream("web");
    assert_eq!(next(&mut running).await.unwrap(), ["faces"]);
    let mut draft = published("draft-web", "a", "1");
    Arc::make_mut(&mut draft.holding).metadata.labels = Some([("shekara.dev/draft".to_owned(), "true".to_owned())].into());
    fixture.api.documents.publish("cameras", "draft-web", Some(draft));
    let mut new = fixture.stream("new");
    assert_eq!(next(&mut new).await.unwrap(), ["draft-web", "faces"]);
    assert!(futures::poll!(running.next()).is_pending(), "it lists no route, and would cut off what the holding allows");
    // the document stays the same
    fixture.publish("draft-web", "a", Some("1"));
    assert_eq!(next(&mut running).await.unwrap(), ["draft-web", "faces"]);
}

#[tokio::test]
async fn a_holding_that_is_gone_leaves_nothing() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces,cars")]);
    fixture.publish("faces", "a", Some("1"));
    fixture.publish("cars", "c", Some("1"));
    fixture.api.documents.set_complete();
    let mut lines = fixture.stream("web");
    assert_eq!(next(&mut lines).await.unwrap(), ["cars", "faces"]);
    fixture.publish("cars", "c", None);
    assert_eq!(next(&mut lines).await.unwrap(), Vec::<String>::new());
    fixture.publish("cars", "c", Some("2"));
    assert_eq!(next(&mut lines).await.unwrap(), ["cars", "faces"]);
}

#[tokio::test]
async fn the_stream_ends_with_its_pod_and_is_counted_while_it_is_open() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces")]);
    fixture.publish("faces", "a", Some("1"));
    fixture.api.documents.set_complete();
    let mut lines = fixture.stream("web");
    assert_eq!(next(&mut lines).await.unwrap(), ["faces"]);
    assert_eq!(fixture.api.metrics.streams.get(), 1);
    delete(&fixture.api.caches.pods, covered_pod("web", "a", "faces"));
    fixture.api.documents.pod_changed(&Key::new("cameras", "web"));
    assert_eq!(next(&mut lines).await, None);
    let mut successor = covered_pod("web", "a", "faces");
    successor["metadata"]["uid"] = json!("another");
    fixture.pod(successor);
    let mut stale = fixture.stream("web");
    assert_eq!(next(&mut stale).await, None, "another pod of this name is not this pod");
    drop((lines, stale));
    assert_eq!(fixture.api.metrics.streams.get(), 0);
}

#[tokio::test]
async fn the_stream_ends_when_the_operator_is_told_to_stop() {
    let fixture = Fixture::new(&[covered_pod("web", "a", "faces")]);
    let mut lines = fixture.stream("web");
    fixture.stop.cancel();
    assert_eq!(next(&mut lines).await, None);
}
