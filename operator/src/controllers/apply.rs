//! The last step of every pipeline: the status, by server-side apply.

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use super::Context;
use crate::metrics::{Label, Write};
use crate::watch::Kind;

/// Under this name the operator owns the fields of status.
const FIELD_MANAGER: &str = "shekara-operator";

/// A status that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the status of {kind} {name} cannot be written: {source}")]
pub(super) struct ApplyError {
    kind: &'static str,
    name: String,
    source: Box<kube::Error>,
}

/// Writes the status of an object, if that object is still there.
pub(super) async fn status<K>(context: &Context, kind: Kind, object: &K, status: &impl Serialize) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let (name, resource) = (object.name_any(), ApiResource::erase::<K>(&()));
    let client = context.client.clone();
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client, &namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    // with the UID, so that another object of the same name does not get what was found of this one
    let applied = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": object.namespace(), "uid": object.uid()},
        "status": status,
    });
    let written = api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(applied)).await;
    match written {
        Ok(_) => {
            context.metrics.status_write(kind, Write::Done);
            Ok(())
        }
        Err(kube::Error::Api(answer)) if answer.code == 404 => Ok(()),
        Err(problem) => {
            context.metrics.status_write(kind, Write::Failed);
            Err(ApplyError { kind: kind.text(), name, source: Box::new(problem) })
        }
    }
}
