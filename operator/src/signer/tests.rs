use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::fixtures::{apply, caches};

fn document(version: u32) -> PolicyDocument {
    let document = json!({
        "version": 1, "holding": {"namespace": "cameras", "name": "faces", "uid": "u1"}, "data": [], "standards": [], "routes": [], "inCluster": [],
        "cluster": {"networks": [], "domain": format!("v{version}.local"), "resolvers": []}
    });
    serde_json::from_value(document).unwrap()
}

fn start() -> Timestamp {
    "2026-06-01T10:00:00Z".parse().unwrap()
}

fn hours(hours: i64) -> Timestamp {
    start() + SignedDuration::from_hours(hours)
}

struct Fixture {
    keys: Arc<Keys>,
    caches: Arc<Caches>,
    signer: Signer,
}

impl Fixture {
    fn new() -> Self {
        let (keys, caches) = (Keys::of_test(), Arc::new(caches(&[])));
        let signer = Signer::new(Arc::clone(&keys), Arc::clone(&caches));
        Self { keys, caches, signer }
    }

    fn restarted(self) -> Self {
        let signer = Signer::new(Arc::clone(&self.keys), Arc::clone(&self.caches));
        Self { signer, ..self }
    }

    fn sign(&self, version: u32, now: Timestamp) -> Arc<SignedDocument> {
        let document = document(version);
        let digest = document.digest().unwrap();
        let wish = Wish { namespace_uid: "n1", document: &document, digest: &digest, lasts: LASTS };
        self.signer.sign(&Key::new("cameras", "faces"), &wish, now).unwrap()
    }

    /// Puts a document into the holding's file.
    fn file(&self, document: &SignedDocument) {
        let bundle = Bundle { keys: self.keys.current().signed.clone(), document: document.clone() };
        let file = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": file_name("faces"), "namespace": "cameras"},
            "data": {"document.json": bundle.to_json().unwrap()}
        });
        apply(&self.caches.policy_files, file);
    }
}

#[test]
fn a_document_stays_until_it_says_something_else_or_half_of_its_time_is_over() {
    let fixture = Fixture::new();
    let first = fixture.sign(1, start());
    assert_eq!((first.issued_at, first.not_after), (start(), hours(24)));
    assert_eq!(fixture.sign(1, hours(11)), first);
    let again = fixture.sign(1, hours(12));
    assert_eq!((again.not_after, again.digest()), (hours(36), first.digest()));
    let other = fixture.sign(2, hours(12));
    assert!(other.serial > again.serial && again.serial > first.serial);
    fixture.signer.forget(&Key::new("cameras", "faces"));
    assert!(fixture.sign(2, hours(13)).serial > other.serial, "though nothing is known of it any more");
}

#[test]
fn after_a_restart_the_same_document_stands_and_the_serial_goes_on() {
    let fixture = Fixture::new();
    let first = fixture.sign(1, start());
    fixture.file(&first);
    let fixture = fixture.restarted();
    assert_eq!(fixture.sign(1, hours(1)), first, "nothing is to be written");
    let fixture = fixture.restarted();
    // the clock of this machine is slow
    assert!(fixture.sign(2, hours(-5)).serial > first.serial);
    assert_eq!(fixture.signer.newest_key_set(), fixture.keys.current().version);
}

#[test]
fn a_file_is_read_once_and_again_when_another_leader_has_written_it() {
    let fixture = Fixture::new();
    let key = Key::new("cameras", "faces");
    let unread = |fixture: &Fixture| {
        let all = fixture.signer.newest.lock();
        fixture.signer.unread(&key, &all[&key]).is_some()
    };
    let first = fixture.sign(1, start());
    fixture.file(&first);
    assert!(unread(&fixture));
    assert_eq!(fixture.sign(1, hours(1)), first);
    assert!(!unread(&fixture), "it was read when the document was asked for");
    // this replica lost the lead, another one signed, and its clock goes before; then this one leads again
    let other = Fixture { keys: Arc::clone(&fixture.keys), ..Fixture::new() }.restarted();
    let theirs = other.sign(2, hours(30));
    fixture.file(&theirs);
    assert!(unread(&fixture));
    assert!(fixture.sign(1, hours(2)).serial > theirs.serial);
    assert!(!unread(&fixture));
}

#[test]
fn what_lies_in_a_file_and_is_not_genuine_counts_for_nothing() {
    let fixture = Fixture::new();
    let mut forged = (*fixture.sign(1, start())).clone();
    forged.serial = u64::MAX;
    fixture.file(&forged);
    let fixture = fixture.restarted();
    assert!(fixture.sign(1, hours(1)).serial < u64::MAX);
    // the same keys in another cluster are not the same keys
    let stranger = Fixture::new();
    stranger.file(&fixture.sign(1, hours(1)));
    let other = Fixture { signer: Signer::new(Keys::of_test(), Arc::clone(&stranger.caches)), ..stranger };
    assert_eq!(other.sign(1, hours(2)).issued_at, hours(2));
}

#[test]
fn a_replica_that_does_not_lead_gives_on_what_the_leader_has_signed_until_it_ends() {
    let leader = Fixture::new();
    let given = |now| leader.signer.given(&Key::new("cameras", "faces"), "n1", &document(1).holding.uid, now);
    assert_eq!(given(start()), None);
    let first = leader.sign(1, start());
    leader.file(&first);
    assert_eq!(given(hours(-1)), Some((Arc::clone(&first), document(1))), "its own clock may be slow");
    let second = leader.sign(2, hours(1));
    leader.file(&second);
    assert_eq!(given(hours(24)), Some((second, document(2))));
    assert_eq!(given(hours(25)), None);
    assert_eq!(leader.signer.given(&Key::new("cameras", "faces"), "n2", &document(1).holding.uid, start()), None);
}

#[test]
fn a_replica_that_does_not_lead_gives_on_no_older_document_that_was_put_back() {
    let leader = Fixture::new();
    let follower = Signer::new(Arc::clone(&leader.keys), Arc::clone(&leader.caches));
    let given =
        || follower.given(&Key::new("cameras", "faces"), "n1", &document(1).holding.uid, hours(2)).map(|(signed, _)| signed);
    let first = leader.sign(1, start());
    leader.file(&first);
    assert_eq!(given(), Some(Arc::clone(&first)));
    let second = leader.sign(2, hours(1));
    leader.file(&second);
    assert_eq!(given(), Some(Arc::clone(&second)));
    leader.file(&first);
    assert_eq!(given(), None, "it has not ended, and is not the newest");
    leader.file(&second);
    assert_eq!(given(), Some(Arc::clone(&second)));
    // it leads now, finds the older one, and goes on from the newest that it has seen
    leader.file(&first);
    let leading = Fixture { signer: follower, ..leader };
    assert!(leading.sign(1, hours(-5)).serial > second.serial);
}
