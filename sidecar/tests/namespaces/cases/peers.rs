//! Destinations inside the cluster, judged by who is there.

use std::time::{Duration, Instant};

use shekara_policy::Reason;
use shekara_policy::peer::End;
use shekara_policy::record::{End as FlowEnd, FlowRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::actor::Actor;
use crate::document::document;
use crate::peers::{bare, covered, service};
use crate::place::Place;
use crate::policy_api::PolicyApi;
use crate::resolver::{BROKER_ALIAS, SHOP_ALIAS};
use crate::wait::within;
use crate::world::{ARCHIVE, BROKER, CAMERA, ECHO, HTTP, MEMBER, POLICY_API, SHOP, STRANGER};

async fn denied(place: &Place, address: &str, reason: Reason) -> FlowRecord {
    assert!(!place.echoes(address).await, "{address} is reached");
    let destination = address.parse().unwrap();
    place.record(|record| record.destination == Some(destination) && record.reason == Some(reason)).await
}

/// Tries until it is denied for this reason, which must be soon: the last answer may still be under way.
async fn soon_denied(place: &Place, address: &str, reason: Reason) {
    let (start, destination) = (Instant::now(), address.parse().unwrap());
    let like = |record: &FlowRecord| record.destination == Some(destination) && record.reason == Some(reason);
    while place.echoes(address).await || timeout(Duration::from_millis(50), place.record(like)).await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(2), "{address} is not denied as {reason}");
    }
}

/// Tries until it passes, which must be soon.
async fn passes(place: &Place, address: &str) -> Duration {
    let start = Instant::now();
    while !place.echoes(address).await {
        assert!(start.elapsed() < Duration::from_secs(2), "{address} is not reached");
    }
    start.elapsed()
}

#[tokio::test]
async fn inside_the_cluster_only_what_is_covered_or_listed_is_reached() {
    let mut place = Place::open();
    for address in [ARCHIVE, MEMBER, STRANGER] {
        assert!(place.echoes(address).await);
    }
    place.enforce(&[document()]).await;
    for address in [ARCHIVE, MEMBER] {
        assert!(place.echoes(address).await, "{address}");
    }
    let record = place.record(|record| record.dialled == Some(MEMBER.parse().unwrap())).await;
    assert_eq!((record.rules[0].recipient.as_str(), record.data.len()), ("archive/member", 1));
    denied(&place, STRANGER, Reason::InClusterUnlisted).await;
    assert!(!place.reached(STRANGER).await);
    // the operator's own policy API is nobody's but the sidecar's
    place.curl(&["--insecure", &format!("https://{POLICY_API}:8443/v1/policy")]).await.failed();
    let record = place.record(|record| record.destination == Some(POLICY_API.parse().unwrap())).await;
    assert_eq!(record.reason, Some(Reason::InClusterUnlisted));
}

#[tokio::test]
async fn a_service_is_open_only_as_long_as_each_of_its_ends_is() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    passes(&place, MEMBER).await;
    let outside = End::Outside("198.51.100.20:1883".parse().unwrap());
    for (end, reason) in [
        (bare(), Reason::InClusterUnlisted),
        (covered(false), Reason::PeerNotEnforcing),
        (End::Node, Reason::PeerNodeAddress),
        (End::ApiServer, Reason::ClusterAPIDenied),
        (End::Unknown, Reason::PeerUnknown),
        (outside, Reason::UnlistedParty),
    ] {
        place.api().know(|known| known.at(MEMBER, ECHO, service("member", [covered(true), end])));
        soon_denied(&place, MEMBER, reason).await;
    }
    place.api().know(|known| known.at(MEMBER, ECHO, service("member", [covered(true)])));
    let took = passes(&place, MEMBER).await;
    assert!(took < Duration::from_secs(1), "the denial cleared after {took:?}");
}

