//! TLS of the policy API and the webhook: a certificate authority that the operator makes and keeps in a Secret, or that somebody
//! else keeps in another one, whose successor sidecars learn of before it issues, and serving certificates that each replica makes
//! for itself and renews while it runs.

mod authorities;
mod authority;
mod bundle;
mod generation;
mod given;
mod private_key;
mod source;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use parking_lot::RwLock;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::Config;
use crate::kept::{Kept, SecretError};
use crate::ledger::store::Resumed;
use crate::readiness::Gate;
use authorities::{Authorities, Plan, Wanted, When};
use authority::AuthorityError;
use bundle::Bundle;
use source::Source;

/// How often the certificates and the webhook configuration are looked at.
const ROUND: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The Secret cannot be read or written.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The certificate authority or a certificate cannot be made or used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Somebody put another authority there: the process ends, and begins again with it.
    #[error("the Secret of the certificate authority holds another one than before; it is adopted by the next start")]
    OtherAuthority,
}

/// The certificates of this replica.
pub(crate) struct Certificates {
    authorities: Authorities,
    kept: Kept,
    source: Option<Source>,
    plan: Plan,
    names: Vec<String>,
    serving: Arc<Serving>,
    bundle: Bundle,
    counting: watch::Sender<Vec<String>>,
    paths: watch::Sender<Vec<String>>,
}

/// The serving certificate of the moment.
#[derive(Debug)]
struct Serving {
    current: RwLock<Served>,
}

#[derive(Debug)]
struct Served {
    certificate: Arc<CertifiedKey>,
    renew: Timestamp,
    /// The certificate of who issued it.
    issuer: String,
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().certificate))
    }
}

impl Certificates {
    /// Adopts the certificate authority from the Secret, or makes one and keeps it there. Where it comes from a Secret of somebody
    /// else, waits until that has one.
    pub(crate) async fn establish(client: Client, config: &Config) -> Result<Self, CertificatesError> {
        let kept = Kept::new(client.clone(), &config.namespace, &config.tls_secret);
        let source = |secret: &String| Source::new(client.clone(), &config.namespace, secret, names(config));
        let mut source = config.authority_secret.as_ref().map(source);
        let authorities = authorities_of(&kept, source.as_mut(), &plan(config)).await?;
        Self::of(client, config, kept, source, authorities)
    }

    fn of(
        client: Client,
        config: &Config,
        kept: Kept,
        source: Option<Source>,
        authorities: Authorities,
    ) -> Result<Self, CertificatesError> {
        let (names, plan) = (names(config), plan(config));
        let served = serve(&authorities, &plan, &names, Timestamp::now())?.ok_or(AuthorityError::NoKey)?;
        Ok(Self {
            counting: watch::Sender::new(authorities.pems()),
            paths: watch::Sender::new(authorities.webhook_paths()),
            bundle: Bundle::new(client, &config.webhook_configuration),
            serving: Arc::new(Serving { current: RwLock::new(served) }),
            authorities,
            kept,
            source,
            plan,
            names,
        })
    }

    /// Those of a replica of a test, of a new authority.
    #[cfg(test)]
    pub(crate) fn of_a_test(client: Client, config: &Config) -> Self {
        let kept = Kept::new(client.clone(), &config.namespace, &config.tls_secret);
        let authorities = Authorities::first(&Wanted::Own { asked: false }, Timestamp::now()).unwrap();
        Self::of(client, config, kept, None, authorities).unwrap()
    }

    /// The certificates of the authorities that count, in PEM, now and from now on.
    pub(crate) fn authorities(&self) -> watch::Receiver<Vec<String>> {
        self.counting.subscribe()
    }

    /// The paths at which the API server may ask the webhook, now and from now on.
    pub(crate) fn webhook_paths(&self) -> watch::Receiver<Vec<String>> {
        self.paths.subscribe()
    }

    /// The configuration of both servers.
    pub(crate) fn server_config(&self) -> Arc<rustls::ServerConfig> {
        let mut config =
            rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::clone(&self.serving) as Arc<_>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }

