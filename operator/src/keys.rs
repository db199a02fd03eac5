//! The keys by which pods recognise what the operator says: the root key, for which they are admitted and which never changes,
//! the key that signs documents, which is replaced from time to time, and the key set that says which keys and authorities count.
//!
//! All of them lie in one Secret. Who loses it for good gets another root, and then every covered pod has to be replaced.

mod rotation;
mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use shekara_policy::signed::{Fingerprint, SignedKeySet, SigningKey};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::config::Config;
use crate::kept::{Kept, SecretError};
use crate::ledger::store::Resumed;
pub(crate) use rotation::Plan;
use state::{State, StateError};

/// How often the Secret is looked at.
const ROUND: Duration = Duration::from_secs(10);

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The Secret cannot be read or written.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// What is in it cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// Somebody put another root key there: the process ends, and begins again with it.
    #[error("the Secret {0} holds another root key than before; it is adopted by the next start")]
    OtherRoot(String),
}

/// The keys of the moment.
pub(crate) struct Keyring {
    /// What pods hold of the root.
    pub(crate) root: Fingerprint,
    /// The key that signs documents.
    pub(crate) key: SigningKey,
    /// The version of the key set.
    pub(crate) version: u64,
    /// The key set.
    pub(crate) signed: SignedKeySet,
}

/// The keys, and who follows them.
pub(crate) struct Keys {
    current: watch::Sender<Arc<Keyring>>,
    /// The lowest version that the key set may have.
    lowest: AtomicU64,
}

impl Keys {
    fn new(keyring: Keyring) -> Arc<Self> {
        Arc::new(Self { current: watch::Sender::new(Arc::new(keyring)), lowest: AtomicU64::new(0) })
    }

    /// The keys of the moment.
    pub(crate) fn current(&self) -> Arc<Keyring> {
        Arc::clone(&self.current.borrow())
    }

    /// The keys, now and from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Keyring>> {
        self.current.subscribe()
    }

    /// A genuine key set of this version was seen in the cluster. Pods may know it, so what they get next must not be older: the
    /// Secret was put back from an earlier day.
    pub(crate) fn outlive(&self, version: u64) {
        self.lowest.fetch_max(version, Ordering::Relaxed);
    }

    /// Keys of a test.
    #[cfg(test)]
    pub(crate) fn of_test() -> Arc<Self> {
        Self::new(State::create(Timestamp::now(), &["PEM".into()], seed).unwrap().keyring().unwrap())
    }
}

/// Keeps the keys in their Secret, and replaces those whose time has come.
pub(crate) struct Keeper {
    keys: Arc<Keys>,
    kept: Kept,
    state: State,
    plan: Plan,
    authorities: watch::Receiver<Vec<String>>,
}

impl Keeper {
    /// Adopts the keys from the Secret, or makes them and keeps them there.
    pub(crate) async fn establish(
        client: Client,
        config: &Config,
        authorities: watch::Receiver<Vec<String>>,
    ) -> Result<(Arc<Keys>, Self), KeysError> {
        let kept = Kept::new(client, &config.namespace, &config.keys_secret);
        let named = authorities.borrow().clone();
        let state = loop {
            let present = kept.read().await?;
            if let Some(state) = present.as_ref().map(|present| State::read(&present.data)).transpose()?.flatten() {
                info!(root = %state.root()?, "the keys were adopted");
                break state;
            }
            let state = State::create(Timestamp::now(), &named, seed)?;
            if kept.write(&state.data(), present.as_ref()).await? {
                info!(root = %state.root()?, "keys were made");
                break state;
            }
            // another replica was faster: its keys are the ones
        };
        let keys = Keys::new(state.keyring()?);
        let plan = Plan { age: config.document_key_age, overlap: config.key_overlap };
        Ok((Arc::clone(&keys), Self { keys, kept, state, plan, authorities }))
    }

    /// Looks at the Secret and the authorities from time to time.
    pub(crate) async fn run(mut self, resumed: Resumed) -> Result<(), KeysError> {
        loop {
            match self.round(resumed.is_so()).await {
                Err(KeysError::Secret(problem)) => warn!(%problem, "the keys are not looked after for now"),
                other => other?,
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                Ok(()) = self.authorities.changed() => {}
            }
        }
    }

    /// The Secret has what is in memory, and what is in memory is of its time. The replica that leads sees to that; the others
    /// take what it has put there.
    async fn round(&mut self, leads: bool) -> Result<(), KeysError> {
        let present = self.kept.read().await?;
        let there = present.as_ref().map(|present| State::read(&present.data)).transpose()?.flatten();
        if let Some(there) = &there
            && there.root()? != self.state.root()?
        {
            return Err(KeysError::OtherRoot(self.kept.name().to_owned()));
        }
        if let Some(there) = there.as_ref().filter(|there| there.version() > self.state.version()) {
            info!(version = there.version(), "a newer key set was adopted");
            self.state = there.clone();
            self.keys.current.send_replace(Arc::new(self.state.keyring()?));
        }
        if !leads {
            return Ok(());
        }
        let asked = present.as_ref().is_some_and(|present| present.rotate);
        let authorities = self.authorities.borrow_and_update().clone();
        let lowest = self.keys.lowest.load(Ordering::Relaxed);
        let next = rotation::next(&self.state, &self.plan, &authorities, lowest, asked, Timestamp::now(), seed)?;
        let state = next.as_ref().unwrap_or(&self.state);
        if there.as_ref().map(State::data) == Some(state.data()) && !asked {
            return Ok(());
        }
        if !self.kept.write(&state.data(), present.as_ref()).await? {
            return Ok(());
        }
        match &present {
            None => warn!("the Secret of the keys was gone and is put back"),
            Some(_) => info!(version = state.version(), rotated = next.is_some(), "the Secret of the keys was written"),
        }
        if let Some(state) = next {
            self.state = state;
            self.keys.current.send_replace(Arc::new(self.state.keyring()?));
        }
        Ok(())
    }
}

/// Random bytes of the system.
fn seed() -> Result<[u8; SigningKey::SEED], StateError> {
    let mut seed = [0; SigningKey::SEED];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut seed).map_err(|_| StateError::Random)?;
    Ok(seed)
}

#[cfg(test)]
mod tests;
