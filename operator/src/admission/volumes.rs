//! What the volumes of a pod lead to, which the pod itself does not say: the drivers behind claims, and claims that covered pods use.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Volume};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use shekara_crds::HOLDINGS_ANNOTATION;
use shekara_crds::injection::Fault;

use super::{Admission, AdmissionError, Arriving};
use crate::controllers::holding::{compile, dereference};
use crate::watch::Key;

/// The mark of the class of claims that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Who made a volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

impl Admission {
    /// The volumes of a pod that these holdings cover whose driver the standards do not list.
    pub(super) async fn foreign_volumes(
        &self,
        arriving: &Arriving<'_>,
        holdings: &BTreeSet<String>,
    ) -> Result<Vec<Fault>, AdmissionError> {
        let volumes = volumes(arriving);
        if !volumes.iter().any(has_driver) {
            return Ok(vec![]);
        }
        let allowed = |holding: &String| {
            let subject = dereference(&self.caches, &self.config, &Key::new(arriving.namespace, holding))?;
            compile(&subject, jiff::Timestamp::now()).storage
        };
        let Some(allowed) = holdings.iter().filter_map(allowed).reduce(|some, others| &some & &others) else { return Ok(vec![]) };
        let mut faults = Vec::new();
        for (index, volume) in volumes.iter().enumerate() {
            let Some((field, driver)) = self.driver(arriving.namespace, volume).await? else { continue };
            let sentence = match driver {
                Some(driver) if allowed.contains(&driver) => continue,
                Some(driver) => format!(
                    "its driver is {driver}, which not every SovereigntyStandard lists in a country that it allows (spec.storage); use \
                     one of: {}",
                    names(&allowed)
                ),
                None => "nobody can say of which driver it is: create the claim first, with a storage class".to_owned(),
            };
            faults.push(Fault { field: format!("spec.volumes[{index}].{field}"), sentence });
        }
        Ok(faults)
    }

    /// The claims of a pod that no holding covers on which covered pods may have written.
    pub(super) async fn claims_of_others(&self, arriving: &Arriving<'_>) -> Result<Vec<Fault>, AdmissionError> {
        let mut faults = Vec::new();
        for (index, volume) in volumes(arriving).iter().enumerate() {
            let Some(claim) = volume.persistent_volume_claim.as_ref().map(|claim| &claim.claim_name) else { continue };
            if let Some(holdings) = self.holdings_of(arriving.namespace, claim).await? {
                let sentence = format!(
                    "pods that the DataHoldings {holdings} cover have mounted this claim, so what is on it leaves them by this pod: let \
                     a DataHolding cover the pod, or use another claim"
                );
                faults.push(Fault { field: format!("spec.volumes[{index}].persistentVolumeClaim.claimName"), sentence });
            }
        }
        Ok(faults)
    }

    /// The holdings whose pods mount a claim or have mounted it.
    async fn holdings_of(&self, namespace: &str, claim: &str) -> Result<Option<String>, AdmissionError> {
        let pods = self.caches.pods.in_namespace(namespace);
        let mut covered = pods.iter().filter(|(_, pod)| pod.injected && !pod.ended && pod.claims.contains(claim));
        if let Some((_, pod)) = covered.next() {
            return Ok(Some(names(&pod.holdings)));
        }
        let claim = self.get::<PersistentVolumeClaim>(Api::namespaced(self.client.clone(), namespace), claim).await?;
        Ok(claim.and_then(|claim| claim.annotations().get(HOLDINGS_ANNOTATION).cloned()))
    }

    /// The driver behind a volume, if it can be known, with the field that leads there; nothing for a volume without one.
    async fn driver(&self, namespace: &str, volume: &Volume) -> Result<Option<(&'static str, Option<String>)>, AdmissionError> {
        if let Some(csi) = &volume.csi {
            return Ok(Some(("csi.driver", Some(csi.driver.clone()))));
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return Ok(Some(("persistentVolumeClaim.claimName", self.driver_of_claim(namespace, &claim.claim_name).await?)));
        }
        let Some(ephemeral) = &volume.ephemeral else { return Ok(None) };
        let class = ephemeral.volume_claim_template.as_ref().and_then(|template| template.spec.storage_class_name.as_deref());
        Ok(Some(("ephemeral.volumeClaimTemplate", self.driver_of_class(class).await?)))
    }

    async fn driver_of_claim(&self, namespace: &str, name: &str) -> Result<Option<String>, AdmissionError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let Some(spec) = self.get(claims, name).await?.and_then(|claim| claim.spec) else { return Ok(None) };
        match spec.volume_name.filter(|name| !name.is_empty()) {
            Some(volume) => {
                let volume = self.get::<PersistentVolume>(Api::all(self.client.clone()), &volume).await?;
                Ok(volume.as_ref().and_then(driver_of_volume))
            }
            None => self.driver_of_class(spec.storage_class_name.as_deref()).await,
        }
    }

    /// The provisioner of a class; of the default class where none is named.
    async fn driver_of_class(&self, name: Option<&str>) -> Result<Option<String>, AdmissionError> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        let class = match name {
            // a volume that somebody makes by hand
            Some("") => None,
            Some(name) => self.get(classes, name).await?,
            None => {
                let is_default = |class: &StorageClass| class.annotations().get(DEFAULT_CLASS).is_some_and(|is| is == "true");
                let all =
                    classes.list(&ListParams::default()).await.map_err(|problem| AdmissionError::Volumes(Box::new(problem)))?;
                all.items.into_iter().find(is_default)
            }
        };
        Ok(class.map(|class| class.provisioner))
    }

    async fn get<K>(&self, api: Api<K>, name: &str) -> Result<Option<K>, AdmissionError>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        api.get_opt(name).await.map_err(|problem| AdmissionError::Volumes(Box::new(problem)))
    }
}

/// Whether a volume is kept by a driver.
fn has_driver(volume: &Volume) -> bool {
    volume.csi.is_some() || volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some()
}

fn volumes(arriving: &Arriving<'_>) -> Vec<Volume> {
    let volumes = arriving.pod.data.pointer("/spec/volumes").cloned().unwrap_or_default();
    // what cannot be read is refused where the whole pod is read, or not taken by the API server
    serde_json::from_value(volumes).unwrap_or_default()
}

/// The driver of a volume; the kind of one that was made by hand.
fn driver_of_volume(volume: &PersistentVolume) -> Option<String> {
    let spec = volume.spec.as_ref()?;
    let by_hand = [
        ("nfs", spec.nfs.is_some()),
        ("local", spec.local.is_some()),
        ("hostPath", spec.host_path.is_some()),
        ("iscsi", spec.iscsi.is_some()),
        ("fc", spec.fc.is_some()),
    ];
    let csi = spec.csi.as_ref().map(|csi| csi.driver.clone());
    csi.or_else(|| volume.annotations().get(PROVISIONED_BY).cloned())
        .or_else(|| by_hand.into_iter().find(|(_, is)| *is).map(|(kind, _)| kind.to_owned()))
}

fn names(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
