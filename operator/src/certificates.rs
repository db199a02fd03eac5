//! TLS of the policy API and the webhook: a certificate authority that the operator makes once and keeps in a Secret, since
//! sidecars pin it for life, and serving certificates that each replica makes for itself and renews while it runs.

mod authority;
mod bundle;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{info, warn};

use crate::config::Config;
use crate::readiness::Gate;
use authority::{Authority, AuthorityError};
use bundle::Bundle;

const CERTIFICATE: &str = "ca.crt";
const KEY: &str = "ca.key";
/// How often the certificate and the webhook configuration are looked at.
const ROUND: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The Secret cannot be read or written.
    #[error("the Secret {name} cannot be {action}: {source}")]
    Secret {
        /// Its name.
        name: String,
        /// What was tried.
        action: &'static str,
        /// What the API server said.
        source: Box<kube::Error>,
    },
    /// The certificate authority or a certificate cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// rustls refuses the configuration.
    #[error("TLS cannot be configured: {0}")]
    Tls(#[source] rustls::Error),
}

/// The certificates of this replica.
pub(crate) struct Certificates {
    authority: Authority,
    names: Vec<String>,
    serving: Arc<Serving>,
    bundle: Bundle,
}

/// The serving certificate of the moment.
#[derive(Debug)]
struct Serving {
    current: RwLock<(Arc<CertifiedKey>, Timestamp)>,
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).0))
    }
}

impl Certificates {
    /// Adopts the certificate authority from the Secret, or makes one and keeps it there.
    pub(crate) async fn establish(client: Client, config: &Config) -> Result<Self, CertificatesError> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &config.namespace);
        let authority = authority_of(&secrets, &config.tls_secret).await?;
        let names = names(config);
        let serving = authority.issue(&names, Timestamp::now())?;
        let bundle = Bundle::new(client, &config.webhook_configuration, authority.certificate_pem());
        Ok(Self { authority, names, serving: Arc::new(Serving { current: RwLock::new(serving) }), bundle })
    }

    /// Those of a replica of a test, of a new authority.
    #[cfg(test)]
    pub(crate) fn of_a_test(client: Client, config: &Config) -> Self {
        let authority = Authority::create(Timestamp::now()).unwrap();
        let names = names(config);
        let serving = authority.issue(&names, Timestamp::now()).unwrap();
        let bundle = Bundle::new(client, &config.webhook_configuration, authority.certificate_pem());
        Self { authority, names, serving: Arc::new(Serving { current: RwLock::new(serving) }), bundle }
    }

    /// The certificate of the authority, in PEM.
    pub(crate) fn authority_pem(&self) -> String {
        self.authority.certificate_pem().to_owned()
    }

    /// The configuration of both servers.
    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let mut config =
            rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(&self.serving) as Arc<_>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Renews the serving certificate in time, and keeps the authority in the webhook configuration.
    pub(crate) async fn run(self, mut gate: Option<Gate>) -> Result<(), CertificatesError> {
        loop {
            let now = Timestamp::now();
            let renew = self.serving.current.read().unwrap_or_else(PoisonError::into_inner).1;
            if now >= renew {
                let renewed = self.authority.issue(&self.names, now)?;
                *self.serving.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
                info!("the serving certificate was renewed");
            }
            let written = self.bundle.write().await;
            match &written {
                Ok(()) => {
                    gate = gate.and_then(|gate| {
                        gate.open();
                        None
                    })
                }
                Err(problem) => warn!(%problem, "the webhook configuration does not have the certificate authority"),
            }
            tokio::time::sleep(if written.is_ok() { ROUND } else { ROUND / 10 }).await;
        }
    }
}

/// The names under which the servers are reached.
fn names(config: &Config) -> Vec<String> {
    let of = |service: &String| {
        let (namespace, domain) = (&config.namespace, config.cluster_domain.as_str());
        [
            format!("{service}.{namespace}.svc"),
            format!("{service}.{namespace}.svc.{domain}"),
            format!("{service}.{namespace}"),
            service.clone(),
        ]
    };
    [&config.policy_service, &config.webhook_service].into_iter().flat_map(of).collect()
}

/// The authority that is in the Secret, or a new one. Of two replicas that make one at a time, the second finds the Secret
/// there and adopts it.
async fn authority_of(secrets: &Api<Secret>, name: &str) -> Result<Authority, CertificatesError> {
    let failed = |action| move |source| CertificatesError::Secret { name: name.to_owned(), action, source: Box::new(source) };
    loop {
        let present = secrets.get_opt(name).await.map_err(failed("read"))?;
        if let Some(authority) = present.as_ref().map(adopt).transpose()?.flatten() {
            info!(secret = name, "the certificate authority was adopted");
            return Ok(authority);
        }
        let authority = Authority::create(Timestamp::now())?;
        let mut secret = present.unwrap_or_else(|| Secret {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            type_: Some("Opaque".into()),
            ..Secret::default()
        });
        let entries = [(CERTIFICATE, authority.certificate_pem()), (KEY, &authority.key_pem())];
        let entries = entries.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec())));
        secret.data.get_or_insert_default().extend(entries);
        let written = match secret.resource_version() {
            None => secrets.create(&PostParams::default(), &secret).await,
            Some(_) => secrets.replace(name, &PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => {
                info!(secret = name, "a certificate authority was made");
                return Ok(authority);
            }
            // another replica was faster: its authority is the one
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(problem) => return Err(failed("written")(problem)),
        }
    }
}

/// The authority in a Secret; none in one without entries. Half of one is an error: sidecars may pin what was there.
fn adopt(secret: &Secret) -> Result<Option<Authority>, AuthorityError> {
    let empty = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let text = |name: &str| data.get(name).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
    match (text(CERTIFICATE), text(KEY)) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Authority::from_pem(certificate, &key).map(Some),
        _ => Err(AuthorityError::Incomplete),
    }
}
