//! The Secret in which somebody else keeps the certificate authority: looked at again and again, and said in the log when it cannot
//! be used.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tracing::{info, warn};

use super::authority::Authority;
use super::given;
use crate::kept::Kept;

/// How often it is looked at by who cannot go on without it.
const PAUSE: Duration = Duration::from_secs(2);

/// What comes of it that there is none.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Waits,
    GoesOn,
}

/// What was read, and what it gave.
struct Read {
    data: BTreeMap<String, Vec<u8>>,
    authority: Arc<Authority>,
}

/// The Secret, and what was seen in it last.
pub(super) struct Source {
    kept: Kept,
    names: Vec<String>,
    seen: Option<Read>,
    problem: Option<String>,
}

impl Source {
    /// By the name of the Secret, and the names for which the authority is to issue.
    pub(super) fn new(client: Client, namespace: &str, secret: &str, names: Vec<String>) -> Self {
        Self { kept: Kept::new(client, namespace, secret), names, seen: None, problem: None }
    }

    /// The name of the Secret.
    pub(super) fn name(&self) -> &str {
        self.kept.name()
    }

    /// Waits until there is an authority that can be used.
    pub(super) async fn wait(&mut self) -> Arc<Authority> {
        loop {
            if let Some(authority) = self.look(Meanwhile::Waits).await {
                return authority;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The authority of now; none where there is none that can be used. That the Secret may not be read is no error: a replica with
    /// the configuration from before has lost the right to, and must go on with what a new one puts into the operator's own.
    pub(super) async fn read(&mut self) -> Option<Arc<Authority>> {
        self.look(Meanwhile::GoesOn).await
    }

    async fn look(&mut self, meanwhile: Meanwhile) -> Option<Arc<Authority>> {
        let read = match self.kept.read().await {
            Ok(Some(present)) => self.authority(present.data, Timestamp::now()),
            Ok(None) => Err(format!("the Secret {} of the certificate authority is missing", self.kept.name())),
            Err(problem) => Err(problem.to_string()),
        };
        match read {
            Ok(authority) => {
                if self.problem.take().is_some() {
                    info!(secret = self.kept.name(), "the Secret of the certificate authority can be used now");
                }
                Some(authority)
            }
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    match meanwhile {
                        Meanwhile::Waits => warn!("{problem}; the operator waits for it, and serves nothing until then"),
                        Meanwhile::GoesOn => {
                            warn!("{problem}; the authority from before stays in use for as long as it is valid")
                        }
                    }
                    self.problem = Some(problem);
                }
                None
            }
        }
    }

    /// What is in the Secret. What was read before is not read again as long as it is valid: to try it is work.
    fn authority(&mut self, data: BTreeMap<String, Vec<u8>>, now: Timestamp) -> Result<Arc<Authority>, String> {
        if let Some(seen) = self.seen.as_ref().filter(|seen| seen.data == data && now <= seen.authority.ends()) {
            return Ok(Arc::clone(&seen.authority));
        }
        let read = given::read(&data, &self.names, now);
        let unusable =
            |problem| format!("the Secret {} of the certificate authority cannot be used: {problem}", self.kept.name());
        let authority = Arc::new(read.map_err(unusable)?);
        self.seen = Some(Read { data, authority: Arc::clone(&authority) });
        Ok(authority)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;
    use crate::fixtures::ApiServer;

    const PATH: &str = "/api/v1/namespaces/s/secrets/org-ca";

    fn secret(authority: Option<&Authority>) -> Value {
        let entries = authority.map(|authority| {
            json!({"tls.crt": STANDARD.encode(authority.certificate_pem()), "tls.key": STANDARD.encode(authority.key_pem())})
        });
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "org-ca"}, "type": "kubernetes.io/tls", "data": entries})
    }

    #[tokio::test]
    async fn what_is_missing_or_unusable_is_named_and_what_comes_later_is_taken() {
        let (server, client) = ApiServer::start(vec![]).await;
        let mut source = Source::new(client, "s", "org-ca", vec!["shekara-policy.s.svc".into()]);
        assert!(source.read().await.is_none());
        assert_eq!(source.problem.as_deref(), Some("the Secret org-ca of the certificate authority is missing"));
        server.put(PATH, secret(None));
        assert!(source.read().await.is_none());
        let says = "the Secret org-ca of the certificate authority cannot be used: tls.crt: there is no such entry";
        assert_eq!(source.problem.as_deref(), Some(says));

        let (first, second) = (Authority::create(Timestamp::now()).unwrap(), Authority::create(Timestamp::now()).unwrap());
        for authority in [&first, &second] {
            server.put(PATH, secret(Some(authority)));
            assert_eq!(source.wait().await.certificate_pem(), authority.certificate_pem());
        }
        assert_eq!(source.problem, None);
    }

    /// Nothing changes in the Secret, and yet it ends.
    #[tokio::test]
    async fn what_was_usable_is_judged_again_once_it_has_ended() {
        let (_, client) = ApiServer::start(vec![]).await;
        let mut source = Source::new(client, "s", "org-ca", vec!["shekara-policy.s.svc".into()]);
        let authority = Authority::create(Timestamp::now()).unwrap();
        let entries = [("tls.crt", authority.certificate_pem().to_owned()), ("tls.key", authority.key_pem())];
        let data: BTreeMap<_, _> = entries.map(|(name, pem)| (name.to_owned(), pem.into_bytes())).into();
        let first = source.authority(data.clone(), Timestamp::now()).unwrap();
        let last = source.authority(data.clone(), authority.ends()).unwrap();
        assert!(Arc::ptr_eq(&first, &last), "it was read again while it was valid");
        let problem = source.authority(data, authority.ends() + Duration::from_secs(1)).err().unwrap();
        assert!(problem.contains("tls.crt: the first certificate was valid until"), "{problem}");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_looks_again() {
        let (server, client) = ApiServer::start(vec![]).await;
        let mut source = Source::new(client, "s", "org-ca", vec!["shekara-policy.s.svc".into()]);
        let authority = Authority::create(Timestamp::now()).unwrap();
        let given = async {
            while server.asked(PATH) < 2 {
                tokio::time::sleep(PAUSE).await;
            }
            server.put(PATH, secret(Some(&authority)));
        };
        let (waited, ()) = tokio::join!(source.wait(), given);
        assert_eq!(waited.certificate_pem(), authority.certificate_pem());
    }
}
