//! Flows to addresses without a name, outside and inside the cluster.

use shekara_policy::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::document::document;
use crate::place::Place;
use crate::wait::within;
use crate::world::{ARCHIVE, CAMERA, CLINIC, ECHO, METADATA, POLICY_API, PRIVATE, SHOP, STRANGER};

/// Whether a connection gives back what is sent.
async fn echoes(place: &Place, address: &str) -> bool {
    let Ok(mut stream) = place.dial(address, ECHO).await else { return false };
    let mut back = [0; 4];
    let echo = async {
        stream.write_all(b"face").await?;
        stream.read_exact(&mut back).await
    };
    within("an echo or an end", echo).await.is_ok() && &back == b"face"
}

#[tokio::test]
async fn a_literal_address_is_closed_even_that_of_a_listed_party() {
    let mut place = Place::open();
    let urls = [
        (format!("http://{}/", SHOP.v4), SHOP.v4),
        (format!("http://[{}]/", SHOP.v6), SHOP.v6),
        (format!("http://[::ffff:{}]/", SHOP.v4), SHOP.v4),
        (format!("http://{}/", CLINIC.v4), CLINIC.v4),
        (format!("http://[{}]/", CLINIC.v6), CLINIC.v6),
    ];
    for (url, address) in &urls {
        place.curl(&[url]).await.served_by(address);
    }
    place.enforce(&[document()]).await;
    for (url, address) in &urls {
        place.curl(&[url]).await.failed();
        let destination = address.parse().unwrap();
        let record = place.record(|record| record.destination == Some(destination)).await;
        assert!(matches!(record.reason, Some(Reason::NoName | Reason::UnlistedParty)), "{record:?}");
        assert!(!place.reached(address).await, "{url}");
    }
}

#[tokio::test]
async fn link_local_and_private_addresses_are_closed() {
    let mut place = Place::open();
    let urls = [METADATA, PRIVATE].map(|address| (format!("http://{address}/"), address));
    for (url, address) in &urls {
        place.curl(&[url]).await.served_by(address);
    }
    place.enforce(&[document()]).await;
    for (url, address) in &urls {
        place.curl(&[url]).await.failed();
        let destination = address.parse().unwrap();
        let record = place.record(|record| record.destination == Some(destination)).await;
        assert_eq!(record.reason, Some(Reason::ForbiddenAddress));
        assert!(!place.reached(address).await);
    }
}

#[tokio::test]
async fn tls_without_a_server_name_is_closed() {
    let mut place = Place::open();
    let to = format!("{}:443", CLINIC.v4);
    let arguments = ["s_client", "-connect", &to, "-noservername", "-brief"];
    let open = place.command(crate::actor::Actor::App, "openssl", &arguments).await;
    assert!(open.ok, "{open:?}");
    place.enforce(&[document()]).await;
    place.command(crate::actor::Actor::App, "openssl", &arguments).await.failed();
    let record = place.record(|record| record.port == 443).await;
    assert_eq!(record.reason, Some(Reason::NoName));
    assert!(!place.reached(CLINIC.v4).await);
}

#[tokio::test]
async fn a_listed_network_is_reached_by_literal_addresses() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.served_by(CAMERA.v4);
    assert!(echoes(&place, CAMERA.v6).await);
    assert!(!echoes(&place, CAMERA.v4).await, "the network is not listed on this port");
    let record = place.record(|record| record.dialled == Some(CAMERA.v6.parse().unwrap())).await;
    assert_eq!(record.rules[0].recipient, "cameras");
}

#[tokio::test]
async fn inside_the_cluster_only_what_is_listed_is_reached() {
    let mut place = Place::open();
    for address in [ARCHIVE, STRANGER] {
        assert!(echoes(&place, address).await);
    }
    place.enforce(&[document()]).await;
    assert!(echoes(&place, ARCHIVE).await);
    assert!(!echoes(&place, STRANGER).await);
    let record = place.record(|record| record.destination == Some(STRANGER.parse().unwrap())).await;
    assert_eq!(record.reason, Some(Reason::InClusterUnlisted));
    assert!(!place.reached(STRANGER).await);
    // the operator's own policy API is nobody's but the sidecar's
    place.curl(&["--insecure", &format!("https://{POLICY_API}:8443/v1/policy")]).await.failed();
    let record = place.record(|record| record.destination == Some(POLICY_API.parse().unwrap())).await;
    assert_eq!(record.reason, Some(Reason::InClusterUnlisted));
}
