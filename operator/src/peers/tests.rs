use futures::FutureExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use shekara_policy::exchange::{Checkpoint, FilterProof, QuestionTotals, Standing};
use shekara_policy::peer::ServiceName;

use super::*;
use crate::fixtures::{apply, caches, config, covered_pod, delete, holding};

fn pod(name: &str, address: &str) -> Value {
    let mut pod = covered_pod(name, "a", "faces");
    pod["status"]["podIPs"] = json!([{"ip": address}]);
    pod
}

fn bare(name: &str, address: &str) -> Value {
    let mut pod = pod(name, address);
    (pod["metadata"]["labels"], pod["spec"]["initContainers"]) = (json!({}), json!([]));
    pod
}

fn service(namespace: &str, name: &str, address: &str, external: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIPs": [address], "externalIPs": [external], "ports": [{"port": 80, "name": "web"}, {"port": 90, "name": "none"}]}})
}

fn slice(namespace: &str, service: &str, endpoints: &[&str], port: u16) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": format!("{service}-1"), "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"name": "web", "port": port}],
        "endpoints": endpoints.iter().map(|address| json!({"addresses": [address], "conditions": {"ready": true}})).collect::<Vec<_>>()})
}

fn published(digest: &str) -> Published {
    let mut published = crate::fixtures::published("faces", "a", digest);
    published.document.data = ["biometric.face".parse().unwrap()].into();
    published.document.standards =
        vec![serde_json::from_value(json!({"standard": "kz", "networks": [], "minSources": 1})).unwrap()];
    published
}

/// The holding `faces` covers pods of the application `a`.
struct Fixture {
    peers: Peers,
    sequence: std::cell::Cell<u64>,
}

impl Fixture {
    /// Long after the operator started.
    async fn new(objects: &[Value]) -> Self {
        let fixture = Self::young(objects);
        tokio::time::advance(Duration::from_secs(3600)).await;
        fixture.publish("1");
        fixture
    }

    fn young(objects: &[Value]) -> Self {
        let objects = [&[holding("faces", "a")], objects].concat();
        let (caches, documents, ledger) =
            (Arc::new(caches(&objects)), Arc::new(Documents::default()), Arc::new(Ledger::default()));
        let fixture = Self { peers: Peers::new(&config(), &caches, &documents, &ledger, Resumed::always()), sequence: 0.into() };
        fixture.publish("1");
        fixture.peers.everything();
        fixture
    }

    fn publish(&self, digest: &str) {
        self.peers.documents.publish("cameras", "faces", Some(published(digest)));
        self.peers.holding_changed(&Key::new("cameras", "faces"));
    }

    /// The sidecar of a pod says which document it enforces.
    fn heard(&self, name: &str, digest: &str) {
        let key = Key::new("cameras", name);
        let pod = self.peers.caches.pods.get(&key).unwrap();
        self.sequence.set(self.sequence.get() + 1);
        let checkpoint = Checkpoint {
            instance: "i".into(),
            started: Timestamp::UNIX_EPOCH,
            sequence: self.sequence.get(),
            documents: vec![digest.into()],
            serials: vec![1],
            standing: Standing::default(),
            questions: QuestionTotals::default(),
            refused: None,
            filter: FilterProof::default(),
            geo: None,
            totals: vec![],
            datagrams_denied: 0,
        };
        self.peers.ledger.record(&pod, checkpoint, || true);
        self.peers.pod_heard(&key);
    }

    fn peer(&self, at: &str) -> Peer {
        self.peers.answer(at.parse().unwrap()).peer.unwrap()
    }

    fn ends(&self, at: &str) -> Vec<End> {
        self.peer(at).ends.into_iter().collect()
    }
}

fn covered(enforcing: bool) -> End {
    let data = ["biometric.face".parse().unwrap()].into();
    End::Pod([Cover { holding: "cameras/faces".into(), data, standards: ["kz".to_owned()].into(), enforcing }].into())
}

