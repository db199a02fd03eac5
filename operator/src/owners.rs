//! From the object that controls a pod to the workload that people look at.

use std::collections::HashMap;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use kube::api::Api;
use parking_lot::Mutex;

use crate::watch::Owner;

/// How many owners are known at most.
const MOST: usize = 10_000;

/// The workloads behind owners, each of which is asked for once: an owner never changes hands.
#[derive(Default)]
pub(crate) struct KnownWorkloads(Mutex<HashMap<Owner, Owner>>);

impl KnownWorkloads {
    /// The workload behind the owner of a pod. What could not be read is asked for again the next time.
    ///
    /// # Errors
    /// When the owner cannot be read.
    pub(crate) async fn behind(&self, client: &Client, namespace: &str, owner: &Owner) -> Result<Owner, kube::Error> {
        let known = self.0.lock().get(owner).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let workload = workload(client, namespace, owner).await?;
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(owner.clone(), workload.clone());
        Ok(workload)
    }
}

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
