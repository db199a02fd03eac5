//! A route that is bounded: to the byte, for all flows together, and through a restart of the sidecar.

use std::net::SocketAddr;

use serde_json::json;
use shekara_policy::record::{Decision, End};
use shekara_policy::{PolicyDocument, Reason};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{CAMERA, ECHO, MAPS, listen};

/// The port of a server that counts.
const COUNTED: u16 = 9000;

/// Room of a server, in bytes, for what it has not read: so little that the kernel cannot send at once what a test writes.
const LITTLE: usize = 2048;

/// A server abroad, and how many bytes have arrived there.
struct Counter {
    arrived: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Counter {
    fn start(place: &Place) -> Self {
        Self::on(listener(place))
    }

    /// One that has [`LITTLE`] room.
    fn slow(place: &Place) -> Self {
        let listener = listener(place);
        SockRef::from(&listener).set_recv_buffer_size(LITTLE).unwrap();
        Self::on(listener)
    }

    fn on(listener: TcpListener) -> Self {
        let (count, arrived) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut flows = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = count.clone();
                flows.spawn(async move {
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        count.send_modify(|count| *count += length as u64);
                    }
                });
            }
        });
        Self { arrived, _tasks: tasks }
    }

    /// Waits until so many bytes have arrived.
    async fn reach(&mut self, bytes: u64) {
        within("the bytes to arrive", self.arrived.wait_for(|arrived| *arrived >= bytes)).await.unwrap();
        assert_eq!(self.now(), bytes);
    }

    fn now(&self) -> u64 {
        *self.arrived.borrow()
    }
}

fn listener(place: &Place) -> TcpListener {
    let here = SocketAddr::new(MAPS.v4.parse().unwrap(), COUNTED);
    listen(place.world.inside(|| std::net::TcpListener::bind(here).unwrap()))
}

/// A map service abroad to which the holding claims to send no data.
fn bounded(bytes: u64) -> PolicyDocument {
    let mut document = document();
    let route = json!({"recipient": "maps", "data": [],
        "endpoints": [{"target": {"network": "198.51.100.0/24"}, "ports": [COUNTED], "protocol": "TCP"}],
        "constraints": [], "permits": [], "barred": null,
        "empty": {"approved": true, "terms": [{"standard": "kz", "home": ["KZ"], "atHome": "allowed", "abroad": {"bounded": bytes}}]}});
    document.routes.push(serde_json::from_value(route).unwrap());
    document
}

async fn maps(place: &Place) -> TcpStream {
    place.dial(MAPS.v4, COUNTED).await.unwrap()
}

/// Waits until the other side has broken the flow off.
async fn is_closed(stream: &mut TcpStream) {
    let mut byte = [0];
    let outcome = within("the flow to be closed", stream.read(&mut byte)).await;
    assert!(outcome.is_err(), "it was closed as if it were complete");
}

#[tokio::test]
async fn a_bound_closes_its_flows_to_the_byte_and_the_next_one_is_denied() {
    let mut place = Place::open();
    let mut counter = Counter::start(&place);
    place.enforce(&[bounded(10_000)]).await;
    let (mut first, mut second) = (maps(&place).await, maps(&place).await);
    first.write_all(&[1; 6000]).await.unwrap();
    counter.reach(6000).await;
    second.write_all(&[2; 6000]).await.unwrap();
    counter.reach(10_000).await;
    is_closed(&mut second).await;
    let record = place.record(|record| record.reason == Some(Reason::BudgetSpent)).await;
    assert_eq!((record.verdict, record.end, record.bytes_out), (Decision::Deny, End::Broken, 4000), "{record:?}");
    first.write_all(&[1]).await.unwrap();
    is_closed(&mut first).await;
    // whoever is refused at once may hear of it while connecting
    if let Some(mut third) = place.dial_unless_reset(MAPS.v4, COUNTED).await {
        is_closed(&mut third).await;
    }
    let record = place.record(|record| record.end == End::Refused && record.port == COUNTED).await;
    assert_eq!((record.reason, record.dialled, record.bytes_out), (Some(Reason::BudgetSpent), None, 0), "{record:?}");
    assert_eq!(counter.now(), 10_000);
    // what is bounded by nothing goes on
    let mut camera = place.dial(CAMERA.v6, ECHO).await.unwrap();
    camera.write_all(b"face").await.unwrap();
    within("an echo", camera.read_exact(&mut [0; 4])).await.unwrap();
}

