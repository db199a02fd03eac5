//! The proxy's own life: its end, its crash, and what it costs.

use shekara_policy::record::End;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{CAMERA, CLINIC, ECHO};

#[tokio::test]
async fn told_to_stop_it_lets_living_flows_finish() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut stream = place.dial(CAMERA.v6, ECHO).await.unwrap();
    stream.write_all(b"face").await.unwrap();
    within("an echo", stream.read_exact(&mut [0; 4])).await.unwrap();
    place.sidecar().terminate();
    place.said("told to stop").await;
    stream.write_all(b"last").await.unwrap();
    within("an echo while it drains", stream.read_exact(&mut [0; 4])).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(within("the end", stream.read(&mut [0; 1])).await.unwrap(), 0);
    assert!(place.sidecar.as_mut().unwrap().ended().await.success());
    let record = place.record(|record| record.port == ECHO).await;
    assert_eq!((record.end, record.bytes_out, record.bytes_in), (End::Completed, 8, 8));
    place.checkpoint(|checkpoint| checkpoint.totals.iter().any(|total| total.bytes_out == 8)).await;
}

#[tokio::test]
async fn while_it_is_dead_nothing_leaves_and_a_restart_serves_again() {
    let mut place = Place::open();
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.enforce(&[document()]).await;
    place.sidecar = None;
    let asked = place.questions.borrow().len();
    for actor in [Actor::App, Actor::RootApp] {
        place.curl_as(actor, &[&format!("http://{}/", CAMERA.v4)]).await.failed();
        place.curl_as(actor, &["--max-time", "3", &format!("http://{}/", CLINIC.name)]).await.failed();
    }
    assert!(!place.reached(CAMERA.v4).await && !place.reached(CLINIC.v4).await && !place.reached(CLINIC.v6).await);
    assert_eq!(place.questions.borrow().len(), asked);
    place.run();
    place.ready().await;
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
}

#[tokio::test]
async fn an_idle_proxy_holds_little_memory() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.checkpoint(|_| true).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", place.sidecar().id())).unwrap();
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap().trim();
    println!("an idle proxy (as built for tests) holds {anonymous} of anonymous memory");
    let kib: u64 = anonymous.trim_end_matches(" kB").parse().unwrap();
    assert!(kib <= 6 * 1024, "{anonymous}");
}
