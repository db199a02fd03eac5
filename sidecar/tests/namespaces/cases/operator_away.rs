//! The operator is not there.

use std::time::Instant;

use shekara_policy::Reason;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::actor::Actor;
use crate::client;
use crate::document::{document, document_without};
use crate::place::{Place, TOKEN};
use crate::policy_api::PolicyApi;
use crate::wait::within;
use crate::world::{CAMERA, CLINIC, ECHO};

#[tokio::test]
async fn flows_go_on_by_the_last_documents_and_new_ones_come_when_it_is_back() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.api().token(TOKEN).await;
    let mut live = place.dial(CAMERA.v6, ECHO).await.unwrap();
    place.api = None;
    live.write_all(b"face").await.unwrap();
    within("an echo", live.read_exact(&mut [0; 4])).await.unwrap();
    let clinic = format!("https://{}/", CLINIC.name);
    place.curl(&["-4", &clinic]).await.served_by(CLINIC.v4);
    assert!(place.sidecar_command(Actor::Proxy, "ready").await.ok);

    // The kubelet has replaced the token in the meantime.
    std::fs::write(place.path("token"), "token-two\n").unwrap();
    let without = document_without("clinic");
    place.api = Some(PolicyApi::start(&place.world, std::slice::from_ref(&without)));
    place.checkpoint(|checkpoint| checkpoint.documents == [without.digest().unwrap()]).await;
    place.api().token("token-two").await;
    place.curl(&["--resolve", &format!("{}:443:{}", CLINIC.name, CLINIC.v4), &clinic]).await.failed();
    within("an echo", async {
        live.write_all(b"face").await.unwrap();
        live.read_exact(&mut [0; 4]).await.unwrap();
    })
    .await;
}

/// No packet says that the operator is gone: its node has failed, or something between drops everything.
#[tokio::test]
async fn an_operator_that_falls_silent_is_noticed() {
    let mut place = Place::open();
    place.enforce(&[document()]).await;
    place.checkpoint(|_| true).await;
    let nft = async |rules: &[&str]| {
        let said =
            client::run(tokio::process::Command::new("ip").args(["netns", "exec", &place.world.name, "nft"]).args(rules)).await;
        assert!(said.ok, "{said:?}");
    };
    nft(&["add table inet silence; add chain inet silence in { type filter hook input priority 0; }; add rule inet silence in tcp dport 8443 drop"]).await;
    let start = Instant::now();
    place.said("the last documents stay in force").await;
    println!("a silent operator was noticed after {:?}", start.elapsed());
    place.curl(&["-4", &format!("https://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    nft(&["delete table inet silence"]).await;
    let without = document_without("clinic");
    place.api().set(std::slice::from_ref(&without));
    place.checkpoint(|checkpoint| checkpoint.documents == [without.digest().unwrap()]).await;
}

#[tokio::test]
async fn a_pod_that_starts_meanwhile_is_not_ready_and_lets_nothing_out() {
    let mut place = Place::open();
    place.curl(&["-4", &format!("http://{}/", CLINIC.name)]).await.served_by(CLINIC.v4);
    place.sniffer.forget(&place.pod).await;
    let questions = place.questions.borrow().len();
    place.init().await;
    place.run();
    place.live().await;
    let ready = place.sidecar_command(Actor::Proxy, "ready").await;
    ready.failed();
    assert!(
        ready.error.contains("there is no policy document") || ready.error.contains(Reason::DocumentMissing.sentence()),
        "{ready:?}"
    );
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.failed();
    place.curl(&[&format!("http://{}/", CLINIC.name)]).await.failed();
    place.record(|record| matches!(record.reason, Some(Reason::NoDocument | Reason::DocumentMissing))).await;
    assert!(!place.reached(CLINIC.v4).await && !place.reached(CLINIC.v6).await && !place.reached(CAMERA.v4).await);
    let asked = place.questions.borrow()[questions..].to_vec();
    assert!(asked.iter().all(|name| name == crate::world::POLICY_API_NAME), "{asked:?}");
    // and becomes so when it is there
    place.api = Some(PolicyApi::start(&place.world, &[document()]));
    place.ready().await;
    place.curl(&[&format!("http://{}/", CAMERA.v4)]).await.served_by(CAMERA.v4);
}

#[tokio::test]
async fn a_policy_api_of_another_authority_is_not_believed() {
    let mut place = Place::open();
    place.init().await;
    place.api = Some(PolicyApi::of_an_impostor(&place.world, &[document()]));
    place.run();
    place.said("no TLS with the policy API").await;
    place.sidecar_command(Actor::Proxy, "ready").await.failed();
    assert_eq!(place.api().tokens_seen(), 0, "the token must not be shown to it");
}
