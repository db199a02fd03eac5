//! Who verifies what comes and puts it into force, by which way it may come.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustls::ClientConfig;
use shekara_policy::exchange::Standing;
use shekara_policy::signed::{Accepted, Trust};
use tokio::sync::watch;

use super::connect::{self, AuthorityError};
use super::event::{self, EventError};
use super::{Enforced, files, force};
use crate::context::Context;
use crate::metrics::PolicyOutcome;

/// What the pod trusts, and what is in force by it.
pub(super) struct Keeper {
    context: Arc<Context>,
    documents: watch::Sender<Arc<Enforced>>,
    trust: Trust,
    /// The UIDs of the holdings whose documents the operator gave last, in this start: none before it gave any.
    confirmed: Option<BTreeSet<String>>,
    tls: Arc<ClientConfig>,
}

impl Keeper {
    /// Trusts what admission stamped. The authority that it stamped counts until the first key set is there.
    pub(super) fn new(context: Arc<Context>, documents: watch::Sender<Arc<Enforced>>) -> Result<Self, AuthorityError> {
        let config = &context.config;
        let tls = connect::tls(&config.policy_ca)?;
        let trust = Trust::new(config.root, config.namespace_uid.clone(), config.stamps.clone(), config.key_set);
        Ok(Self { context, documents, trust, confirmed: None, tls })
    }

    /// How the policy API is recognised.
    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// Takes a line of the stream, and gives the interval of checkpoints that it has. What is refused changes nothing.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<u32, EventError> {
        let version = self.version();
        let taken = event::take(line, &mut self.trust, self.context.clock.now());
        self.look_at_keys(version);
        let metrics = &self.context.metrics;
        match taken {
            Ok((accepted, interval)) => {
                metrics.policy_event(PolicyOutcome::Accepted);
                self.confirmed = Some(uids(&accepted));
                force::accept(&self.documents, metrics, accepted, Standing::Confirmed);
                Ok(interval)
            }
            Err(error) => {
                metrics.policy_event(PolicyOutcome::Rejected);
                force::refuse(&self.documents, metrics, error.refusal);
                tracing::error!(reason = error.refusal.reason().code(), "{error}; what was in force before stays in force");
                Err(error)
            }
        }
    }

    /// Takes the pod's files, if they have what is newer than what is in force: the operator cannot be reached, and may have
    /// written there since. Documents that did not change keep their standing. Files are of the holdings that admission stamped:
    /// once the operator has said which holdings the pod has, they renew those documents, and neither leave one out nor bring one
    /// back.
    pub(super) fn fall_back(&mut self) {
        let version = self.version();
        let mut trust = self.trust.clone();
        let taken = files::take(&self.context.config.files, &mut trust, self.context.clock.now());
        match &taken {
            Ok(accepted) if self.confirmed.as_ref().is_some_and(|confirmed| *confirmed != uids(accepted)) => return,
            _ => self.trust = trust,
        }
        self.look_at_keys(version);
        let metrics = &self.context.metrics;
        let present = self.context.enforced();
        match taken {
            Ok(accepted) if accepted.held == present.held => {}
            Ok(accepted) => force::accept(&self.documents, metrics, accepted, Standing::Unconfirmed),
            // no file takes away what is in force
            Err(_) if !present.documents.is_empty() => {}
            Err(refusal) => {
                if present.refused != Some(refusal.reason()) {
                    let reason = refusal.reason().code();
                    tracing::warn!(reason, "the pod's files are of no use: {refusal}");
                }
                force::refuse(&self.documents, metrics, refusal);
            }
        }
    }

    fn version(&self) -> Option<u64> {
        self.trust.keys().map(|keys| keys.version)
    }

    /// From now on the policy API is recognised by the authorities of the newest key set.
    fn look_at_keys(&mut self, before: Option<u64>) {
        let Some(keys) = self.trust.keys().filter(|keys| Some(keys.version) != before) else { return };
        self.context.metrics.policy_key_set.set(i64::try_from(keys.version).unwrap_or(i64::MAX));
        tracing::info!(version = keys.version, keys = keys.document_keys.len(), "a key set was taken");
        match connect::tls(&keys.authorities.join("\n")) {
            Ok(tls) => self.tls = tls,
            Err(error) => tracing::error!("the authorities of the key set cannot be used, so the earlier ones stay: {error}"),
        }
    }
}

fn uids(accepted: &Accepted) -> BTreeSet<String> {
    accepted.held.iter().map(|held| held.holding_uid.clone()).collect()
}
