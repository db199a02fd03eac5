//! From the object that controls a pod to the workload that people look at.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::api::Api;

use crate::watch::Owner;

/// The workload behind the owner of a pod: the Deployment of a ReplicaSet, the CronJob of a Job, and every other owner itself.
///
/// # Errors
/// When the owner cannot be read.
pub(crate) async fn workload(client: &Client, namespace: &str, owner: &Owner) -> Result<Owner, kube::Error> {
    let client = client.clone();
    let meta = match (owner.api_version.as_str(), owner.kind.as_str()) {
        ("apps/v1", "ReplicaSet") => Api::<ReplicaSet>::namespaced(client, namespace).get_metadata(&owner.name).await?.metadata,
        ("batch/v1", "Job") => Api::<Job>::namespaced(client, namespace).get_metadata(&owner.name).await?.metadata,
        _ => return Ok(owner.clone()),
    };
    Ok(Owner::of(&meta).unwrap_or_else(|| owner.clone()))
}