fn uncovered() -> End {
    End::Pod([].into())
}

#[tokio::test(start_paused = true)]
async fn a_pod_counts_when_its_sidecar_is_proven_and_was_heard() {
    let mut failed = pod("failed", "10.244.0.3");
    failed["status"]["initContainerStatuses"][1]["state"] = json!({"terminated": {"exitCode": 1}});
    let fixture = Fixture::new(&[pod("web", "10.244.0.1"), bare("bare", "10.244.0.2"), failed]).await;
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(false)]);
    for name in ["web", "failed"] {
        fixture.heard(name, "1");
    }
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(true)]);
    assert_eq!(fixture.ends("10.244.0.2:80"), [uncovered()]);
    assert_eq!(fixture.ends("10.244.0.3:80"), [covered(false)]);
    assert_eq!(fixture.ends("10.244.0.9:80"), [End::Unknown]);
}

/// A standard that lists the pods of the application `b` in `cameras` as a source.
fn listing(application: &str) -> Value {
    json!({"apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"}, "spec": {
        "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["KZ"],
        "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Contract"]}],
        "inbound": {"mode": "Listed", "from": [
            {"name": "scraper", "pods": {"namespace": "cameras", "podSelector": {"matchLabels": {"app": application}}}},
            {"name": "elsewhere", "pods": {"namespace": "other"}},
            {"name": "balancer", "networks": ["10.244.0.0/16"]}
        ]}
    }})
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_platform_is_known_by_its_pods_and_no_longer_than_they_are() {
    let labelled = |application: &str| {
        let mut pod = bare("scraper", "10.244.0.2");
        pod["metadata"]["labels"] = json!({"app": application});
        pod
    };
    let fixture = Fixture::new(&[listing("b"), labelled("b"), bare("other", "10.244.0.3")]).await;
    let sources = |at: &str| fixture.peer(at).sources.into_iter().map(|source| format!("{}/{}", source.standard, source.name));
    assert_eq!(sources("10.244.0.2:0").collect::<Vec<_>>(), ["kz/scraper"]);
    assert_eq!((sources("10.244.0.3:0").count(), sources("10.244.0.9:0").count()), (0, 0));
    let mut watch = fixture.peers.watch();
    watch.add("10.244.0.2".parse().unwrap());
    apply(&fixture.peers.caches.pods, labelled("c"));
    fixture.peers.changed(Kind::Pod, &Key::new("cameras", "scraper"));
    assert!(watch.touched().now_or_never().is_some() && sources("10.244.0.2:0").next().is_none());
    apply(&fixture.peers.caches.standards, listing("c"));
    fixture.peers.changed(Kind::SovereigntyStandard, &Key::new("", "kz"));
    assert!(watch.touched().now_or_never().is_some(), "who is a source is said by standards");
    assert_eq!(sources("10.244.0.2:0").collect::<Vec<_>>(), ["kz/scraper"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_document_cuts_nobody_off_who_enforced_the_last_one_for_as_long_as_it_may_take_to_load() {
    let fixture = Fixture::new(&[pod("web", "10.244.0.1"), pod("new", "10.244.0.2")]).await;
    fixture.heard("web", "1");
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(true)]);
    fixture.publish("2");
    fixture.heard("new", "1");
    let answer = fixture.peers.answer("10.244.0.1:80".parse().unwrap());
    assert_eq!((answer.peer.unwrap().ends, answer.again), ([covered(true)].into(), Some(LOADING)));
    assert_eq!(fixture.ends("10.244.0.2:80"), [covered(false)], "it was never seen to enforce the holding");
    tokio::time::advance(LOADING + Duration::from_millis(1)).await;
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(false)]);
    fixture.publish("3");
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(false)], "one that does not load documents gets no more time with each");
    fixture.heard("web", "3");
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(true)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_away_from_a_holding_goes_to_those_of_its_pods_that_had_it_and_to_no_newer_one() {
    let created = |name, address, time: &str| {
        let mut pod = pod(name, address);
        pod["metadata"]["creationTimestamp"] = json!(format!("2026-06-01T{time}:00Z"));
        pod
    };
    let fixture = Fixture::new(&[created("old", "10.244.0.1", "09:00"), created("new", "10.244.0.2", "11:00")]).await;
    let data = |at: &str| match fixture.ends(at).pop() {
        Some(End::Pod(covers)) => covers.into_iter().flat_map(|cover| cover.data).map(|category| category.to_string()).collect(),
        _ => vec![],
    };
    assert_eq!((data("10.244.0.1:80"), data("10.244.0.2:80")), (vec!["biometric.face".into()], vec!["biometric.face".into()]));
    let mut narrowed = holding("faces", "a");
    narrowed["spec"]["data"] = json!([{"category": "biometric.iris"}]);
    narrowed["status"] = json!({"held": [{"category": "biometric.face", "removedAt": "2026-06-01T10:00:00Z"}]});
    apply(&fixture.peers.caches.holdings, narrowed);
    // the document still counts it, and does not count yet what is new
    assert_eq!((data("10.244.0.1:80"), data("10.244.0.2:80")), (vec!["biometric.face".to_owned()], vec![]));
}

