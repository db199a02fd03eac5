//! `shekara-verify`: it proves what is closed, and fails when anything is not.

use std::time::Duration;

use shekara_policy::exchange::FilterProof;

use crate::actor::Actor;
use crate::document::document;
use crate::namespace::ip;
use crate::place::Place;

/// Longer than it takes until two proofs have failed or one has not.
const A_FEW_PROOFS: Duration = Duration::from_secs(60);

#[tokio::test]
async fn every_way_is_proven_closed() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok, "{said:?}");
    for line in [
        "the sidecar's mark: closed",
        "ping over IPv4: closed (the packet filter dropped it)",
        "a foreign sender's address over IPv6: closed (the packet filter dropped it)",
        "TCP over IPv4: closed",
        "TCP over IPv6: closed",
        "UDP over IPv4: closed",
        "UDP over IPv6: closed",
        "the port for what comes in over IPv4: closed (the sidecar answered there)",
        "the port for what comes in over IPv6: closed (the sidecar answered there)",
    ] {
        assert!(said.out.lines().any(|found| found.starts_with(line)), "{line} is not in {}", said.out);
    }
    println!("verify took {:?}:\n{}", said.took, said.out);
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    assert!(metrics.contains("shekara_datagrams_denied_total 0"), "the proof is no attempt to get out: {metrics}");
}

#[tokio::test]
async fn a_family_without_a_route_is_skipped_and_said() {
    let mut place = Place::open();
    ip(&["-n", &place.pod.name, "-6", "route", "delete", "default"]);
    place.enforce(&[document()]).await;
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    assert!(said.ok && said.out.contains("TCP over IPv6: skipped (the pod has no route of this family)"), "{said:?}");
    assert!(said.out.contains("TCP over IPv4: closed"), "{said:?}");
}

#[tokio::test]
async fn without_the_filter_it_fails() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.remove_filter().await;
    let said = place.sidecar_command(Actor::Verify, "verify").await;
    said.failed();
    assert!(said.out.contains("ping over IPv4: open (an echo request was let out)"), "{said:?}");
    assert!(said.out.contains("TCP over IPv4: not proven closed"), "{said:?}");
    assert!(said.error.contains("the pod must not start"), "{said:?}");
}

#[tokio::test]
async fn it_goes_on_while_the_pod_runs() {
    goes_on(Place::open()).await;
}

/// It then comes from the one user that may leave, and shows all the same what nobody else may.
#[tokio::test]
async fn it_goes_on_where_the_sidecar_is_known_by_its_user() {
    goes_on(Place::by_user()).await;
}

/// Whoever has the node's rights changes the packet filter of a pod that runs: the sidecar finds out, and says so.
async fn goes_on(mut place: Place) {
    place.enforce(&[document()]).await;
    assert_eq!(place.checkpoint(|_| true).await.filter, FilterProof::Closed);
    place.remove_filter().await;
    place.api().checkpoint_in(A_FEW_PROOFS, |checkpoint| checkpoint.filter == FilterProof::Open).await;
    let metrics = place.curl(&["http://127.0.0.1:15020/metrics"]).await.out;
    assert!(metrics.contains("shekara_filter_proven 0") && metrics.contains("shekara_filter_open 1"), "{metrics}");
    let before = place.checkpoint(|checkpoint| !checkpoint.filter.holds()).await.sequence;
    place.init().await;
    place.api().checkpoint_in(A_FEW_PROOFS, |checkpoint| checkpoint.sequence > before && checkpoint.filter.holds()).await;
    assert!(
        place.sidecar().said().contains("ping over IPv4 is open (an echo request was let out)"),
        "{}",
        place.sidecar().said()
    );
}

#[tokio::test]
async fn who_can_take_the_mark_fails() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let said = place.sidecar_command(Actor::RawApp, "verify").await;
    said.failed();
    assert!(said.out.contains("the sidecar's mark: open"), "{said:?}");
}

/// These wait for the sidecar until their patience ends, so they do so beside each other.
#[tokio::test]
async fn a_time_out_proves_nothing() {
    let (without_proxy, mut without_udp) = (Place::open(), Place::open());
    without_proxy.init().await;
    without_udp.enforce(&[document()]).await;
    // Datagrams are dropped in place of being led to the sink: nobody can say any more that none left.
    let rules = without_udp.command(Actor::Init, "nft", &["--handle", "list", "chain", "inet", "shekara", "nat-out"]).await.out;
    let rule = rules.lines().find(|line| line.contains("15009")).unwrap();
    let handle = rule.rsplit(' ').next().unwrap();
    let deleted =
        without_udp.command(Actor::Init, "nft", &["delete", "rule", "inet", "shekara", "nat-out", "handle", handle]).await;
    assert!(deleted.ok, "{deleted:?}");
    let (proxy, udp) = tokio::join!(
        without_proxy.sidecar_command(Actor::Verify, "verify"),
        without_udp.sidecar_command(Actor::Verify, "verify")
    );
    proxy.failed();
    assert!(proxy.error.contains("TCP over IPv4 is not proven closed (nobody answered"), "{proxy:?}");
    udp.failed();
    assert!(udp.out.contains("TCP over IPv6: closed") && udp.error.contains("UDP over IPv4 is not proven closed"), "{udp:?}");
}
