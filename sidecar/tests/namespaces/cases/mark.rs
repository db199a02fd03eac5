//! The one way out: the socket mark.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::SHOP;

/// Takes the mark and sends a datagram.
const TAKE: &str = "
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 36, 0x5ba1)  # SO_MARK
s.sendto(b'face', (sys.argv[1], 9999))
";

#[tokio::test]
async fn an_application_that_becomes_root_cannot_take_the_mark() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    let take = ["-c", TAKE, SHOP.v4];
    for actor in [Actor::App, Actor::RootApp] {
        let said = place.command(actor, "/usr/bin/python3", &take).await;
        said.failed();
        assert!(said.error.contains("PermissionError: [Errno 1]"), "{actor:?}: {said:?}");
    }
    // root of a user namespace of its own has every capability there, and none over the pod's network
    let said =
        place.command(Actor::App, "unshare", &[&["--user", "--map-root-user", "/usr/bin/python3"], &take[..]].concat()).await;
    said.failed();
    assert!(!place.reached(SHOP.v4).await);
    // What admission refuses would open the way: so it is the capability that closes it, and nothing by chance.
    assert!(place.command(Actor::RawApp, "/usr/bin/python3", &take).await.ok);
    assert!(place.reached(SHOP.v4).await);
}

#[tokio::test]
async fn the_sidecars_user_has_no_way_out_of_its_own() {
    let mut place = Place::open();
    let url = format!("http://{}/", SHOP.v4);
    place.curl_as(Actor::RootApp, &[&url]).await.served_by(SHOP.v4);
    place.enforce(&[document()]).await;
    place.curl_as(Actor::RootApp, &[&url]).await.failed();
    assert!(!place.reached(SHOP.v4).await);
}

#[tokio::test]
async fn a_proxy_that_may_not_mark_says_so_and_does_not_start() {
    let mut place = Place::open();
    place.init().await;
    place.run_as(Actor::RootApp);
    let sidecar = place.sidecar.as_mut().unwrap();
    assert!(!sidecar.ended().await.success());
    let said = sidecar.said();
    assert!(said.contains("NET_RAW") && said.contains("may not mark"), "{said}");
}
