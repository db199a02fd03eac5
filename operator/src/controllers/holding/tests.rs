use rstest::rstest;
use serde_json::{Value, json};
use shekara_crds::DataHoldingStatus;
use shekara_crds::data_holding::Mode;
use shekara_crds::data_holding::status::TransferVerdict;
use shekara_policy::exchange::Checkpoint;

use super::*;
use crate::fixtures::{apply, caches, config, covered_pod, holding, namespace};
use crate::ledger::Ledger;
use crate::watch::PodSummary;

const NOW: &str = "2026-06-01T10:00:00Z";

fn standard() -> Value {
    json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "SovereigntyStandard", "metadata": {"name": "kz"},
        "spec": {
            "title": "Home", "authority": {"name": "Ministry", "country": "KZ"}, "appliesTo": {"data": ["biometric.*"]}, "homeCountries": ["KZ"],
            "transfers": [{"data": ["biometric.*"], "countries": ["KZ"], "grounds": ["Contract"]}]
        }
    })
}

fn recipient() -> Value {
    json!({
        "apiVersion": "shekara.dev/v1alpha1", "kind": "Recipient", "metadata": {"name": "clinic"},
        "spec": {
            "legalName": "Clinic", "country": "KZ", "role": "Processor",
            "endpoints": [{"host": "api.clinic.example.kz", "ports": [443], "protocol": "TLS"}],
            "permits": [{"data": ["biometric.face"], "ground": "Contract", "validFrom": "2026-01-01T00:00:00Z", "validUntil": "2026-06-01T10:00:30Z"}]
        }
    })
}

/// What is found of the holding `faces`, given its pods.
struct Found {
    caches: Caches,
    ledger: Ledger,
    collectors: BTreeSet<String>,
    protected: bool,
    loading: bool,
}

impl Found {
    fn new(pods: &[Value]) -> Self {
        let mut objects = vec![namespace("cameras", json!({})), holding("faces", "a"), standard(), recipient()];
        objects.extend_from_slice(pods);
        Self { caches: caches(&objects), ledger: Ledger::default(), collectors: BTreeSet::new(), protected: true, loading: false }
    }

    fn key() -> Key {
        Key::new("cameras", "faces")
    }

    fn digest(&self) -> String {
        let subject = dereference(&self.caches, &config(), &Self::key()).unwrap();
        compile(&subject, NOW.parse().unwrap()).document.digest().unwrap()
    }

    /// A checkpoint of a pod that enforces a document and counted these flows.
    fn checkpoint(&self, pod: &str, digest: &str, totals: Value) {
        self.said(pod, digest, totals, "Confirmed", Value::Null);
    }

    fn said(&self, pod: &str, digest: &str, totals: Value, standing: &str, refused: Value) {
        let pod = self.caches.pods.get(&Key::new("cameras", pod)).unwrap();
        let checkpoint: Checkpoint = serde_json::from_value(json!({
            "instance": "i", "started": NOW, "sequence": 1, "documents": [digest], "serials": [1], "standing": standing, "refused": refused, "geo": null, "totals": totals, "datagramsDenied": 0
        }))
        .unwrap();
        self.ledger.record(&pod, checkpoint, || true);
    }

    fn status_at(&self, now: &str) -> DataHoldingStatus {
        let holding = self.caches.holdings.get(&Self::key()).unwrap();
        let subject = dereference(&self.caches, &config(), &Self::key()).unwrap();
        let now = now.parse().unwrap();
        let compiled = compile(&subject, now);
        let pods: Vec<Arc<PodSummary>> = self.caches.pods.in_namespace("cameras").into_iter().map(|(_, pod)| pod).collect();
        let digest = self.digest();
        let observe_until = compiled.document.observe_until;
        let trust = Trust { root: String::new(), observe_until, now };
        let all: Vec<&PodSummary> = pods.iter().map(|pod| &**pod).collect();
        let survey = Survey::of(&holding, &digest, all.iter().copied(), |pod| self.ledger.heard(pod), &trust);
        status::of(&View {
            holding: &holding,
            held: subject.held().to_vec(),
            compiled: &compiled,
            missing: &missing(&holding, subject.around(now)),
            digest: &digest,
            survey: &survey,
            shared: &claims::shared(&holding, &all),
            collectors: &self.collectors,
            totals: &self.ledger.totals(&Self::key()),
            protected: self.protected,
            loading: self.loading,
            now,
        })
    }

