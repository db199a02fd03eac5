//! The key that signs documents and the authority of the policy API are replaced, from the wish to the end of their predecessors.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use shekara_policy::signed::KeySet;

use crate::cluster::{OPERATOR_NAMESPACE, within};
use crate::holdings::CONDITION;
use crate::scenario::Scenario;
use crate::wait::{Seen, until};

/// The Secret with the root key and the document keys.
pub const KEYS: &str = "shekara-keys";

/// The Secret with the authority of the policy API.
pub const AUTHORITY: &str = "shekara-tls";

/// Longer than the overlap with which the chart is installed for tests, and two looks of the operator at its Secrets.
const OVERLAP: Duration = Duration::from_secs(120);

impl Scenario {
    /// Has both replaced. Asserts that the successors are announced before they are used alone and that the predecessors end, and
    /// that `goes_on` holds and the holding is enforced in so many pods before, meanwhile and afterwards.
    ///
    /// # Errors
    /// When one of these is not so.
    pub async fn rotate_keys(&self, pods: i64, mut goes_on: impl AsyncFnMut() -> Result<()>) -> Result<()> {
        let (first, before) = self.bundle().await?;
        ensure!(before.document_keys.len() == 1 && before.authorities.len() == 1, "{before:?}");
        goes_on().await.context("before")?;
        for secret in [KEYS, AUTHORITY] {
            let wish = json!({"metadata": {"annotations": {"shekara.dev/rotate": "now"}}});
            let secrets = within::<Secret>(&self.kube, OPERATOR_NAMESPACE);
            secrets.patch(secret, &PatchParams::default(), &Patch::Merge(wish)).await?;
        }
        let both = self.key_set("both generations", CONDITION, 2).await?;
        ensure!(both.version > before.version, "{} after {}", both.version, before.version);
        let kept = before.document_keys.iter().all(|key| both.document_keys.contains(key))
            && before.authorities.iter().all(|authority| both.authorities.contains(authority));
        ensure!(kept, "what is replaced counts no more: {both:?}");
        goes_on().await.context("while both count")?;
        self.enforcing(pods).await.context("while both count")?;

        let after = self.key_set("the successors alone", OVERLAP, 1).await?;
        let replaced = after.document_keys != before.document_keys && after.authorities != before.authorities;
        ensure!(replaced, "nothing was replaced");
        let (last, _) = self.bundle().await?;
        ensure!(after.document_key(&last.document.key).is_some(), "the document is not signed with the new key");
        ensure!(last.keys.root == first.keys.root, "the root is another one");
        self.enforcing(pods).await.context("after the overlap")?;
        goes_on().await.context("after the overlap")
    }

    /// Waits until the key set has so many keys and as many authorities.
    async fn key_set(&self, what: &str, limit: Duration, generations: usize) -> Result<KeySet> {
        until(&format!("the key set has {what}"), limit, async || {
            let (_, keys) = self.bundle().await?;
            let numbers = (keys.document_keys.len(), keys.authorities.len());
            let version = keys.version;
            Ok(Seen::some_or((numbers == (generations, generations)).then_some(keys), (version, numbers)))
        })
        .await
    }
}
