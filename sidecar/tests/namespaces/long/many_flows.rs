//! More flows than a sidecar takes: its memory is bounded, the rest is refused, and everything is let go afterwards.

use std::fs;

use rustix::process::{Resource, getrlimit};
use shekara_policy::Reason;
use shekara_sidecar::bound::flows_within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::capacity::may_open;
use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{CAMERA, ECHO};

/// Flows that are tried.
const FLOWS: usize = 10_000;

/// The flows that a sidecar takes by default.
const MOST: u32 = 8192;

/// What all of them may take of the memory of a sidecar, whose limit is 128 MiB by default: in KiB.
const MEMORY: u64 = 64 * 1024;

#[tokio::test]
async fn ten_thousand_idle_flows_take_a_bounded_memory_and_give_it_back() {
    // both ends of the test's own: those of the clients, and of the servers
    may_open(FLOWS as u64 + u64::from(MOST) + 500);
    let taken = taken();
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    assert!(place.echoes(CAMERA.v6).await);
    let (before, empty) = (place.holds().await, anonymous_memory(&place));
    let mut flows: Vec<TcpStream> = Vec::with_capacity(FLOWS);
    for number in 0..FLOWS {
        let Some(mut stream) = place.dial_unless_reset(CAMERA.v6, ECHO).await else {
            assert!(number >= taken, "flow {number} was reset at once");
            continue;
        };
        let lives = async {
            stream.write_all(b"face").await?;
            stream.read_exact(&mut [0; 4]).await
        };
        match within("an echo or an end", lives).await {
            Ok(_) => flows.push(stream),
            Err(error) => assert!(number >= taken, "flow {number} was closed: {error}"),
        }
    }
    assert_eq!(flows.len(), taken);
    place.record(|record| record.reason == Some(Reason::LimitReached)).await;
    let full = anonymous_memory(&place);
    println!("anonymous memory: {empty} KiB without flows, {full} KiB with {taken} idle ones");
    assert!(full < MEMORY, "{full} KiB");
    // one that ends makes room for another
    drop(flows.pop());
    let another = async { while !place.echoes(CAMERA.v6).await {} };
    within("room for another flow", another).await;
    drop(flows);
    place.holds_again(before).await;
    println!("anonymous memory: {} KiB after all of them have ended", anonymous_memory(&place));
}

/// The flows that the sidecar takes, which keeps room for as many flows of clients: fewer where nobody lets it open enough files.
fn taken() -> usize {
    let files = getrlimit(Resource::Nofile).maximum;
    flows_within(files, MOST) as usize
}

/// The anonymous memory of the sidecar's process, in KiB.
fn anonymous_memory(place: &Place) -> u64 {
    let memory = fs::read_to_string(format!("/proc/{}/smaps_rollup", place.sidecar().id())).unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("Anonymous:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
