//! The file of each holding: its newest signed document and the key set beside it, in a ConfigMap of the holding's namespace, from
//! which covered pods restart while the operator is away.
//!
//! A data owner may be able to write there. That changes nothing: pods verify what they read, and what was changed is put right as
//! soon as it is seen. A file is written when what it is to say has changed, and never otherwise.

use std::convert::Infallible;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::Status;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::DataHolding;
use shekara_crds::injection::{ENTRY, file_name};
use shekara_policy::signed::{Bundle, LONGEST_BUNDLE};
use tracing::{debug, info, warn};

use crate::caches::Caches;
use crate::controllers::Queues;
use crate::documents::{Documents, Published};
use crate::keys::Keys;
use crate::ledger::store::Resumed;
use crate::metrics::{Metrics, Write};
use crate::signer::file_key;
use crate::watch::{Cached, Key, Kind};

/// The label of every file.
const LABEL: &str = "shekara.dev/policy-file";
/// Under this name the operator owns the fields of a file.
const FIELD_MANAGER: &str = "shekara-operator";

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicyFile {
    pub(crate) text: String,
    /// Whether it can be written.
    immutable: bool,
}

impl Cached for PolicyFile {
    type Object = ConfigMap;
    const KIND: Kind = Kind::ConfigMap;
    const SELECTOR: Option<&str> = Some("shekara.dev/policy-file=true");

    fn keep(mut object: ConfigMap) -> Self {
        let text = object.data.as_mut().and_then(|data| data.remove(ENTRY)).unwrap_or_default();
        Self { text, immutable: object.immutable == Some(true) }
    }
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("the document and its key set are longer than the {LONGEST_BUNDLE} bytes that pods read")]
    TooLong,
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Writes the files.
pub(crate) struct PolicyFiles {
    pub(crate) client: Client,
    pub(crate) caches: Arc<Caches>,
    pub(crate) documents: Arc<Documents>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) resumed: Resumed,
}

impl PolicyFiles {
    /// Writes what is asked for, one after another. A write that fails is tried again with growing pauses.
    pub(crate) async fn run(self: Arc<Self>) -> Result<(), Infallible> {
        let queue = &self.queues.files;
        // one replica writes: the one that signs
        self.resumed.clone().wait().await;
        loop {
            let key = queue.next().await;
            let written = self.visit(&key).await;
            queue.done(&key);
            match written {
                Ok(()) => queue.succeeded(&key),
                Err(problem) => {
                    self.metrics.status_write(Kind::ConfigMap, Write::Failed);
                    warn!(holding = %key, %problem, "the file of a holding could not be written; it is tried again");
                    queue.retry(key);
                }
            }
        }
    }

    async fn visit(&self, key: &Key) -> Result<(), FileError> {
        // with the holding its file goes too: the API server sees to that
        let Some(published) = self.documents.of(&key.namespace).get(&key.name).cloned() else { return Ok(()) };
        let bundle = Bundle { keys: self.keys.current().signed.clone(), document: (*published.signed).clone() };
        let text = bundle.to_json().ok_or(FileError::TooLong)?;
        let present = self.caches.policy_files.get(&file_key(key));
        if present.as_ref().is_some_and(|present| present.text == text) {
            return Ok(());
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &key.namespace);
        let name = file_name(&key.name);
        if present.is_some_and(|present| present.immutable) {
            // somebody wants it to stay as it is
            match api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(answer)) if answer.code == 404 => {}
                other => drop(other?),
            }
        }
        let file = file(&name, &published, &text);
        let applied = api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&file)).await;
        if matches!(&applied, Err(kube::Error::Api(answer)) if answer.code == 422) {
            // one that is immutable and lacks the label is not in sight; the next try makes it anew
            api.delete(&name, &DeleteParams::default()).await?;
        }
        if matches!(&applied, Err(kube::Error::Api(answer)) if namespace_ends(answer)) {
            // the holding is about to go as well
            debug!(holding = %key, "no file is written: the namespace is being terminated");
            return Ok(());
        }
        applied?;
        self.metrics.status_write(Kind::ConfigMap, Write::Done);
        info!(holding = %key, serial = published.signed.serial, until = %published.signed.not_after, "the file of a holding was written");
        Ok(())
    }
}

/// Whether the API server refused to create something because its namespace is being deleted, which nothing can undo, or is gone.
fn namespace_ends(answer: &Status) -> bool {
    // what is applied and not there is made, so that only its namespace can be missing
    answer.code == 404
        || answer.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}

fn file(name: &str, published: &Published, text: &str) -> Value {
    let holding = &published.holding;
    let owner = json!({
        "apiVersion": <DataHolding as kube::Resource>::api_version(&()), "kind": "DataHolding",
        "name": holding.name_any(), "uid": published.document.holding.uid, "controller": true, "blockOwnerDeletion": false,
    });
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {LABEL: "true"}, "ownerReferences": [owner]},
        "data": {ENTRY: text},
    })
}

/// The holding whose file this is.
pub(crate) fn holding_of(caches: &Caches, file: &Key) -> Option<Key> {
    let holdings = caches.holdings.in_namespace(&file.namespace);
    holdings.into_iter().map(|(key, _)| key).find(|key| file_name(&key.name) == file.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_with_its_namespace_is_told_from_what_is_forbidden() -> serde_json::Result<()> {
        let ending = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "it is being terminated",
            "details": {"name": "shekara-policy-faces", "kind": "configmaps",
                "causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace", "message": "namespace city is being terminated"}]}});
        assert!(namespace_ends(&serde_json::from_value(ending)?));
        let gone = json!({"status": "Failure", "code": 404, "reason": "NotFound", "message": "namespaces \"city\" not found",
            "details": {"name": "city", "kind": "namespaces"}});
        assert!(namespace_ends(&serde_json::from_value(gone)?));
        let forbidden = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "the quota is spent",
            "details": {"name": "shekara-policy-faces", "kind": "configmaps"}});
        assert!(!namespace_ends(&serde_json::from_value(forbidden)?));
        Ok(())
    }
}
