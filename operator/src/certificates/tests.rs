use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::authority::Authority;
use super::*;
use crate::fixtures::{ApiServer, config};

const OWN: &str = "/api/v1/namespaces/shekara-system/secrets/shekara-tls";
const GIVEN: &str = "/api/v1/namespaces/shekara-system/secrets/org-ca";

fn of_secret() -> Config {
    Config { authority_secret: Some("org-ca".into()), ..config() }
}

fn another() -> Authority {
    Authority::create(Timestamp::now()).unwrap()
}

fn secret(authority: &Authority) -> Value {
    let data = json!({"tls.crt": STANDARD.encode(authority.certificate_pem()), "tls.key": STANDARD.encode(authority.key_pem())});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "org-ca"}, "type": "kubernetes.io/tls", "data": data})
}

fn trusted(certificates: &Certificates) -> Vec<String> {
    certificates.authorities().borrow().clone()
}

fn issuer(certificates: &Certificates) -> String {
    certificates.look_at_serving().unwrap();
    certificates.serving.current.read().issuer.clone()
}

#[tokio::test]
async fn what_is_replaced_in_the_secret_is_taken_up_by_every_replica_and_both_are_trusted() {
    let (a, b) = (another(), another());
    let (server, client) = ApiServer::start(vec![(GIVEN.to_owned(), secret(&a))]).await;
    let mut leader = Certificates::establish(client.clone(), &of_secret()).await.unwrap();
    let mut other = Certificates::establish(client, &of_secret()).await.unwrap();
    assert_eq!((trusted(&leader), trusted(&other)), (vec![a.certificate_pem().to_owned()], trusted(&leader)));

    server.put(GIVEN, secret(&b));
    other.look_at_authorities(false).await.unwrap();
    assert_eq!(trusted(&other), trusted(&leader), "the replica that leads says when");
    leader.look_at_authorities(true).await.unwrap();
    other.look_at_authorities(false).await.unwrap();
    let both = vec![b.certificate_pem().to_owned(), a.certificate_pem().to_owned()];
    assert_eq!((trusted(&leader), trusted(&other)), (both.clone(), both));
    // not before everybody has heard of its successor
    assert_eq!((issuer(&leader), issuer(&other)), (a.certificate_pem().to_owned(), a.certificate_pem().to_owned()));
}

#[tokio::test]
async fn what_cannot_be_used_leaves_the_one_from_before_in_use() {
    let (a, b) = (another(), another());
    let (server, client) = ApiServer::start(vec![(GIVEN.to_owned(), secret(&a))]).await;
    let mut leader = Certificates::establish(client, &of_secret()).await.unwrap();
    let mut mixed = secret(&a);
    mixed["data"]["tls.key"] = secret(&b)["data"]["tls.key"].clone();
    server.put(GIVEN, mixed);
    leader.look_at_authorities(true).await.unwrap();
    assert_eq!((trusted(&leader), issuer(&leader)), (vec![a.certificate_pem().to_owned()], a.certificate_pem().to_owned()));
}

#[tokio::test]
async fn a_replica_with_the_configuration_before_goes_on_with_what_a_new_one_has_put_there() {
    let a = another();
    let (server, client) = ApiServer::start(vec![(GIVEN.to_owned(), secret(&a))]).await;
    let mut before = Certificates::establish(client.clone(), &config()).await.unwrap();
    let own = trusted(&before)[0].clone();
    let after = Certificates::establish(client, &of_secret()).await.unwrap();
    before.look_at_authorities(true).await.unwrap();
    let both = vec![a.certificate_pem().to_owned(), own.clone()];
    assert_eq!((trusted(&before), trusted(&after)), (both.clone(), both));
    assert_eq!((issuer(&before), issuer(&after)), (own.clone(), own));
    assert!(server.object(OWN)["data"].get("ca.key").is_none());
}

#[tokio::test]
async fn another_authority_of_the_operators_own_ends_the_replica_that_leads() {
    let (server, client) = ApiServer::start(vec![]).await;
    let mut leader = Certificates::establish(client.clone(), &config()).await.unwrap();
    server.put(OWN, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shekara-tls"}}));
    Certificates::establish(client, &config()).await.unwrap();
    assert!(matches!(leader.look_at_authorities(true).await, Err(CertificatesError::OtherAuthority)));
}

#[tokio::test]
async fn a_replica_that_may_no_longer_read_the_secret_goes_on_with_what_a_new_one_has_put_there() {
    let a = another();
    let (server, client) = ApiServer::start(vec![(GIVEN.to_owned(), secret(&a))]).await;
    let mut before = Certificates::establish(client.clone(), &of_secret()).await.unwrap();
    server.put(GIVEN, json!({"not": ["a secret"], "metadata": 1}));
    let after = Certificates::establish(client, &config()).await.unwrap();
    before.look_at_authorities(true).await.unwrap();
    assert_eq!((trusted(&before).len(), trusted(&before)), (2, trusted(&after)));
    assert_eq!(issuer(&before), a.certificate_pem(), "it knows the key that sidecars have heard of");
    assert_eq!(issuer(&after), trusted(&after)[0], "the new one does not");
}
