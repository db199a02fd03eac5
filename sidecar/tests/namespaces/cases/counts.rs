//! Counted bytes are the bytes that arrived: to the byte, however a flow ends.

use std::net::SocketAddr;
use std::time::Duration;

use shekara_policy::record::{End, FlowRecord};
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::document::{document, document_without};
use crate::place::Place;
use crate::wait::within;
use crate::world::{CAMERA, SHOP, listen};

/// The port of the cameras that the document lists, where this server takes the echo's place.
const PORT: u16 = 1884;

/// More than the kernels on both sides take while nobody reads.
const MUCH: usize = 64 << 20;

/// More than a server takes that has room for a [`LITTLE`], and less than the sidecar's kernel takes for it at first.
const SOME: usize = 24 << 10;

/// Room of a server, in bytes, for what it has not read.
const LITTLE: usize = 2048;

/// Longer than the sidecar takes to carry what is there.
const MOMENT: Duration = Duration::from_millis(500);

/// A server that accepts one flow and reads it only when it is told to.
struct Stalled {
    listener: TcpListener,
}

impl Stalled {
    fn start(place: &Place) -> Self {
        let here = SocketAddr::new(CAMERA.v6.parse().unwrap(), PORT);
        Self { listener: listen(place.world.inside(|| std::net::TcpListener::bind(here).unwrap())) }
    }

    async fn accept(&self) -> TcpStream {
        within("a flow at the server", self.listener.accept()).await.unwrap().0
    }
}

/// Reads to the end, whatever it is, and says how many bytes there were.
async fn drain(mut server: TcpStream) -> u64 {
    let mut arrived = 0;
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = within("more or the end", server.read(&mut buffer)).await {
        arrived += length as u64;
    }
    arrived
}

/// Writes until nobody takes more.
async fn press(client: &mut TcpStream) {
    let piece = vec![7; 1 << 20];
    let mut written = 0;
    while written < MUCH {
        match tokio::time::timeout(Duration::from_millis(300), client.write(&piece)).await {
            Ok(length) => written += length.unwrap(),
            Err(_) => return,
        }
    }
    panic!("{MUCH} bytes were taken though nobody reads");
}

async fn of_port(place: &Place) -> FlowRecord {
    place.record(|record| record.port == PORT).await
}

async fn pressed() -> (Place, Stalled, TcpStream, TcpStream) {
    let (place, stalled, mut client, server) = begun(None).await;
    press(&mut client).await;
    (place, stalled, client, server)
}

/// A flow to a server with so much room, where it is not as much as the kernel gives.
async fn begun(room: Option<usize>) -> (Place, Stalled, TcpStream, TcpStream) {
    let mut place = Place::open();
    let stalled = Stalled::start(&place);
    if let Some(room) = room {
        SockRef::from(&stalled.listener).set_recv_buffer_size(room).unwrap();
    }
    let mut listed = document();
    for route in listed.routes.iter_mut().filter(|route| route.recipient == "cameras") {
        route.endpoints.iter_mut().for_each(|endpoint| endpoint.ports = endpoint.ports.iter().copied().chain([PORT]).collect());
    }
    place.enforce(&[listed]).await;
    let (client, server) = tokio::join!(place.dial(CAMERA.v6, PORT), stalled.accept());
    (place, stalled, client.unwrap(), server)
}

#[tokio::test]
async fn of_a_flow_that_is_revoked_what_the_kernel_kept_does_not_count() {
    let (place, _stalled, client, server) = pressed().await;
    place.api().set(&[document_without("cameras")]);
    let record = of_port(&place).await;
    assert_eq!(record.end, End::PolicyChanged);
    let arrived = drain(server).await;
    assert!(arrived > 0);
    assert_eq!(record.bytes_out, arrived, "{record:?}");
    drop(client);
}

#[tokio::test]
async fn of_a_flow_whose_client_dies_what_the_kernel_kept_does_not_count() {
    let (place, _stalled, client, server) = pressed().await;
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let record = of_port(&place).await;
    assert_eq!(record.end, End::Broken);
    assert_eq!(record.bytes_out, drain(server).await, "{record:?}");
}

/// Both of its ends are done, and the kernel still has what it has not sent.
#[tokio::test]
async fn of_a_flow_whose_ends_are_done_nothing_more_leaves_when_it_is_revoked() {
    let (place, _stalled, mut client, mut server) = begun(Some(LITTLE)).await;
    client.write_all(&[7; SOME]).await.unwrap();
    client.shutdown().await.unwrap();
    server.shutdown().await.unwrap();
    assert_eq!(within("the server's end", client.read(&mut [0; 1])).await.unwrap(), 0);
    tokio::time::sleep(MOMENT).await;
    place.api().set(&[document_without("cameras")]);
    let record = of_port(&place).await;
    assert_eq!(record.end, End::PolicyChanged, "{record:?}");
    let arrived = drain(server).await;
    assert!((1..SOME as u64).contains(&arrived), "{arrived} bytes arrived");
    assert_eq!(record.bytes_out, arrived, "{record:?}");
}

#[tokio::test]
async fn a_flow_that_ends_well_counts_every_byte_both_ways() {
    let (place, _stalled, mut client, mut server) = pressed().await;
    let (arrived, sent) = tokio::join!(
        async {
            let mut buffer = vec![0; 256 * 1024];
            let mut arrived = 0;
            loop {
                match within("more or the end", server.read(&mut buffer)).await.unwrap() {
                    0 => break,
                    length => arrived += length as u64,
                }
            }
            server.write_all(&[9; 12_345]).await.unwrap();
            server.shutdown().await.unwrap();
            arrived
        },
        async {
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            within("the answer", client.read_to_end(&mut answer)).await.unwrap();
            answer.len() as u64
        }
    );
    drop(client);
    let record = of_port(&place).await;
    assert_eq!((record.end, record.bytes_out, record.bytes_in), (End::Completed, arrived, sent), "{record:?}");
    assert_eq!(sent, 12_345);
    // the first denial of a kind is told at once
    place.curl(&[&format!("http://{}/", SHOP.v4)]).await.failed();
    let checkpoint = place.checkpoint(|checkpoint| checkpoint.totals.iter().any(|total| total.bytes_in == sent)).await;
    assert!(checkpoint.totals.iter().any(|total| total.bytes_out == arrived), "{checkpoint:?}");
}
