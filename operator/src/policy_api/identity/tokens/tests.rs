use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// A key of 2048 bits that was thrown away, and a token that it signed as an API server does, which ends in the year 2100.
const MODULUS: &str = "1ckpQNOPV839DRI2MXAljfiH89AYhIgR63QZgHyZuPh7n0t2kv1t7c2PoafWnPeN3bn5vuIhtPWx6qVvVKUQD5P9tzHNRxYbQPTvRwg4GncJqEXlyjBvckwpbNkZ_ucm2fdU0ftge--yt50CEhybhiJGOd-bZTO9y3mF-Jt22bq3TUHqRet44eW8yMl6vMXkCobtxhA4e5-7EH5lKpPzRoeupQrJaD-k1258awU1cc_Z1uDjSwbZT-12k8WDqWCbEGKg2AA1ZeSHppeA7dQ7cAaXUIVz0oCEUG3wqbomKPSvR2rQayyzCFRv59hnkfqZGKNAaQKHcDlEDDQZlBv73w";
const RSA_TOKEN: &str = "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogInJzYS0xIn0.eyJpc3MiOiAiaHR0cHM6Ly9rdWJlcm5ldGVzLmRlZmF1bHQuc3ZjLmNsdXN0ZXIubG9jYWwiLCAiYXVkIjogWyJzaGVrYXJhIl0sICJleHAiOiA0MTAyNDQ0ODAwLCAibmJmIjogMTcwMDAwMDAwMCwgImlhdCI6IDE3MDAwMDAwMDAsICJzdWIiOiAic3lzdGVtOnNlcnZpY2VhY2NvdW50OmNhbWVyYXM6ZGVmYXVsdCIsICJrdWJlcm5ldGVzLmlvIjogeyJuYW1lc3BhY2UiOiAiY2FtZXJhcyIsICJwb2QiOiB7Im5hbWUiOiAicmVjb2duaXplci0xIiwgInVpZCI6ICJ1MSJ9LCAic2VydmljZWFjY291bnQiOiB7Im5hbWUiOiAiZGVmYXVsdCIsICJ1aWQiOiAiczEifX19.fjV0R1hvyd2L9f6xZt82mneZwQKL9AFyviJItHq8eIL0_NiEAORzuMrdR_r7-hF8RTmHRJV_l726ZMa11xYUTI-yD6YvpoLOwgqGS-iU2dq2g4zE8g1y-zHy5U8hxOZh8lbE4vhYTj98A5w6E9x4ruwn3mgTvCE1jbAv4PaVZumYmILt6sbSTHsoIA_z-HIkRIap4qAZQB2oqgdKLz4ZwuscyP2QnRujQ_QpfZstY75FyGrPmHCHLPsU1Nnzu76coMogjSrmsrmnoHFpnb2WIIgFiZyEKLtP34hDIhb3VLT9aPhRKdKN_KnhyAv74i3y_caEETWzbee5chHZq5UZLA";

/// A cluster with a key of each kind.
struct Cluster {
    key: EcdsaKeyPair,
    known: Known,
}

impl Cluster {
    fn new() -> Self {
        verifier::install();
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let point = key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let set = json!({"keys": [
            {"kty": "EC", "use": "sig", "alg": "ES256", "kid": "ec-1", "crv": "P-256", "x": x, "y": y},
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa-1", "n": MODULUS, "e": "AQAB"}
        ]});
        Self { key, known: Known::new(ISSUER.into(), &serde_json::from_value(set).unwrap()) }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn header() -> Value {
    json!({"alg": "ES256", "kid": "ec-1"})
}

fn claims() -> Value {
    let now = Timestamp::now().as_second();
    json!({
        "iss": ISSUER, "aud": ["shekara"], "exp": now + 3600, "nbf": now, "iat": now, "sub": "system:serviceaccount:cameras:default",
        "kubernetes.io": {"namespace": "cameras", "pod": {"name": "recognizer-1", "uid": "u1"}, "serviceaccount": {"name": "default", "uid": "s1"}}
    })
}

fn is_recognizer(token: &Token) -> bool {
    matches!(token, Token::Of(identity, _) if (identity.pod.as_str(), identity.uid.as_str(), identity.service_account.as_str()) == ("recognizer-1", "u1", "default"))
}

#[test]
fn a_bound_token_names_its_pod_whichever_kind_of_key_signed_it() {
    let cluster = Cluster::new();
    let token = cluster.known.judge(&cluster.sign(&header(), &claims()));
    assert!(is_recognizer(&token), "{token:?}");
    let token = cluster.known.judge(RSA_TOKEN);
    assert!(is_recognizer(&token), "{token:?}");
}

#[rstest]
#[case::ended("/exp", json!(1_700_000_000))]
#[case::not_yet("/nbf", json!(4_000_000_000u64))]
#[case::another_audience("/aud", json!(["https://kubernetes.default.svc"]))]
#[case::no_audience("/aud", json!(null))]
#[case::another_issuer("/iss", json!("https://elsewhere.example"))]
#[case::unbound("/kubernetes.io/pod", json!(null))]
#[case::of_no_service_account("/kubernetes.io", json!(null))]
fn a_genuine_token_that_is_not_meant_for_this_counts_for_nothing(#[case] pointer: &str, #[case] value: Value) {
    let cluster = Cluster::new();
    let mut claims = claims();
    *claims.pointer_mut(pointer).unwrap() = value;
    let token = cluster.known.judge(&cluster.sign(&header(), &claims));
    assert!(matches!(token, Token::Rejected(_)), "{token:?}");
}

#[test]
fn a_forged_token_counts_for_nothing_and_one_of_an_unknown_key_is_left_to_the_api_server() {
    let (cluster, stranger) = (Cluster::new(), Cluster::new());
    let rejected = Token::Rejected(Rejected::NotAuthentic);
    assert_eq!(cluster.known.judge(&stranger.sign(&header(), &claims())), rejected);
    for header in [
        json!({"alg": "none", "kid": "ec-1"}),
        json!({"alg": "HS256", "kid": "ec-1"}),
        json!({"alg": "RS256", "kid": "ec-1"}),
        json!({"alg": "ES256", "kid": "rsa-1"}),
    ] {
        assert_eq!(cluster.known.judge(&cluster.sign(&header, &claims())), rejected, "{header}");
    }
    let genuine = cluster.sign(&header(), &claims());
    for at in 0..genuine.len() {
        let mut altered = genuine.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        let token = cluster.known.judge(std::str::from_utf8(&altered).unwrap());
        assert!(!matches!(token, Token::Of(..)), "the byte {at} may be another one: {token:?}");
    }
    for token in ["", ".", "..", "a.b.c", "nonsense"] {
        assert_eq!(cluster.known.judge(token), rejected, "{token}");
    }
    assert_eq!(cluster.known.judge(&cluster.sign(&json!({"alg": "ES256", "kid": "ec-2"}), &claims())), Token::Unknown);
    assert_eq!(Known::default().judge(&genuine), Token::Unknown);
}