    fn status(&self) -> DataHoldingStatus {
        self.status_at(NOW)
    }
}

/// The conditions as `type=status/reason`.
/// The conditions but DeclarationComplete, which has a test of its own.
fn said(status: &DataHoldingStatus) -> Vec<String> {
    let text = |condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        format!("{}={}/{}", condition.type_, condition.status, condition.reason)
    };
    status.conditions.iter().filter(|condition| condition.type_ != "DeclarationComplete").map(text).collect()
}

fn message<'a>(status: &'a DataHoldingStatus, type_: &str) -> &'a str {
    &status.conditions.iter().find(|condition| condition.type_ == type_).unwrap().message
}

fn bare_pod(name: &str) -> Value {
    bare_pod_of(name, "a")
}

fn bare_pod_of(name: &str, app: &str) -> Value {
    let mut pod = covered_pod(name, app, "");
    pod["spec"]["initContainers"] = json!([]);
    pod
}

fn mounting(mut pod: Value, claim: &str) -> Value {
    pod["spec"]["volumes"] = json!([{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]);
    pod
}

#[test]
fn without_pods_there_is_nothing_to_wait_for() {
    let mut found = Found::new(&[]);
    let status = found.status();
    assert_eq!(said(&status), ["Accepted=True/Accepted", "Covered=True/NoPods", "Enforcing=Unknown/NoPods", "Ready=True/Ready"]);
    assert_eq!(status.conditions[0].observed_generation, Some(1));
    assert_eq!((status.standards.as_deref(), status.expires.as_deref()), (Some("kz"), Some("2026-06-01T10:00:30Z")));
    assert_eq!(status.coverage.as_ref().unwrap().summary, "0/0");
    found.protected = false;
    assert!(message(&found.status(), "Covered").contains("Label the namespace shekara.dev/protect=true"));
}

#[test]
fn pods_that_enforce_the_present_document_are_covered() {
    let found = Found::new(&[covered_pod("1", "a", "faces"), covered_pod("2", "a", "faces"), covered_pod("x", "b", "")]);
    found.checkpoint("1", &found.digest(), json!([]));
    found.checkpoint("2", &found.digest(), json!([]));
    let status = found.status();
    assert_eq!(said(&status), ["Accepted=True/Accepted", "Covered=True/AllPods", "Enforcing=True/Enforcing", "Ready=True/Ready"]);
    let coverage = status.coverage.unwrap();
    assert_eq!((coverage.in_scope, coverage.covered, coverage.summary.as_str()), (2, 2, "2/2"));
    assert_eq!(coverage.states, BTreeMap::from([("Enforcing".to_owned(), 2)]));
    assert_eq!((coverage.uncovered.len(), status.policy.unwrap().loaded_by), (0, 2));
}

#[test]
fn a_pod_that_was_relabelled_stays_in_scope() {
    let found = Found::new(&[covered_pod("1", "b", "faces")]);
    assert_eq!(found.status().coverage.unwrap().in_scope, 1);
}

#[test]
fn a_draft_leaves_pods_to_the_holdings_that_cover_them() {
    let found = Found::new(&[covered_pod("other", "a", "cars"), covered_pod("own", "a", "faces"), bare_pod("bare")]);
    assert_eq!(found.status().coverage.unwrap().in_scope, 3);
    let mut draft = holding("faces", "a");
    draft["metadata"]["labels"] = json!({"shekara.dev/draft": "true"});
    apply(&found.caches.holdings, draft);
    let coverage = found.status().coverage.unwrap();
    let uncovered: Vec<&str> = coverage.uncovered.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!((coverage.in_scope, uncovered), (2, vec!["bare", "own"]));
}

/// What the kubelet says of the pod, by pointer and value, and the state that follows.
#[rstest]
#[case("/status/initContainerStatuses/1/state", json!({"running": {}}), "Starting", "Enforcing=Unknown/Starting")]
#[case("/status/initContainerStatuses/1/state", json!({"terminated": {"exitCode": 3}}), "Starting", "Enforcing=False/ProofFailed")]
#[case("/status/initContainerStatuses/1", json!({"name": "shekara-verify", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 1}}}), "Starting", "Enforcing=False/ProofFailed")]
#[case("/status/initContainerStatuses/1", json!({"name": "shekara-verify", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 0}}}), "Starting", "Enforcing=Unknown/Starting")]
#[case("/status/initContainerStatuses", json!([]), "Starting", "Enforcing=Unknown/Starting")]
#[case("/status/initContainerStatuses/0/started", json!(false), "Starting", "Enforcing=Unknown/Starting")]
#[case("/status/initContainerStatuses/0/state", json!({"waiting": {"reason": "CrashLoopBackOff"}}), "Starting", "Enforcing=Unknown/Starting")]
#[case("/spec/initContainers", json!([]), "Bare", "Enforcing=False/BarePods")]
#[case("/status/phase", json!("Running"), "Enforcing", "Enforcing=True/Enforcing")]
fn the_kubelets_word_decides(#[case] pointer: &str, #[case] value: Value, #[case] state: &str, #[case] condition: &str) {
    let mut pod = covered_pod("1", "a", "faces");
    *pod.pointer_mut(pointer).unwrap() = value;
    let found = Found::new(&[pod]);
    found.checkpoint("1", &found.digest(), json!([]));
    let status = found.status();
    assert_eq!(status.coverage.as_ref().unwrap().states, BTreeMap::from([(state.to_owned(), 1)]));
    assert!(said(&status).contains(&condition.to_owned()), "{:?}", said(&status));
}

#[test]
fn a_pod_that_was_admitted_to_observe_observes_until_the_end_and_is_to_be_replaced_then() {
    let mut pod = covered_pod("1", "a", "faces");
    let variables = pod.pointer_mut("/spec/initContainers/0/env").unwrap().as_array_mut().unwrap();
    variables.push(json!({"name": "SHEKARA_OBSERVE_UNTIL", "value": "2026-06-03T00:00:00Z"}));
    let found = Found::new(std::slice::from_ref(&pod));
    let mut observing = holding("faces", "a");
    observing["metadata"]["creationTimestamp"] = json!("2026-06-01T00:00:00Z");
    observing["spec"]["enforcement"] = json!({"mode": "Observe", "observeUntil": "2026-06-03T00:00:00Z"});
    let mut granting = standard();
    granting["spec"]["observe"] = json!({"maxDays": 14});
    apply(&found.caches.holdings, observing);
    apply(&found.caches.standards, granting);
    let totals = json!([
        {"recipients": [], "country": null, "data": [], "reason": "UnlistedParty", "observed": true, "flows": 2, "bytesOut": 70, "bytesIn": 9, "last": NOW, "lastDestination": "ads.example.com"},
        {"recipients": [], "country": null, "data": [], "reason": "UnlistedParty", "flows": 1, "bytesOut": 0, "bytesIn": 0, "last": NOW, "lastDestination": "ads.example.com"}
    ]);
    found.checkpoint("1", &found.digest(), totals);
    let status = found.status();
    assert_eq!(status.coverage.as_ref().unwrap().states, BTreeMap::from([("Observing".to_owned(), 1)]));
    assert_eq!(status.mode, Some(Mode::Observe));
    assert_eq!(said(&status)[2..], ["Enforcing=False/Observing", "Ready=False/Observing"]);
    assert!(message(&status, "Enforcing").contains("until 2026-06-03T00:00:00Z: 1."), "{}", message(&status, "Enforcing"));
    let denial = &status.denials[0];
    assert_eq!((status.denials.len(), denial.flows, denial.observed, denial.bytes_out), (1, 3, Some(2), Some(70)));

    let status = found.status_at("2026-06-03T00:00:00Z");
    assert_eq!(status.mode, Some(Mode::Enforce), "the time is over, whatever is wished");
    assert_eq!(said(&status)[2], "Enforcing=False/RestartNeeded");
    assert!(message(&status, "Enforcing").contains("admitted to observe"), "{}", message(&status, "Enforcing"));

    let changed = Found::new(&[pod]);
    changed.checkpoint("1", &changed.digest(), json!([]));
    assert_eq!(said(&changed.status())[2], "Enforcing=False/RestartNeeded", "the mode was changed before the end");
}

#[test]
fn a_document_that_is_not_loaded_is_waited_for_and_then_named() {
    let mut found = Found::new(&[covered_pod("1", "a", "faces")]);
    assert!(said(&found.status()).contains(&"Enforcing=Unknown/Starting".to_owned()), "no checkpoint yet");
    found.checkpoint("1", "sha256:earlier", json!([]));
    found.loading = true;
    assert_eq!(said(&found.status())[2..], ["Enforcing=Unknown/Loading", "Ready=Unknown/Loading"]);
    found.loading = false;
    let status = found.status();
    assert_eq!(said(&status)[2..], ["Enforcing=False/Outdated", "Ready=False/Outdated"]);
    assert!(message(&status, "Ready").starts_with("Enforcing: 1 of 1 pods in scope enforce an earlier document: 1."));
}

/// What a sidecar says of its documents, and the state that follows.
#[rstest]
#[case("Confirmed", json!(null), "Enforcing", "All pods in scope (1)")]
#[case("Unconfirmed", json!(null), "Stale", "They have not reached the policy API since they started.")]
#[case("Confirmed", json!("DocumentForged"), "Stale", "somebody changed it after the operator signed it.")]
#[case("Absent", json!("DocumentStale"), "Stale", "look whether the operator runs and the pod reaches it.")]
fn a_sidecar_that_is_not_sure_of_its_documents_is_stale(
    #[case] standing: &str,
    #[case] refused: Value,
    #[case] state: &str,
    #[case] words: &str,
) {
    let found = Found::new(&[covered_pod("1", "a", "faces")]);
    found.said("1", &found.digest(), json!([]), standing, refused);
    let status = found.status();
    assert_eq!(status.coverage.as_ref().unwrap().states, BTreeMap::from([(state.to_owned(), 1)]));
    assert!(message(&status, "Enforcing").contains(words), "{}", message(&status, "Enforcing"));
}

/// What the last proofs have shown, the state that follows, and the reason.
#[rstest]
#[case("Open", "RestartNeeded", "FilterOpen")]
#[case("Unproven", "Stale", "FilterUnproven")]
fn a_pod_whose_packet_filter_is_proven_no_more_is_named(#[case] filter: &str, #[case] state: &str, #[case] reason: &str) {
    let found = Found::new(&[covered_pod("1", "a", "faces"), covered_pod("2", "a", "faces")]);
    for (name, filter) in [("1", filter), ("2", "Closed")] {
        let pod = found.caches.pods.get(&Key::new("cameras", name)).unwrap();
        let checkpoint = json!({
            "instance": "i", "started": NOW, "sequence": 1, "documents": [found.digest()], "serials": [1], "standing": "Confirmed",
            "refused": null, "filter": filter, "geo": null, "totals": [], "datagramsDenied": 0
        });
        found.ledger.record(&pod, serde_json::from_value(checkpoint).unwrap(), || true);
    }
    let status = found.status();
    assert_eq!(said(&status)[2..], [format!("Enforcing=False/{reason}"), format!("Ready=False/{reason}")]);
    assert!(message(&status, "Enforcing").starts_with("1 of 2 pods in scope have a packet filter that"));
    let states = BTreeMap::from([("Enforcing".to_owned(), 1), (state.to_owned(), 1)]);
    assert_eq!(status.coverage.as_ref().unwrap().states, states);
}

#[test]
fn pods_of_others_that_mount_the_claims_of_covered_pods_are_named() {
    let free = |name: &str, claimed: &str| mounting(bare_pod_of(name, "other"), claimed);
    let mut ended = free("ended", "faces");
    ended["status"]["phase"] = json!("Succeeded");
    let pods = [mounting(covered_pod("1", "a", "faces"), "faces"), free("reader", "faces"), free("apart", "else"), ended];
    let found = Found::new(&pods);
    found.checkpoint("1", &found.digest(), json!([]));
    let status = found.status();
    assert_eq!(said(&status)[1], "Covered=False/SharedClaims");
    assert!(
        message(&status, "Covered").contains("what is there leaves by them: reader (faces)."),
        "{}",
        message(&status, "Covered")
    );
}

/// The pods, and the reason that comes first: the collectors are named by each but where there is nothing to read.
#[rstest]
#[case::alone(&[covered_pod("1", "a", "faces")], "LogCollectors")]
#[case::beside_a_bare_pod(&[bare_pod("2")], "BarePods")]
#[case::beside_a_shared_claim(&[mounting(covered_pod("1", "a", "faces"), "faces"), mounting(bare_pod_of("2", "other"), "faces")], "SharedClaims")]
fn who_collects_logs_and_is_not_listed_is_named_beside_whatever_else_there_is(#[case] pods: &[Value], #[case] reason: &str) {
    let mut found = Found::new(pods);
    let names = ["DaemonSet agent in logging", "Pod hand in logging"];
    found.collectors = names.map(str::to_owned).into();
    let status = found.status();
    assert_eq!(said(&status)[1], format!("Covered=False/{reason}"));
    let text = message(&status, "Covered");
    assert!(text.contains(&format!("allows: {}. List them", names.join(", "))), "{text}");
    assert_eq!(said(&status)[3], format!("Ready=False/{reason}"));
}

#[test]
fn where_there_is_nothing_to_read_nobody_is_named() {
    let mut found = Found::new(&[]);
    found.collectors = ["Pod hand in logging".to_owned()].into();
    assert_eq!(said(&found.status())[1], "Covered=True/NoPods");
}

#[rstest]
#[case("SHEKARA_ROOT", "another root")]
#[case("SHEKARA_DOCUMENTS", "faces=uid-of-an-earlier-one:1")]
fn a_pod_that_trusts_another_root_or_holding_has_to_be_replaced(#[case] name: &str, #[case] value: &str) {
    let mut pod = covered_pod("1", "a", "faces");
    pod["spec"]["initContainers"][0]["env"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
    let found = Found::new(&[pod]);
    found.checkpoint("1", &found.digest(), json!([]));
    let status = found.status();
    assert_eq!(status.coverage.as_ref().unwrap().states, BTreeMap::from([("RestartNeeded".to_owned(), 1)]));
    assert_eq!(said(&status)[2..], ["Enforcing=False/RestartNeeded", "Ready=False/RestartNeeded"]);
}

#[rstest]
#[case("/status/phase", json!("Succeeded"))]
#[case("/status/phase", json!("Failed"))]
fn pods_that_have_ended_are_out_of_scope(#[case] pointer: &str, #[case] value: Value) {
    let mut pod = covered_pod("1", "a", "faces");
    *pod.pointer_mut(pointer).unwrap() = value;
    assert_eq!(Found::new(&[pod]).status().coverage.unwrap().in_scope, 0);
}

#[test]
fn a_pod_that_is_deleted_is_in_scope_while_anything_in_it_runs() {
    let mut pod = covered_pod("1", "a", "faces");
    pod["metadata"]["deletionTimestamp"] = json!(NOW);
    let found = Found::new(std::slice::from_ref(&pod));
    assert_eq!(found.status().coverage.unwrap().in_scope, 1);
    pod["status"]["initContainerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 0}});
    apply(&found.caches.pods, pod);
    assert_eq!(found.status().coverage.unwrap().in_scope, 0);
}

#[test]
fn bare_pods_are_named_up_to_a_bound() {
    let pods: Vec<Value> = (10..40).map(|number| bare_pod(&number.to_string())).collect();
    let mut found = Found::new(&pods);
    let status = found.status();
    let coverage = status.coverage.as_ref().unwrap();
    assert_eq!((coverage.uncovered.len(), coverage.uncovered[0].name.as_str(), status.truncated), (16, "10", true));
    assert_eq!(said(&status)[1..], ["Covered=False/BarePods", "Enforcing=False/BarePods", "Ready=False/BarePods"]);
    assert!(message(&status, "Covered").starts_with("30 of 30 pods in scope have no sidecar: 10, 11"));
    found.protected = false;
    assert!(message(&found.status(), "Covered").contains("Label the namespace"));
}

#[test]
fn what_is_wrong_with_the_declaration_is_named_by_field() {
    let found = Found::new(&[]);
    let mut broken = holding("faces", "a");
    broken["spec"]["transfers"][0]["recipient"] = json!("nobody");
    apply(&found.caches.holdings, broken);
    let status = found.status();
    assert_eq!(said(&status)[0], "Accepted=False/RecipientNotFound");
    assert_eq!(message(&status, "Accepted"), "spec.transfers[0].recipient: there is no Recipient \"nobody\"");
    assert_eq!(said(&status)[3], "Ready=False/RecipientNotFound");
}

#[test]
fn a_permit_ends_at_its_instant_and_the_next_visit_is_then() {
    let found = Found::new(&[]);
    let subject = dereference(&found.caches, &config(), &Found::key()).unwrap();
    let document = compile(&subject, NOW.parse().unwrap()).document;
    let mut spec = subject.holding.spec.clone();
    assert_eq!(next_change(&document, &spec, NOW.parse().unwrap()), Some(Duration::from_secs(30)));
    assert_eq!(next_change(&document, &spec, "2026-06-01T10:00:30Z".parse().unwrap()), None);
    assert_eq!(next_change(&document, &spec, "2025-12-31T23:59:59Z".parse().unwrap()), Some(Duration::from_secs(1)));
    let certificate = json!({"scheme": "s", "number": "1", "issuer": "i", "validUntil": "2026-06-01T10:00:20Z"});
    spec.certificates = vec![serde_json::from_value(certificate).unwrap()];
    assert_eq!(next_change(&document, &spec, NOW.parse().unwrap()), Some(Duration::from_secs(20)));
    assert_eq!(said(&found.status_at("2026-06-01T10:00:29Z"))[0], "Accepted=True/Accepted");
    assert_eq!(said(&found.status_at("2026-06-01T10:00:30Z"))[0], "Accepted=False/PermitExpired");
    assert_eq!(said(&found.status_at("2025-12-31T00:00:00Z"))[0], "Accepted=False/PermitNotYetValid");
}

fn total(recipients: &[&str], country: Option<&str>, reason: Option<&str>, flows: u64, destination: &str) -> Value {
    json!({
        "recipients": recipients, "country": country, "data": if reason.is_none() { json!(["biometric.face"]) } else { json!([]) }, "reason": reason,
        "flows": flows, "bytesOut": 10 * flows, "bytesIn": 2 * flows, "last": "2026-06-01T09:00:00.5Z", "lastDestination": destination
    })
}

#[test]
fn flows_are_told_by_recipient_and_by_reason() {
    let found = Found::new(&[covered_pod("1", "a", "faces"), covered_pod("2", "a", "faces")]);
    let totals = json!([
        total(&["another-holdings", "clinic"], Some("KZ"), None, 3, "api.clinic.example.kz"),
        total(&["clinic"], Some("DE"), Some("CrossBorder"), 2, "api.clinic.example.kz"),
        total(&["zoo"], Some("DE"), Some("CrossBorder"), 1, "zoo.example"),
        total(&[], None, Some("UnlistedQuestion"), 5, "ads.example.com"),
    ]);
    found.checkpoint("1", &found.digest(), totals.clone());
    found.checkpoint("2", &found.digest(), totals);
    let status = found.status();
    let transfers: Vec<_> =
        status.transfers.iter().map(|row| (row.recipient.as_str(), row.country.as_deref(), row.verdict, row.flows)).collect();
    assert_eq!(
        transfers,
        [("clinic", Some("KZ"), TransferVerdict::Allowed, 6), ("zoo", Some("DE"), TransferVerdict::Denied, 2)],
        "denials of a recipient to whom something is allowed are no closed route"
    );
    assert_eq!((status.transfers[0].bytes_out, status.transfers[0].bytes_in), (60, 12));
    assert_eq!(status.transfers[0].last.as_deref(), Some("2026-06-01T09:00:00Z"));
    let denials: Vec<_> =
        status.denials.iter().map(|row| (row.reason.as_str(), row.flows, row.last_destination.as_deref().unwrap())).collect();
    assert_eq!(denials, [("CrossBorder", 6, "zoo.example"), ("UnlistedQuestion", 10, "ads.example.com")]);
    assert_eq!(status.denied, 16);
}

#[test]
fn a_closed_route_says_what_it_is_declared_to_carry() {
    let found = Found::new(&[covered_pod("1", "a", "faces")]);
    let totals = json!([total(&["clinic"], Some("DE"), Some("CrossBorder"), 2, "api.clinic.example.kz")]);
    found.checkpoint("1", &found.digest(), totals);
    let transfers = found.status().transfers;
    assert_eq!(transfers.len(), 1);
    assert_eq!(
        (transfers[0].verdict, transfers[0].data.as_slice()),
        (TransferVerdict::Denied, &["biometric.face".to_owned()][..])
    );
}

#[test]
fn the_status_that_is_there_already_is_not_written_again() {
    let found = Found::new(&[covered_pod("1", "a", "faces")]);
    found.checkpoint("1", &found.digest(), json!([total(&["clinic"], Some("KZ"), None, 1, "a")]));
    let status = found.status();
    let mut written = holding("faces", "a");
    written["status"] = serde_json::to_value(&status).unwrap();
    apply(&found.caches.holdings, written);
    assert_eq!(found.status_at("2026-06-01T10:00:10Z"), status);
    let holding = found.caches.holdings.get(&Found::key()).unwrap();
    assert_eq!(holding.status.as_ref(), Some(&status));
    assert!(status::is_enforcing(&holding));
}

#[test]
fn the_largest_status_fits_and_says_that_it_is_cut() {
    let pods: Vec<Value> = (0..200).map(|number| bare_pod(&format!("{number:0>253}"))).collect();
    let mut found = Found::new(&[pods, vec![covered_pod("counting", "a", "faces")]].concat());
    found.protected = false;
    let long = |number: usize| format!("{number:0>253}");
    let mut broken = holding("faces", "a");
    broken["spec"]["transfers"] = (0..64).map(|number| json!({"recipient": long(number), "data": ["biometric.face"]})).collect();
    apply(&found.caches.holdings, broken);
    let categories: Vec<String> = shekara_policy::Category::all().map(|category| category.to_string()).collect();
    let allowed = (0..1000).map(|number| {
        let mut total = total(&[&long(number)], Some("KZ"), None, u64::MAX / 100, &long(0));
        total["data"] = json!(categories);
        total
    });
    let denied = shekara_policy::Reason::ALL.iter().map(|reason| total(&[], None, Some(reason.code()), u64::MAX / 100, &long(1)));
    found.checkpoint("counting", "sha256:1", allowed.chain(denied).collect());
    let status = found.status();
    assert!(status.truncated);
    assert!(status::size(&status) <= status::LARGEST, "{}", status::size(&status));
    assert!(status.transfers.len() > 32, "{}", status.transfers.len());
    assert_eq!(status.denials.len(), shekara_policy::Reason::ALL.len());
}

#[test]
fn what_a_standard_requires_and_nobody_declares_is_named_and_gates_nothing() {
    let mut found = Found::new(&[]);
    let mut requiring = standard();
    requiring["spec"]["requires"] = json!(["ResponsiblePerson", "Notice"]);
    found.caches = caches(&[namespace("cameras", json!({})), holding("faces", "a"), requiring, recipient()]);
    let status = found.status();
    let condition = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    let declared = condition("DeclarationComplete");
    assert_eq!((declared.status.as_str(), declared.reason.as_str()), ("False", "DeclarationMissing"));
    assert!(
        declared.message.contains("spec.data[0].notice: how people are told of biometric.face is not declared (LegalBasis; "),
        "{}",
        declared.message
    );
    assert!(declared.message.starts_with("2 missing: "), "{}", declared.message);
    assert_eq!(condition("Ready").status, "True");
    let found = Found::new(&[]);
    assert!(
        found.status().conditions.iter().any(|condition| condition.type_ == "DeclarationComplete" && condition.status == "True")
    );
}

#[test]
fn the_country_of_a_parent_and_an_endpoint_that_serves_many_are_reported() {
    let mut party = recipient();
    party["spec"]["parentCountry"] = json!("DE");
    party["spec"]["endpoints"][0]["tenancy"] = json!("Shared");
    let mut found = Found::new(&[]);
    let pod = covered_pod("1", "a", "faces");
    found.caches = caches(&[namespace("cameras", json!({})), holding("faces", "a"), standard(), party, pod]);
    let total = json!({"recipients": ["clinic"], "country": "KZ", "data": ["biometric.face"], "reason": null, "flows": 1, "bytesOut": 2, "bytesIn": 3, "last": NOW, "lastDestination": "x"});
    found.checkpoint("1", &found.digest(), json!([total]));
    let transfer = &found.status().transfers[0];
    assert_eq!((transfer.parent_country.as_deref(), transfer.shared), (Some("DE"), true));
}

/// When the oldest pod that lives was created, and whether what was taken away on the second of June is still counted.
#[rstest]
#[case(Some("2026-06-01T10:00:00Z"), false)]
#[case(Some("2026-06-03T10:00:00Z"), true)]
#[case(None, true)]
#[tokio::test(start_paused = true)]
async fn when_the_last_pod_has_ended_that_was_there_before_a_narrowing_the_document_is_asked_for(
    #[case] created: Option<&str>,
    #[case] released: bool,
) {
    let mut narrowed = holding("faces", "a");
    narrowed["status"] = json!({"held": [{"category": "vehicle.location", "removedAt": "2026-06-02T10:00:00Z"}]});
    let pod = created.map(|created| {
        let mut pod = covered_pod("web", "a", "faces");
        pod["metadata"]["creationTimestamp"] = json!(created);
        pod
    });
    let objects: Vec<Value> = [namespace("cameras", json!({})), narrowed].into_iter().chain(pod).collect();
    let (caches, documents) = (Arc::new(caches(&objects)), Arc::new(crate::documents::Documents::default()));
    let mut published = crate::fixtures::published("faces", "a", "1");
    published.document.data = ["biometric.face", "vehicle.location"].map(|category| category.parse().unwrap()).into();
    documents.publish("cameras", "faces", Some(published));
    let (config, ledger, metrics) =
        (Arc::new(config()), Arc::new(Ledger::default()), Arc::new(crate::metrics::Metrics::new().unwrap()));
    let (client, keys) = (crate::fixtures::client(), crate::keys::Keys::of_test());
    let (notices, _events) = crate::events::channel(client.clone(), &config, Arc::clone(&metrics));
    let (queues, resumed) = (Arc::default(), crate::ledger::store::Resumed::always());
    let (pace, marked) = (crate::controllers::Pace::default(), crate::controllers::Marked::default());
    let admission = crate::admission::Admission::of_test(client.clone(), &config, &caches, notices.clone(), &metrics);
    let log_readers = Arc::default();
    let context = Context {
        client,
        config,
        caches,
        documents,
        keys,
        ledger,
        log_readers,
        metrics,
        queues,
        notices,
        admission,
        pace,
        marked,
        resumed,
    };
    // the status cannot be written, for there is no API server
    drop(visit(&context, &Found::key()).await);
    let asked = tokio::time::timeout(Duration::from_secs(60), context.queues.documents.next()).await;
    assert_eq!(asked.is_ok(), released);
    let subject = dereference(&context.caches, &context.config, &Found::key()).unwrap();
    let counting = subject.counting(
        &context.documents.of("cameras")["faces"].document.data,
        &context.caches,
        "2026-06-04T10:00:00Z".parse().unwrap(),
    );
    assert_eq!(counting.held().iter().any(|held| held.removed_at.is_some()), !released);
}

#[test]
fn what_clients_read_is_told_apart_from_what_left() {
    let found = Found::new(&[covered_pod("web", "a", "faces")]);
    let total = |inbound: bool, reason: Value, recipients: Value, flows: u64| {
        json!({"recipients": recipients, "country": "KZ", "data": [], "reason": reason, "inbound": inbound, "flows": flows, "bytesOut": 7,
            "bytesIn": 1, "last": NOW, "lastDestination": "192.0.2.7"})
    };
    let totals = json!([
        total(false, Value::Null, json!(["clinic"]), 1),
        total(true, Value::Null, json!(["kz/ingress"]), 2),
        total(true, json!("InboundCrossBorder"), json!([]), 3),
    ]);
    found.checkpoint("web", &found.digest(), totals);
    let status = found.status();
    assert_eq!((status.transfers.len(), status.transfers[0].bytes_out, status.denials.len(), status.denied), (1, 7, 0, 0));
    let inbound = status.inbound.unwrap();
    assert_eq!(inbound.mode, shekara_crds::sovereignty_standard::Listing::Open);
    let client = &inbound.clients[0];
    assert_eq!((inbound.clients.len(), client.by.as_str(), client.flows), (1, "kz/ingress", 2));
    assert_eq!(client.last_client.as_deref(), Some("192.0.2.7"));
    assert_eq!((inbound.denials[0].reason.as_str(), inbound.denials[0].flows, inbound.denied), ("InboundCrossBorder", 3, 3));
}