#[tokio::test]
async fn a_live_flow_ends_within_a_second_of_its_peers_change() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut live = place.dial(MEMBER, ECHO).await.unwrap();
    let mut other = place.dial(ARCHIVE, ECHO).await.unwrap();
    for stream in [&mut live, &mut other] {
        stream.write_all(b"face").await.unwrap();
        within("an echo", stream.read_exact(&mut [0; 4])).await.unwrap();
    }
    let start = Instant::now();
    place.api().know(|known| known.at(MEMBER, ECHO, service("member", [bare()])));
    assert!(matches!(within("the end", live.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "the flow lived on for {took:?}");
    println!("a living flow was closed {took:?} after its peer changed");
    let record = place.record(|record| record.end == FlowEnd::PolicyChanged).await;
    assert_eq!((record.reason, record.bytes_out), (Some(Reason::InClusterUnlisted), 4));
    other.write_all(b"face").await.unwrap();
    within("an echo", other.read_exact(&mut [0; 4])).await.unwrap();
}

#[tokio::test]
async fn without_an_answer_a_flow_waits_a_second_and_is_denied() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.api().know(|known| known.forget(MEMBER, ECHO));
    let start = Instant::now();
    denied(&place, MEMBER, Reason::PeerUnanswered).await;
    let took = start.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&took), "it took {took:?}");
    assert!(!place.reached(MEMBER).await);
    place.api().know(|known| known.at(MEMBER, ECHO, service("member", [covered(true)])));
    passes(&place, MEMBER).await;
}

#[tokio::test]
async fn while_the_operator_is_away_known_peers_go_on_and_others_are_denied() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut live = place.dial(MEMBER, ECHO).await.unwrap();
    assert!(place.echoes(MEMBER).await);
    place.api = None;
    place.said("the last documents stay in force").await;
    live.write_all(b"face").await.unwrap();
    within("an echo", live.read_exact(&mut [0; 4])).await.unwrap();
    assert!(place.echoes(MEMBER).await);
    denied(&place, ARCHIVE, Reason::PeerUnanswered).await;
    // it comes back, and says other things
    place.api = Some(PolicyApi::start(&place.world, &[document()]));
    place.api().know(|known| known.at(MEMBER, ECHO, service("member", [bare()])));
    assert!(matches!(within("the end", live.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    passes(&place, ARCHIVE).await;
}

#[tokio::test]
async fn an_address_outside_that_the_cluster_takes_is_judged_as_inside() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let camera = format!("http://{}/", CAMERA.v4);
    place.curl(&[&camera]).await.served_by(CAMERA.v4);
    place.api().know(|known| {
        known.capture(CAMERA.v4);
        known.at(CAMERA.v4, HTTP, service("sly", [bare()]));
    });
    let start = Instant::now();
    while place.curl(&[&camera]).await.ok {
        assert!(start.elapsed() < Duration::from_secs(2), "a Service of the cluster gets what is meant for the camera");
    }
    place.record(|record| record.port == HTTP && record.reason == Some(Reason::InClusterUnlisted)).await;
}

#[tokio::test]
async fn a_name_of_the_cluster_that_leads_outside_opens_nothing_but_what_the_name_there_opens() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let resolve = async |name: &str| {
        let program = "import socket, sys; print(socket.getaddrinfo(sys.argv[1], 1, socket.AF_INET))";
        place.command(Actor::App, "/usr/bin/python3", &["-c", program, name]).await
    };
    assert!(!place.echoes(BROKER.v4).await, "the pod has not resolved any name of the broker yet");
    for (alias, address) in [(BROKER_ALIAS, BROKER.v4), (SHOP_ALIAS, SHOP.v4)] {
        let said = resolve(alias).await;
        assert!(said.ok && said.out.contains(address), "{said:?}");
    }
    assert!(place.echoes(BROKER.v4).await);
    let record = place.record(|record| record.dialled == Some(BROKER.v4.parse().unwrap())).await;
    assert_eq!((record.name.as_deref(), record.rules[0].recipient.as_str()), (Some(BROKER.name), "broker"));
    denied(&place, SHOP.v4, Reason::UnlistedParty).await;
    place.curl(&[&format!("http://{SHOP_ALIAS}/")]).await.failed();
    assert!(!place.reached(SHOP.v4).await);
}
