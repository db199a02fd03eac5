//! A sidecar that has too few descriptors.

use std::time::Duration;

use shekara_policy::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::document::{document, document_without};
use crate::place::Place;
use crate::process::Holds;
use crate::wait::within;
use crate::world::{CAMERA, ECHO, SHOP};

/// More than the descriptors are enough for.
const FLOWS: usize = 60;

#[tokio::test]
async fn with_few_descriptors_fewer_flows_are_taken_and_the_probes_are_answered() {
    let mut place = Place::open();
    place.init().await;
    place.api = Some(crate::policy_api::PolicyApi::start(&place.world, &[document()]));
    place.run_with_open_files(136);
    place.ready().await;
    let before = place.holds().await;
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        flows.extend(live(&place).await);
    }
    println!("{} flows with 136 descriptors", flows.len());
    assert!((10..FLOWS).contains(&flows.len()), "{} flows live", flows.len());
    place.record(|record| record.reason == Some(Reason::LimitReached)).await;
    assert!(place.curl(&["http://127.0.0.1:15020/live"]).await.ok, "the liveness probe is not answered");
    drop(flows);
    place.holds_again(before).await;
    assert!(live(&place).await.is_some());
}

#[tokio::test]
async fn without_descriptors_nothing_new_leaves_what_lives_is_still_judged_and_it_recovers() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut living = live(&place).await.unwrap();
    let before = Holds { files: place.open_files() - 2, flows: 0 };
    // enough for the client's half of a flow, and not for the other one
    place.leave_open_files(1);
    place.sniffer.forget(&place.pod).await;
    let mut waiting = JoinSet::new();
    for address in [CAMERA.v6, SHOP.v6, CAMERA.v6, SHOP.v6] {
        let Some(mut stream) = place.dial_unless_reset(address, ECHO).await else { continue };
        waiting.spawn(async move {
            stream.write_all(b"face").await.is_ok() && stream.read(&mut [0; 4]).await.is_ok_and(|read| read > 0)
        });
    }
    // one after the other is taken, cannot be carried on, and is closed
    while let Some(answered) = within("a flow to end", waiting.join_next()).await {
        assert!(!answered.unwrap(), "a flow was answered");
    }
    assert!(place.sidecar().is_running());
    assert!(!place.reached(CAMERA.v6).await && !place.reached(SHOP.v6).await);
    assert!(echo(&mut living).await, "a flow that lived was closed");
    place.api().set(&[document_without("cameras")]);
    assert!(matches!(within("the end", living.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    place.limit_open_files(20_000);
    place.api().set(&[document()]);
    let recovered = async {
        while live(&place).await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("a new flow", recovered).await;
    place.holds_again(before).await;
}

/// A flow that has carried something, if it may.
async fn live(place: &Place) -> Option<TcpStream> {
    let mut stream = place.dial(CAMERA.v6, ECHO).await.ok()?;
    echo(&mut stream).await.then_some(stream)
}

async fn echo(stream: &mut TcpStream) -> bool {
    let echo = async {
        stream.write_all(b"face").await?;
        stream.read_exact(&mut [0; 4]).await
    };
    within("an echo or an end", echo).await.is_ok()
}
