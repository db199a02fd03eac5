//! The holdings that the operator keeps as closed.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use shekara_crds::closed::{ClosedHolding, NAME};

use crate::cluster::OPERATOR_NAMESPACE;
use crate::holdings::CONDITION;
use crate::scenario::Scenario;
use crate::wait::{Seen, until};

/// Waits until the holding of a UID is closed.
///
/// # Errors
/// When it is not in time, or its entry cannot be read.
pub async fn closed(scenario: &Scenario, uid: &str) -> Result<ClosedHolding> {
    let maps: Api<ConfigMap> = Api::namespaced(scenario.kube.clone(), OPERATOR_NAMESPACE);
    let entry = until(&format!("the holding of the UID {uid} is closed"), CONDITION, async || {
        let entries = maps.get_opt(NAME).await?.and_then(|map| map.data).unwrap_or_default();
        Ok(Seen::some_or(entries.get(uid).cloned(), entries.keys().collect::<Vec<_>>()))
    })
    .await?;
    serde_json::from_str(&entry).with_context(|| format!("the entry cannot be read: {entry}"))
}