    /// Replaces the authority and renews the serving certificate in time, and keeps the authorities that count in the webhook
    /// configuration.
    pub(crate) async fn run(mut self, mut gate: Option<Gate>, resumed: Resumed) -> Result<(), CertificatesError> {
        loop {
            match self.look_at_authorities(resumed.is_so()).await {
                Err(CertificatesError::Secret(problem)) => {
                    warn!(%problem, "the certificate authority is not looked after for now")
                }
                other => other?,
            }
            self.look_at_serving()?;
            let path = self.authorities.webhook_path(&self.plan, Timestamp::now());
            let written = self.bundle.write(&self.authorities.pems().concat(), path).await;
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

    /// The Secret has what is in memory, and what is in memory is of its time.
    async fn look_at_authorities(&mut self, leads: bool) -> Result<(), CertificatesError> {
        let present = self.kept.read().await?;
        let asked = present.as_ref().is_some_and(|present| present.rotate);
        let wanted = match &mut self.source {
            None => Wanted::Own { asked },
            Some(source) => source.read().await.map_or(Wanted::Missing, Wanted::Given),
        };
        let now = Timestamp::now();
        let there = present.as_ref().map(|present| Authorities::read(&present.data, now)).transpose()?.flatten();
        self.authorities.learn(&wanted);
        if let Some(mut there) = there.filter(|there| there.pems() != self.authorities.pems()) {
            // An authority of the operator's own is replaced by the replica that leads, and by nobody else. One that comes from
            // elsewhere is also put there by a replica that starts, with this configuration or another one.
            if leads && self.source.is_none() && !there.has_given() {
                return Err(CertificatesError::OtherAuthority);
            }
            there.learn_from(&self.authorities);
            there.learn(&wanted);
            let authorities = there.pems().len();
            if leads {
                warn!(authorities, "somebody else put other certificate authorities into the Secret, and they were adopted");
            } else {
                info!(authorities, "other certificate authorities were adopted");
            }
            self.change(there);
        }
        if !leads {
            return Ok(());
        }
        if asked && let Some(source) = &self.source {
            warn!(secret = source.name(), "the certificate authority comes from another Secret, and is replaced there alone");
        }
        let mut next = self.authorities.clone();
        let stepped = next.step(&self.plan, &wanted, When::Running, now)?;
        if !stepped && !asked && present.as_ref().is_some_and(|present| present.data == next.data()) {
            return Ok(());
        }
        // written before anybody hears of it
        if self.kept.write(&next.data(), present.as_ref()).await? {
            info!(stepped, authorities = next.pems().len(), "the Secret of the certificate authority was written");
            self.change(next);
        }
        Ok(())
    }

    fn change(&mut self, authorities: Authorities) {
        self.authorities = authorities;
        self.counting.send_if_modified(|counting| std::mem::replace(counting, self.authorities.pems()) != *counting);
        self.paths.send_if_modified(|paths| std::mem::replace(paths, self.authorities.webhook_paths()) != *paths);
    }

    fn look_at_serving(&self) -> Result<(), CertificatesError> {
        let now = Timestamp::now();
        // without a key the present certificate stays: it ends with its authority
        let Some(issuer) = self.authorities.issuer(&self.plan, now) else { return Ok(()) };
        let due = {
            let served = self.serving.current.read();
            now >= served.renew || served.issuer != issuer.certificate_pem()
        };
        if due && let Some(renewed) = serve(&self.authorities, &self.plan, &self.names, now)? {
            *self.serving.current.write() = renewed;
            info!("the serving certificate was renewed");
        }
        Ok(())
    }
}

fn plan(config: &Config) -> Plan {
    Plan { age: config.authority_age, overlap: config.key_overlap }
}

/// A serving certificate; none where no key is known.
fn serve(authorities: &Authorities, plan: &Plan, names: &[String], now: Timestamp) -> Result<Option<Served>, AuthorityError> {
    let Some(issuer) = authorities.issuer(plan, now) else { return Ok(None) };
    let (certificate, renew) = issuer.issue(names, now)?;
    Ok(Some(Served { certificate, renew, issuer: issuer.certificate_pem().to_owned() }))
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

/// The authorities that are in the Secret, or a new one, or the one that somebody else gives. Of two replicas that write one at a
/// time, the second finds the Secret there and adopts it.
async fn authorities_of(kept: &Kept, mut source: Option<&mut Source>, plan: &Plan) -> Result<Authorities, CertificatesError> {
    loop {
        let wanted = match &mut source {
            None => Wanted::Own { asked: false },
            Some(source) => Wanted::Given(source.wait().await),
        };
        let now = Timestamp::now();
        let present = kept.read().await?;
        let there = present.as_ref().map(|present| Authorities::read(&present.data, now)).transpose()?.flatten();
        let (authorities, new) = match there {
            None => (Authorities::first(&wanted, now)?, true),
            Some(mut there) => {
                there.learn(&wanted);
                let stepped = there.step(plan, &wanted, When::Starting, now)?;
                (there, stepped)
            }
        };
        if !new {
            info!("the certificate authority was adopted");
            return Ok(authorities);
        }
        if kept.write(&authorities.data(), present.as_ref()).await? {
            info!(given = authorities.has_given(), "a certificate authority was put into its Secret");
            return Ok(authorities);
        }
        // another replica was faster: what it wrote is what counts
    }
}

#[cfg(test)]
mod tests;
