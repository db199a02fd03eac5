//! The packet filter, as `shekara-init` sets it.

use crate::actor::Actor;
use crate::document::document;
use crate::place::Place;
use crate::world::SHOP;

const LIST: [&str; 4] = ["list", "table", "inet", "shekara"];

#[tokio::test]
async fn it_can_be_set_again_and_is_the_same() {
    let mut place = Place::open();
    place.init().await;
    let once = place.command(Actor::Init, "nft", &LIST).await;
    place.enforce(&[document()]).await;
    let url = format!("http://{}/", SHOP.v4);
    place.curl(&[&url]).await.failed();
    assert!(!place.reached(SHOP.v4).await);
    let twice = place.command(Actor::Init, "nft", &LIST).await;
    let rules = |said: &crate::client::Said| -> Vec<String> {
        said.out.lines().filter(|line| !line.contains("counter")).map(str::to_owned).collect()
    };
    assert_eq!(rules(&once), rules(&twice));
    // Without it the same request passes, so it is the filter that closes.
    place.remove_filter().await;
    place.curl(&[&url]).await.served_by(SHOP.v4);
}

#[tokio::test]
async fn without_the_capability_it_fails_and_says_so() {
    let place = Place::open();
    let said = place.sidecar_command(Actor::RootApp, "init").await;
    said.failed();
    assert!(said.error.contains("NET_ADMIN"), "{said:?}");
    let listed = place.command(Actor::Init, "nft", &LIST).await;
    assert!(!listed.ok, "there must be no table: {listed:?}");
}

#[tokio::test]
async fn an_application_cannot_remove_it() {
    let place = Place::open();
    place.init().await;
    for actor in [Actor::App, Actor::RootApp] {
        place.command(actor, "nft", &["flush", "ruleset"]).await.failed();
        place.command(actor, "nft", &["delete", "table", "inet", "shekara"]).await.failed();
    }
    assert!(place.command(Actor::Init, "nft", &LIST).await.ok);
}
