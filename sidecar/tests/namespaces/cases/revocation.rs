//! A permission that ends.

use std::process::Stdio;
use std::time::{Duration, Instant};

use shekara_policy::Reason;
use shekara_policy::record::{Decision, End};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::actor::Actor;
use crate::document::{document, document_without};
use crate::place::Place;
use crate::wait::within;
use crate::world::{BROKER, CAMERA, CLINIC, ECHO, TLS_ECHO};

/// A living TLS flow of openssl to the clinic.
struct Live {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Live {
    async fn open(place: &Place) -> Self {
        let mut command = Actor::App.command(&place.pod, "openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-servername", CLINIC.name, "-connect"]);
        command.arg(format!("{}:{TLS_ECHO}", CLINIC.v4)).arg("-CAfile").arg(place.path("authority.pem"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut live = Self { child, to, from };
        live.lives().await;
        live
    }

    async fn lives(&mut self) {
        self.to.write_all(b"face\n").await.unwrap();
        let mut line = String::new();
        within("an echo through the living flow", self.from.read_line(&mut line)).await.unwrap();
        assert_eq!(line, "face\n");
    }

    async fn ended(&mut self) {
        within("the client to end", self.child.wait()).await.unwrap();
    }
}

#[tokio::test]
async fn a_revoked_recipient_loses_its_living_flows_within_a_second() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let mut live = Live::open(&place).await;
    let mut camera = place.dial(CAMERA.v6, ECHO).await.unwrap();

    let start = Instant::now();
    place.api().set(&[document_without("clinic")]);
    live.ended().await;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "the flow lived on for {took:?}");
    println!("a living flow was closed {took:?} after the new document was sent");

    let record = place.record(|record| record.port == TLS_ECHO).await;
    assert_eq!((record.verdict, record.end), (Decision::Deny, End::PolicyChanged));
    assert_eq!(record.reason, Some(Reason::UnlistedParty));
    assert!(record.bytes_out > 0 && record.bytes_in > 0, "{record:?}");
    place
        .curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &format!("https://{}/", CLINIC.name)])
        .await
        .failed();
    // the flows of others live on
    camera.write_all(b"face").await.unwrap();
    within("an echo", camera.read_exact(&mut [0; 4])).await.unwrap();
}

#[tokio::test]
async fn opaque_flows_end_too_and_without_any_document_every_flow_does() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let resolve = ["-c", "import socket, sys; socket.getaddrinfo(sys.argv[1], 1)", BROKER.name];
    assert!(place.command(Actor::App, "/usr/bin/python3", &resolve).await.ok);
    let mut broker = place.dial(BROKER.v4, ECHO).await.unwrap();
    let mut camera = place.dial(CAMERA.v6, ECHO).await.unwrap();
    for stream in [&mut broker, &mut camera] {
        stream.write_all(b"face").await.unwrap();
        within("an echo", stream.read_exact(&mut [0; 4])).await.unwrap();
    }
    let start = Instant::now();
    place.api().set(&[document_without("broker")]);
    assert!(matches!(within("the end", broker.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    place.api().set(&[]);
    assert!(matches!(within("the end", camera.read(&mut [0; 1])).await, Ok(0) | Err(_)));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let record = place.record(|record| record.reason == Some(Reason::NoDocument)).await;
    assert_eq!(record.end, End::PolicyChanged);
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.failed();
}
