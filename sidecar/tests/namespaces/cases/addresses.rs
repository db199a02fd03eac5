//! Flows to addresses outside the cluster without a name.

use shekara_policy::Reason;

use crate::document::document;
use crate::place::Place;
use crate::world::{CAMERA, CLINIC, METADATA, PRIVATE, SHOP};

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
    assert!(place.echoes(CAMERA.v6).await);
    assert!(!place.echoes(CAMERA.v4).await, "the network is not listed on this port");
    let record = place.record(|record| record.dialled == Some(CAMERA.v6.parse().unwrap())).await;
    assert_eq!(record.rules[0].recipient, "cameras");
}
