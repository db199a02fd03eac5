//! The last step of every pipeline: the status, by server-side apply.

use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::ObjectMeta;
use serde::Serialize;
use serde_json::json;

use super::Context;
use crate::metrics::{Label, Write};
use crate::watch::{Key, Kind};

/// Under this name the operator owns the fields of status.
const FIELD_MANAGER: &str = "shekara-operator";

/// A status that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the status of {kind} {name} cannot be read or written: {source}")]
pub(super) struct ApplyError {
    kind: &'static str,
    name: String,
    source: Box<kube::Error>,
}

/// Writes the status of an object of kind `K`, if that object is still there.
pub(super) async fn status<K>(
    context: &Context,
    kind: Kind,
    object: &ObjectMeta,
    status: &impl Serialize,
) -> Result<(), ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let name = object.name.clone().unwrap_or_default();
    let api = dynamic::<K>(context, object.namespace.as_deref().unwrap_or_default());
    // with the UID, so that another object of the same name does not get what was found of this one
    let applied = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": object.namespace, "uid": object.uid},
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

/// The object as the API server has it, whether it can be decoded or not; none where it is gone.
pub(super) async fn raw<K>(context: &Context, kind: Kind, key: &Key) -> Result<Option<DynamicObject>, ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let problem = |source| ApplyError { kind: kind.text(), name: key.to_string(), source: Box::new(source) };
    dynamic::<K>(context, &key.namespace).get_opt(&key.name).await.map_err(problem)
}

fn dynamic<K: Resource<DynamicType = ()>>(context: &Context, namespace: &str) -> Api<DynamicObject> {
    let (client, resource) = (context.client.clone(), ApiResource::erase::<K>(&()));
    if namespace.is_empty() { Api::all_with(client, &resource) } else { Api::namespaced_with(client, namespace, &resource) }
}