#[tokio::test(start_paused = true)]
async fn after_its_start_the_operator_waits_for_the_sidecars_before_it_says_that_they_do_not_enforce() {
    let fixture = Fixture::young(&[pod("web", "10.244.0.1")]);
    let at = "10.244.0.1:80".parse().unwrap();
    let answer = fixture.peers.answer(at);
    assert_eq!((answer.peer, answer.again), (None, Some(Duration::from_secs(15))));
    tokio::time::advance(Duration::from_secs(16)).await;
    assert_eq!(fixture.ends("10.244.0.1:80"), [covered(false)]);
}

#[tokio::test(start_paused = true)]
async fn a_service_leads_to_each_of_its_endpoints_and_its_port_alone() {
    let mut ended = pod("ended", "10.244.0.7");
    ended["status"]["phase"] = json!("Succeeded");
    let objects = [
        pod("web", "10.244.0.1"),
        bare("bare", "10.244.0.2"),
        ended,
        service("archive", "vectors", "10.244.5.1", "203.0.113.7"),
        slice("archive", "vectors", &["10.244.0.1", "10.244.0.7"], 8080),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.244.9.9"}, {"type": "Hostname", "address": "n"}]}}),
    ];
    let fixture = Fixture::new(&objects).await;
    fixture.heard("web", "1");
    let vectors = ServiceName { namespace: "archive".into(), name: "vectors".into() };
    for at in ["10.244.5.1:80", "203.0.113.7:80", "10.244.0.1:8080"] {
        assert_eq!(
            fixture.peer(at),
            Peer { services: [vectors.clone()].into(), ends: [covered(true)].into(), sources: [].into() },
            "{at}"
        );
    }
    assert!(fixture.peer("10.244.0.1:8081").services.is_empty());
    assert_eq!(fixture.ends("10.244.5.1:81"), [End::Unknown], "a port that the Service does not have");
    assert_eq!(fixture.ends("10.244.5.1:90"), [], "a port without endpoints");
    assert_eq!(fixture.ends("10.244.9.9:10250"), [End::Node]);
    // by hand, to a stranger, to an address outside, and to a node
    let by_hand = slice("archive", "vectors", &["10.244.0.1", "10.244.0.2", "203.0.113.99", "10.244.9.9", "10.244.0.99"], 8080);
    apply(&fixture.peers.caches.slices, by_hand);
    fixture.peers.changed(Kind::EndpointSlice, &Key::new("archive", "vectors-1"));
    let outside = End::Outside("203.0.113.99:8080".parse().unwrap());
    let ends = fixture.peer("10.244.5.1:80").ends;
    assert_eq!(ends, [covered(true), uncovered(), outside, End::Node, End::Unknown].into());
}

