//! The files of holdings: the ConfigMaps with their signed documents.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use shekara_policy::signed::{Bundle, KeySet};

use crate::scenario::Scenario;

/// The file of the holding `faces`.
pub const FILE: &str = "shekara-policy-faces";

/// Its entry.
pub const ENTRY: &str = "document.json";

/// Where a sidecar sees it.
pub const MOUNTED: &str = "/var/run/shekara.dev/policy/faces.json";

impl Scenario {
    /// What the file of the holding `faces` says; none where there is no such file.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn file(&self) -> Result<Option<String>> {
        let file = self.api::<ConfigMap>().get_opt(FILE).await?;
        Ok(file.and_then(|file| file.data).and_then(|mut data| data.remove(ENTRY)))
    }

    /// What it says, and the key set in it.
    ///
    /// # Errors
    /// When there is none, or it is not as the operator writes it.
    pub async fn bundle(&self) -> Result<(Bundle, KeySet)> {
        let text = self.file().await?.context("the holding has no file")?;
        let bundle = Bundle::from_json(text.as_bytes()).with_context(|| format!("not a bundle: {text}"))?;
        let keys = bundle.keys.verify(&bundle.keys.root.fingerprint())?;
        Ok((bundle, keys))
    }

    /// Writes the file as a data owner may.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn write_file(&self, text: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"data": {ENTRY: text}}));
        self.api::<ConfigMap>().patch(FILE, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}