/// How fast the kernel sends is no part of a bound.
#[tokio::test]
async fn what_a_bound_leaves_arrives_although_more_was_asked_for_before_it_was_sent() {
    let mut place = Place::open();
    let mut counter = Counter::slow(&place);
    place.enforce(&[bounded(20_000)]).await;
    let mut flow = maps(&place).await;
    flow.write_all(&[1; 24_000]).await.unwrap();
    is_closed(&mut flow).await;
    let record = place.record(|record| record.port == COUNTED).await;
    assert_eq!((record.reason, record.bytes_out), (Some(Reason::BudgetSpent), 20_000), "{record:?}");
    counter.reach(20_000).await;
}

#[tokio::test]
async fn flows_that_press_together_get_no_more_than_the_bound() {
    let mut place = Place::open();
    let mut counter = Counter::start(&place);
    place.enforce(&[bounded(1_000_000)]).await;
    let mut flows = JoinSet::new();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(maps(&place).await);
    }
    for mut stream in streams {
        flows.spawn(async move {
            let piece = vec![3; 70_000];
            while stream.write_all(&piece).await.is_ok() {}
        });
    }
    within("every flow to be closed", async { while flows.join_next().await.is_some() {} }).await;
    place.record(|record| record.sequence == 8).await;
    let carried = place.sidecar().carried(COUNTED);
    assert!(carried <= 1_000_000, "{carried} bytes left");
    // what left is what arrives, and the server may still be reading it
    counter.reach(carried).await;
}

#[tokio::test]
async fn a_bound_that_is_lowered_binds_the_flows_that_live() {
    let mut place = Place::open();
    let mut counter = Counter::start(&place);
    place.enforce(&[bounded(10_000)]).await;
    let mut flow = maps(&place).await;
    flow.write_all(&[1; 1000]).await.unwrap();
    counter.reach(1000).await;
    let lower = bounded(1500);
    place.api().set(std::slice::from_ref(&lower));
    // a flow of another route, which is told of the change too, says when it is in force
    let mut refused = place.dial(CAMERA.v6, ECHO).await.unwrap();
    let without = {
        let mut document = lower.clone();
        document.routes.retain(|route| route.recipient != "cameras");
        document
    };
    refused.write_all(b"face").await.unwrap();
    within("an echo", refused.read_exact(&mut [0; 4])).await.unwrap();
    place.api().set(&[without]);
    is_closed(&mut refused).await;
    flow.write_all(&[1; 1000]).await.unwrap();
    counter.reach(1500).await;
    is_closed(&mut flow).await;
    assert_eq!(counter.now(), 1500);
}

#[tokio::test]
async fn a_sidecar_that_starts_again_gives_nothing_twice() {
    let mut place = Place::open();
    let mut counter = Counter::start(&place);
    place.enforce(&[bounded(400_000)]).await;
    let mut flow = maps(&place).await;
    flow.write_all(&vec![1; 300_000]).await.unwrap();
    counter.reach(300_000).await;
    drop(flow);
    place.sidecar.as_mut().unwrap().stop().await;
    place.run();
    place.ready().await;
    let mut flow = place.dial(MAPS.v4, COUNTED).await.unwrap();
    // more than is left by any count: what was sent and what it was wrapped in
    let _ = flow.write_all(&vec![2; 300_000]).await;
    is_closed(&mut flow).await;
    let record = place.record(|record| record.port == COUNTED).await;
    assert_eq!(record.reason, Some(Reason::BudgetSpent));
    println!("{} of 100000 bytes were left after the restart", record.bytes_out);
    assert!(record.bytes_out <= 100_000 && counter.now() <= 400_000, "{record:?}");
}