#[tokio::test(start_paused = true)]
async fn the_api_server_is_known_by_its_service_and_by_its_endpoints_whoever_leads_there() {
    let objects = [
        service("default", "kubernetes", "10.244.5.1", "203.0.113.7"),
        slice("default", "kubernetes", &["10.244.9.9"], 6443),
        service("archive", "sly", "10.244.5.2", "203.0.113.8"),
        slice("archive", "sly", &["10.244.9.9"], 6443),
    ];
    let fixture = Fixture::new(&objects).await;
    for at in ["10.244.5.1:80", "10.244.9.9:6443", "10.244.5.2:80"] {
        assert_eq!(fixture.ends(at), [End::ApiServer], "{at}");
    }
    assert_eq!(fixture.ends("10.244.9.9:10250"), [End::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_claims_the_address_of_a_pod_opens_and_closes_nothing_but_its_own_port_there() {
    let objects = [
        pod("web", "10.244.0.1"),
        bare("bare", "10.244.0.2"),
        service("archive", "sly", "10.244.5.1", "10.244.0.1"),
        service("archive", "kind", "10.244.5.2", "10.244.0.2"),
        slice("archive", "sly", &["10.244.0.2"], 8080),
        slice("archive", "kind", &["10.244.0.1"], 8080),
    ];
    let fixture = Fixture::new(&objects).await;
    fixture.heard("web", "1");
    assert_eq!(fixture.ends("10.244.0.1:5432"), [covered(true)]);
    assert_eq!(fixture.peer("10.244.0.1:80").ends, [covered(true), uncovered()].into());
    assert_eq!(fixture.peer("10.244.0.2:80").ends, [covered(true), uncovered()].into());
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_takes_outside_its_networks_is_told_and_no_longer_when_it_does_not() {
    let fixture = Fixture::new(&[service("archive", "vectors", "10.244.5.1", "203.0.113.7")]).await;
    let mut captured = fixture.peers.captured();
    let external = "203.0.113.7".parse::<IpAddr>().unwrap();
    assert!(captured.borrow_and_update().contains(&external));
    delete(&fixture.peers.caches.services, service("archive", "vectors", "10.244.5.1", "203.0.113.7"));
    fixture.peers.changed(Kind::Service, &Key::new("archive", "vectors"));
    assert!(captured.has_changed().unwrap() && !captured.borrow().contains(&external));
    assert_eq!(fixture.ends("203.0.113.7:80"), [End::Outside("203.0.113.7:80".parse().unwrap())]);
}

#[tokio::test(start_paused = true)]
async fn a_change_wakes_those_who_watch_an_address_that_it_concerns_and_nobody_else() {
    let objects = [
        pod("web", "10.244.0.1"),
        service("archive", "vectors", "10.244.5.1", "203.0.113.7"),
        slice("archive", "vectors", &["10.244.0.1"], 8080),
    ];
    let fixture = Fixture::new(&objects).await;
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (mut behind, mut elsewhere) = (fixture.peers.watch(), fixture.peers.watch());
    behind.add(address("10.244.5.1"));
    elsewhere.add(address("10.244.0.2"));
    fixture.heard("web", "1");
    assert_eq!(behind.touched().now_or_never(), Some([address("10.244.5.1")].into()));
    assert_eq!(behind.touched().now_or_never(), None);
    assert_eq!(elsewhere.touched().now_or_never(), None);
    delete(&fixture.peers.caches.pods, pod("web", "10.244.0.1"));
    fixture.peers.changed(Kind::Pod, &Key::new("cameras", "web"));
    assert!(behind.touched().now_or_never().is_some());
    behind.remove(address("10.244.5.1"));
    apply(&fixture.peers.caches.pods, pod("web", "10.244.0.1"));
    fixture.peers.changed(Kind::Pod, &Key::new("cameras", "web"));
    assert_eq!(behind.touched().now_or_never(), None);
}
