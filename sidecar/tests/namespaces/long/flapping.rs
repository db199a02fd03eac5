//! Documents that change their mind: what is denied ends within a second, what is allowed goes on, and nothing is left over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shekara_policy::Reason;
use shekara_policy::record::End;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::capacity::may_open;
use crate::actor::Actor;
use crate::document::{document, document_without};
use crate::place::Place;
use crate::wait::within;
use crate::world::{BROKER, CAMERA, ECHO};

/// Flows that every document allows.
const STEADY: usize = 700;

/// Flows that every other document denies.
const FLAPPING: usize = 300;

/// How often they are denied.
const DENIALS: usize = 100;

/// How long a flow may outlive its denial.
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_thousand_flows_follow_a_hundred_changes_and_leave_nothing_behind() {
    may_open(4096);
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let resolve = ["-c", "import socket, sys; socket.getaddrinfo(sys.argv[1], 1)", BROKER.name];
    assert!(place.command(Actor::App, "/usr/bin/python3", &resolve).await.ok);
    assert!(place.echoes(CAMERA.v6).await);
    let before = place.holds().await;

    let mut steady = Vec::new();
    for _ in 0..STEADY {
        steady.push(live(&place, BROKER.v4).await.expect("an allowed flow does not live"));
    }
    let place = Arc::new(place);
    let (allowed, _) = watch::channel(true);
    let up = Arc::new(AtomicUsize::new(0));
    let mut flapping = JoinSet::new();
    for _ in 0..FLAPPING {
        flapping.spawn(flap(place.clone(), allowed.subscribe(), up.clone()));
    }
    let mut slowest = Duration::ZERO;
    for denial in 0..DENIALS {
        reaches(&up, FLAPPING).await;
        allowed.send_replace(false);
        let denied = Instant::now();
        place.api().set(&[document_without("cameras")]);
        reaches(&up, 0).await;
        slowest = slowest.max(denied.elapsed());
        assert!(slowest < SECOND, "a flow outlived denial {denial} by {slowest:?}");
        // they begin to try before they are allowed, so that some begin in the very moment of the change
        allowed.send_replace(true);
        place.api().set(&[document()]);
    }
    // and at once one after the other, with the last word that nothing may go there
    reaches(&up, FLAPPING).await;
    for _ in 0..20 {
        place.api().set(&[document_without("cameras")]);
        place.api().set(&[document()]);
    }
    allowed.send_replace(false);
    let denied = Instant::now();
    place.api().set(&[document_without("cameras")]);
    reaches(&up, 0).await;
    slowest = slowest.max(denied.elapsed());
    assert!(slowest < SECOND, "a flow outlived the last denial by {slowest:?}");
    println!(
        "{FLAPPING} of {} flows were denied {DENIALS} times; the last of each was closed within {slowest:?}",
        STEADY + FLAPPING
    );

    for stream in &mut steady {
        assert!(echo(stream).await, "an allowed flow was closed");
    }
    place.record(|record| record.end == End::PolicyChanged && record.reason == Some(Reason::UnlistedParty)).await;
    flapping.shutdown().await;
    drop(steady);
    place.holds_again(before).await;
}

/// One flow after the other, as long as they are allowed.
async fn flap(place: Arc<Place>, mut allowed: watch::Receiver<bool>, up: Arc<AtomicUsize>) {
    loop {
        allowed.wait_for(|allowed| *allowed).await.unwrap();
        let Some(mut stream) = live(&place, CAMERA.v6).await else { continue };
        up.fetch_add(1, Ordering::SeqCst);
        let end = stream.read(&mut [0; 1]).await;
        assert!(matches!(end, Ok(0) | Err(_)), "nobody sent anything");
        up.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A flow that has carried something, if it may.
async fn live(place: &Place, address: &str) -> Option<TcpStream> {
    let mut stream = place.dial(address, ECHO).await.ok()?;
    echo(&mut stream).await.then_some(stream)
}

async fn echo(stream: &mut TcpStream) -> bool {
    let echo = async {
        stream.write_all(b"face").await?;
        stream.read_exact(&mut [0; 4]).await
    };
    within("an echo or an end", echo).await.is_ok()
}

/// Waits until so many of the flows live.
async fn reaches(up: &AtomicUsize, wanted: usize) {
    let reached = async {
        while up.load(Ordering::SeqCst) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(&format!("{wanted} flows to live"), reached).await;
}
