//! Flows that name their party, by TLS or HTTP.

use std::time::Duration;

use shekara_policy::Reason;
use shekara_policy::record::{Decision, End};

use crate::document::document;
use crate::place::Place;
use crate::resolver::ALIAS;
use crate::world::{CLINIC, Host, MAPS, SHOP, SPLIT, SPLIT_ABROAD, SPLIT_AT_HOME};

/// curl's words for "this name is at that address".
fn at(name: &str, port: u16, address: &str) -> String {
    let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    format!("{name}:{port}:{address}")
}

fn urls(host: &Host) -> [(String, u16); 2] {
    [(format!("https://{}/", host.name), 443), (format!("http://{}/", host.name), 80)]
}

#[tokio::test]
async fn listed_parties_are_reached_by_tls_and_http_over_both_families() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    for (family, address) in [("-4", CLINIC.v4), ("-6", CLINIC.v6)] {
        for scheme in ["https", "http"] {
            let url = format!("{scheme}://{}/private/path?private=query", CLINIC.name);
            place.curl(&[family, "--header", "X-Private: private", &url]).await.served_by(address);
            let dialled = address.parse().unwrap();
            let port = if scheme == "https" { 443 } else { 80 };
            let record = place.record(|record| record.dialled == Some(dialled) && record.port == port).await;
            assert_eq!((record.verdict, record.reason), (Decision::Allow, None));
            // curl breaks TLS off once it has the whole answer
            assert!(record.end == End::Completed || scheme == "https", "{record:?}");
            assert_eq!((record.name.as_deref(), record.country.unwrap().as_str()), (Some(CLINIC.name), "KZ"));
            assert_eq!((record.rules[0].holding.as_str(), record.rules[0].recipient.as_str()), ("city/faces", "clinic"));
            assert!(record.bytes_out > 80 && record.bytes_in > 40, "{record:?}");
        }
    }
    // an alias, by a wildcard
    place.curl(&["-4", &format!("http://{ALIAS}/")]).await.served_by(CLINIC.v4);
    let said = place.sidecar().said();
    assert!(!said.contains("private"), "no path, query or header is ever written: {said}");
}

#[tokio::test]
async fn an_unlisted_party_is_closed_at_once_and_never_sees_a_packet() {
    let mut place = Place::open();
    let attempts = || SHOP.addresses().into_iter().flat_map(|address| urls(&SHOP).map(|(url, port)| (url, port, address)));
    for (url, port, address) in attempts() {
        let address = address.to_string();
        place.curl(&["--resolve", &at(SHOP.name, port, &address), &url]).await.served_by(&address);
        assert!(place.reached(&address).await);
    }
    place.enforce(&[document()]).await;
    for (url, port, address) in attempts() {
        let said = place.curl(&["--resolve", &at(SHOP.name, port, &address.to_string()), &url]).await;
        said.failed();
        assert!(said.took < Duration::from_secs(2), "{said:?}");
        let record = place.record(|record| record.destination == Some(address) && record.port == port).await;
        assert_eq!((record.reason, record.end, record.dialled), (Some(Reason::UnlistedParty), End::Refused, None));
        assert_eq!(record.name.as_deref(), Some(SHOP.name));
        assert!(!place.reached(&address.to_string()).await);
    }
    // a port that no recipient has: not even a byte is awaited
    let said = place.curl(&["--resolve", &at(SHOP.name, 1884, SHOP.v4), &format!("http://{}:1884/", SHOP.name)]).await;
    said.failed();
    assert_eq!(place.record(|record| record.port == 1884).await.reason, Some(Reason::UnlistedParty));
    assert!(!place.reached(SHOP.v4).await);
}

#[tokio::test]
async fn a_listed_name_at_another_address_never_leads_there() {
    let mut place = Place::open();
    let elsewhere = [(SHOP.v4, CLINIC.v4), (SHOP.v6, CLINIC.v6), (MAPS.v4, CLINIC.v4)];
    for (wrong, _) in elsewhere {
        for (url, port) in urls(&CLINIC) {
            place.curl(&["--resolve", &at(CLINIC.name, port, wrong), &url]).await.served_by(wrong);
        }
    }
    // a hosts file of the application's own
    place.hosts(&format!("{} {}", SHOP.v4, CLINIC.name));
    place.curl(&[&format!("http://{}/", CLINIC.name)]).await.served_by(SHOP.v4);
    place.enforce(&[document()]).await;
    place.curl(&[&format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    for (wrong, right) in elsewhere {
        for (url, port) in urls(&CLINIC) {
            place.curl(&["--resolve", &at(CLINIC.name, port, wrong), &url]).await.served_by(right);
        }
        assert!(!place.reached(wrong).await, "{wrong}");
    }
}

#[tokio::test]
async fn a_listed_party_abroad_is_closed() {
    let mut place = Place::open();
    let attempts =
        || [("-4", MAPS.v4), ("-6", MAPS.v6)].into_iter().flat_map(|way| urls(&MAPS).map(|(url, port)| (way, url, port)));
    for ((family, address), url, _) in attempts() {
        place.curl(&[family, &url]).await.served_by(address);
    }
    place.enforce(&[document()]).await;
    for ((family, address), url, port) in attempts() {
        place.curl(&[family, &url]).await.failed();
        let destination = address.parse().unwrap();
        let record = place.record(|record| record.destination == Some(destination) && record.port == port).await;
        assert_eq!((record.reason, record.country.unwrap().as_str()), (Some(Reason::CrossBorder), "DE"));
        assert_eq!(record.standard.as_deref(), Some("kz"));
        assert!(!place.reached(address).await);
    }
}

#[tokio::test]
async fn of_addresses_at_home_and_abroad_only_those_at_home_are_dialled() {
    let mut place = Place::open();
    let url = format!("https://{SPLIT}/");
    let abroad = at(SPLIT, 443, SPLIT_ABROAD);
    place.curl(&["--resolve", &abroad, &url]).await.served_by(SPLIT_ABROAD);
    place.enforce(&[document()]).await;
    place.curl(&[&url]).await.served_by(SPLIT_AT_HOME);
    // the application insists on the other one
    place.curl(&["--resolve", &abroad, &url]).await.served_by(SPLIT_AT_HOME);
    assert!(!place.reached(SPLIT_ABROAD).await);
}
