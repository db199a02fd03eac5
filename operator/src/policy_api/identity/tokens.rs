//! Tokens, verified with the cluster's own keys: those that the API server publishes for everybody who wants to recognise the
//! tokens of service accounts (OpenID discovery). They are read once, and again when a token names a key that is not among them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use kube::Client;
use parking_lot::RwLock;
use serde::Deserialize;
use shekara_policy::exchange::AUDIENCE;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Identity, Rejected, verifier};

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/openid/v1/jwks";
/// How often the keys are asked for at most, whatever tokens name.
const PAUSE: Duration = Duration::from_secs(10);
/// By how much the clocks of the operator and of the API server may differ, in seconds.
const LEEWAY: u64 = 30;

/// The keys of the cluster.
pub(super) struct Tokens {
    client: Client,
    known: RwLock<Known>,
    asked: Mutex<Option<Instant>>,
}

#[derive(Default)]
struct Known {
    issuer: String,
    keys: HashMap<String, (Algorithm, DecodingKey)>,
}

/// What a token is, as far as the cluster's keys tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Genuine: of this pod, until then.
    Of(Identity, Timestamp),
    /// Of nobody.
    Rejected(Rejected),
    /// Signed with a key that is not known: only the API server can say.
    Unknown,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

/// What a token of a service account says, as far as it matters.
#[derive(Deserialize)]
struct Claims {
    exp: i64,
    #[serde(rename = "kubernetes.io")]
    bound: Option<Bound>,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    uid: String,
}

impl Tokens {
    pub(super) fn new(client: Client) -> Self {
        verifier::install();
        Self { client, known: RwLock::default(), asked: Mutex::default() }
    }

    /// Looks at a token; asks for the keys anew where it names one that is not known.
    pub(super) async fn look(&self, token: &str) -> Token {
        match self.judge(token) {
            Token::Unknown => {
                self.ask().await;
                self.judge(token)
            }
            judged => judged,
        }
    }

    fn judge(&self, token: &str) -> Token {
        self.known.read().judge(token)
    }

    /// Asks the API server for its keys, unless that was done a moment ago.
    async fn ask(&self) {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            return;
        }
        *asked = Some(Instant::now());
        match self.fetch().await {
            Ok(known) => {
                info!(issuer = known.issuer, keys = known.keys.len(), "the cluster's keys for tokens were read");
                *self.known.write() = known;
            }
            Err(problem) => {
                warn!(%problem, "the cluster's keys for tokens cannot be read; tokens are reviewed by the API server")
            }
        }
    }

    async fn fetch(&self) -> Result<Known, kube::Error> {
        let get = |path: &str| http::Request::get(path).body(vec![]).map_err(kube::Error::HttpError);
        let Discovery { issuer } = self.client.request(get(DISCOVERY)?).await?;
        let set: JwkSet = self.client.request(get(KEYS)?).await?;
        Ok(Known::new(issuer, &set))
    }
}

impl Known {
    /// The keys by which a token can be verified: those of a kind that API servers sign with.
    fn new(issuer: String, set: &JwkSet) -> Self {
        let key = |jwk: &Jwk| {
            let name = jwk.common.key_id.clone()?;
            let algorithm = match &jwk.algorithm {
                AlgorithmParameters::RSA(_) => Algorithm::RS256,
                AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => Algorithm::ES256,
                _ => return None,
            };
            Some((name, (algorithm, DecodingKey::from_jwk(jwk).ok()?)))
        };
        Self { issuer, keys: set.keys.iter().filter_map(key).collect() }
    }

    fn judge(&self, token: &str) -> Token {
        if self.keys.is_empty() {
            return Token::Unknown;
        }
        let Ok(header) = decode_header(token) else { return Token::Rejected(Rejected::NotAuthentic) };
        let key = header.kid.as_ref().and_then(|name| self.keys.get(name));
        let Some((algorithm, key)) = key else { return Token::Unknown };
        // never the algorithm that the token names: it is the key's
        let mut validation = Validation::new(*algorithm);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_required_spec_claims(&["exp", "aud", "iss"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        match decode::<Claims>(token, key, &validation) {
            Ok(data) => identity(data.claims),
            Err(problem) => {
                debug!(%problem, "a token is not authentic");
                Token::Rejected(Rejected::NotAuthentic)
            }
        }
    }
}

fn identity(claims: Claims) -> Token {
    let until = Timestamp::from_second(claims.exp).unwrap_or(Timestamp::MIN);
    match claims.bound {
        Some(Bound { namespace, serviceaccount, pod: Some(pod) }) => {
            Token::Of(Identity { namespace, service_account: serviceaccount.name, pod: pod.name, uid: pod.uid }, until)
        }
        _ => Token::Rejected(Rejected::NotBound),
    }
}

#[cfg(test)]
mod tests;
