use futures::FutureExt as _;
use serde_json::json;
use shekara_policy::peer::End;
use tokio::sync::mpsc;

use super::super::Parts;
use super::*;
use crate::fixtures::{apply, caches, config, covered_pod, delete};
use crate::watch::Kind;

/// The conversation with the sidecar of the pod `web`.
struct Fixture {
    api: PolicyApi,
    say: mpsc::UnboundedSender<String>,
    events: futures::stream::BoxStream<'static, Result<Bytes, Infallible>>,
}

impl Fixture {
    fn new() -> Self {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": [{"type": "ExternalIP", "address": "203.0.113.1"}]}});
        let parts = Parts::alone(config(), caches(&[covered_pod("web", "a", "faces"), node]), Documents::default());
        parts.peers.everything();
        parts.documents.set_complete();
        let api = PolicyApi::new(parts).unwrap();
        let (say, said) = mpsc::unbounded_channel::<String>();
        let said = futures::stream::unfold(said, async |mut said| Some((Ok::<_, Infallible>(said.recv().await?), said)));
        let key = Key::new("cameras", "web");
        let changes = api.documents.follow_pod(&key, 8).unwrap();
        let conversation = Conversation::new(&api, key, "uid-of-web".into(), changes, Body::from_stream(said));
        let events = conversation.into_events().boxed();
        Self { api, say, events }
    }

    fn ask(&self, question: &PeerQuestion) {
        self.say.send(format!("{}\n", serde_json::to_string(question).unwrap())).unwrap();
    }

    async fn event(&mut self) -> Option<PeerEvent> {
        Some(serde_json::from_slice(&self.events.next().await?.unwrap()).unwrap())
    }

    fn pod(&self, name: &str, address: &str) {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "cameras"}, "spec": {"containers": []}});
        pod["status"] = json!({"podIPs": [{"ip": address}]});
        apply(&self.api.caches.pods, pod);
        self.api.peers.changed(Kind::Pod, &Key::new("cameras", name));
    }
}

fn at(port: u16) -> SocketAddr {
    ([10, 244, 0, 7], port).into()
}

fn watch(addresses: impl IntoIterator<Item = SocketAddr>) -> PeerQuestion {
    PeerQuestion { watch: addresses.into_iter().collect(), forget: vec![] }
}

fn ends(event: Option<PeerEvent>) -> Vec<End> {
    event.unwrap().peers.into_iter().flat_map(|answer| answer.peer.ends).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sidecar_hears_who_is_there_at_once_and_again_when_that_changes() {
    let mut fixture = Fixture::new();
    let captured = fixture.event().await.unwrap().captured.unwrap();
    assert!(captured.contains(&"203.0.113.1".parse().unwrap()), "the outer address of a node");
    fixture.ask(&watch([at(80)]));
    assert_eq!(ends(fixture.event().await), [End::Unknown]);
    let start = Instant::now();
    fixture.pod("db", "10.244.0.7");
    assert_eq!(ends(fixture.event().await), [End::Pod([].into())]);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    // what is the same, or was given up, is not told again
    fixture.pod("db", "10.244.0.7");
    fixture.ask(&PeerQuestion { watch: vec![], forget: vec![at(80)] });
    fixture.ask(&watch([at(81)]));
    assert_eq!(ends(fixture.event().await), [End::Pod([].into())]);
    fixture.pod("db", "10.244.0.8");
    let event = fixture.event().await.unwrap();
    assert_eq!(event.peers.iter().map(|answer| answer.at).collect::<Vec<_>>(), [at(81)]);
    assert!(fixture.event().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_question_may_come_in_pieces_and_too_much_of_it_ends_the_conversation() {
    let mut fixture = Fixture::new();
    fixture.event().await.unwrap();
    let text = serde_json::to_string(&watch([at(80)])).unwrap();
    let (first, second) = text.split_at(9);
    for piece in [first, second, "\n"] {
        fixture.say.send(piece.to_owned()).unwrap();
    }
    assert_eq!(ends(fixture.event().await), [End::Unknown]);
    let many = (0..=u16::try_from(PEERS).unwrap()).map(at);
    fixture.ask(&watch(many));
    assert_eq!(fixture.event().await, None);
}

#[tokio::test(start_paused = true)]
async fn many_answers_come_in_lines_that_a_sidecar_reads() {
    let mut fixture = Fixture::new();
    fixture.event().await.unwrap();
    fixture.ask(&watch((0..100).map(at)));
    let mut told = 0;
    while told < 100 {
        let event = fixture.event().await.unwrap();
        assert!(event.peers.len() <= TOGETHER);
        told += event.peers.len();
    }
    assert_eq!(told, 100);
    assert!(fixture.event().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_and_the_end_of_the_pod_end_the_conversation() {
    let mut fixture = Fixture::new();
    fixture.event().await.unwrap();
    fixture.say.send("{\"watch\": [\"everything\"]}\n".into()).unwrap();
    assert_eq!(fixture.event().await, None);
    let mut fixture = Fixture::new();
    fixture.event().await.unwrap();
    delete(&fixture.api.caches.pods, covered_pod("web", "a", "faces"));
    fixture.api.documents.pod_changed(&Key::new("cameras", "web"));
    assert_eq!(fixture.event().await, None);
}
