//! What the volumes of a pod lead to, which the pod itself does not say: the drivers behind claims, and claims that covered pods use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Volume};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use shekara_crds::injection::Fault;
use shekara_crds::{DataHolding, HOLDINGS_ANNOTATION};
use shekara_policy::Category;

use super::{Admission, AdmissionError, Arriving};
use crate::controllers::holding::{around, compile, dereference};
use crate::watch::Key;

/// The marks of the class of claims that name none (Kubernetes, `pkg/volume/util/storageclass.go`).
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// The class of a claim, which counts before its field does.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// The provisioner of classes whose volumes people make.
const BY_HAND: &str = "kubernetes.io/no-provisioner";
/// Who made a volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

impl Admission {
    /// The volumes of a pod that these holdings cover whose driver the standards do not list.
    pub(super) async fn foreign_volumes(
        &self,
        arriving: &Arriving<'_>,
        holdings: &BTreeSet<String>,
        planned: Option<&DataHolding>,
    ) -> Result<Vec<Fault>, AdmissionError> {
        let volumes = volumes(arriving);
        if !volumes.iter().any(has_driver) {
            return Ok(vec![]);
        }
        let allowed = |holding: &String| {
            let planned = planned.filter(|planned| planned.name_any() == *holding);
            let subject = match planned {
                Some(planned) => around(&self.caches, &self.config, Arc::new(planned.clone()))?,
                None => dereference(&self.caches, &self.config, &Key::new(arriving.namespace, holding))?,
            };
            compile(&subject, jiff::Timestamp::now()).storage
        };
        let Some(allowed) = holdings.iter().filter_map(allowed).reduce(|some, others| &some & &others) else { return Ok(vec![]) };
        let mut faults = Vec::new();
        for (index, volume) in volumes.iter().enumerate() {
            let Some((field, drivers)) = self.drivers(arriving.namespace, volume).await? else { continue };
            let sentence = match drivers.iter().find(|driver| !allowed.contains(*driver)) {
                Some(driver) => format!(
                    "its driver is {driver}, which not every SovereigntyStandard lists in a country that it allows (spec.storage); use \
                     one of: {}",
                    names(&allowed)
                ),
                None if drivers.is_empty() => {
                    "nobody can say of which driver it is: create the claim first, with a storage class, or its volume".to_owned()
                }
                None => continue,
            };
            faults.push(Fault { field: format!("spec.volumes[{index}].{field}"), sentence });
        }
        Ok(faults)
    }

    /// The claims of a pod of these holdings, or of none, on which pods may have written what these do not hold.
    pub(super) async fn claims_of_others(
        &self,
        arriving: &Arriving<'_>,
        holdings: &BTreeSet<String>,
    ) -> Result<Vec<Fault>, AdmissionError> {
        let mut faults = Vec::new();
        for (index, volume) in volumes(arriving).iter().enumerate() {
            let Some(claim) = volume.persistent_volume_claim.as_ref().map(|claim| &claim.claim_name) else { continue };
            let mut writers = self.writers(arriving.namespace, claim).await?;
            writers.retain(|writer| !self.hold_as_much(arriving.namespace, holdings, writer));
            if !writers.is_empty() {
                let sentence = format!(
                    "pods that the DataHoldings {} cover have mounted this claim, so what is on it leaves them by this pod: let a \
                     DataHolding of the same data cover the pod, or use another claim",
                    names(&writers)
                );
                faults.push(Fault { field: format!("spec.volumes[{index}].persistentVolumeClaim.claimName"), sentence });
            }
        }
        Ok(faults)
    }

    /// Whether holdings hold all that another one holds, so that their pods are judged for it too. What one held that is gone, nobody
    /// knows.
    fn hold_as_much(&self, namespace: &str, holdings: &BTreeSet<String>, other: &str) -> bool {
        let documents = self.distributed.documents.of(namespace);
        let held = |name: &str| documents.get(name).map(|published| &published.document.data);
        let is_held = |category: &Category| holdings.iter().any(|name| held(name).is_some_and(|data| data.contains(category)));
        holdings.contains(other) || held(other).is_some_and(|data| !holdings.is_empty() && data.iter().all(is_held))
    }

    /// The holdings whose pods mount a claim or have mounted it.
    async fn writers(&self, namespace: &str, claim: &str) -> Result<BTreeSet<String>, AdmissionError> {
        let pods = self.caches.pods.in_namespace(namespace);
        let covered = pods.iter().filter(|(_, pod)| pod.injected && pod.claims.contains(claim));
        let mut writers: BTreeSet<String> = covered.flat_map(|(_, pod)| pod.holdings.iter().cloned()).collect();
        let claim = self.get::<PersistentVolumeClaim>(Api::namespaced(self.client.clone(), namespace), claim).await?;
        let marks = claim.and_then(|claim| claim.annotations().get(HOLDINGS_ANNOTATION).cloned()).unwrap_or_default();
        writers.extend(marks.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
        Ok(writers)
    }

    /// The drivers that a volume may be of, as far as they can be known, with the field that leads there; nothing for a volume without
    /// one.
    async fn drivers(
        &self,
        namespace: &str,
        volume: &Volume,
    ) -> Result<Option<(&'static str, BTreeSet<String>)>, AdmissionError> {
        if let Some(csi) = &volume.csi {
            return Ok(Some(("csi.driver", [csi.driver.clone()].into())));
        }
        if let Some(claim) = &volume.persistent_volume_claim {
            return Ok(Some(("persistentVolumeClaim.claimName", self.drivers_of_claim(namespace, &claim.claim_name).await?)));
        }
        let Some(template) = volume.ephemeral.as_ref().and_then(|ephemeral| ephemeral.volume_claim_template.as_ref()) else {
            return Ok(None);
        };
        let annotations = template.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
        let class = class(annotations, template.spec.storage_class_name.as_deref());
        Ok(Some(("ephemeral.volumeClaimTemplate", self.drivers_of_class(class).await?)))
    }

    async fn drivers_of_claim(&self, namespace: &str, name: &str) -> Result<BTreeSet<String>, AdmissionError> {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), namespace);
        let Some(claim) = self.get(claims, name).await? else { return Ok(BTreeSet::new()) };
        let spec = claim.spec.as_ref();
        if let Some(volume) = spec.and_then(|spec| spec.volume_name.as_deref()).filter(|name| !name.is_empty()) {
            let volume = self.get::<PersistentVolume>(Api::all(self.client.clone()), volume).await?;
            return Ok(volume.as_ref().and_then(driver_of_volume).into_iter().collect());
        }
        let class = class(Some(claim.annotations()), spec.and_then(|spec| spec.storage_class_name.as_deref()));
        self.drivers_of_class(class).await
    }

    /// The provisioner of a class; where none is named, those of all default classes, since which of them Kubernetes takes may be another
    /// by the time; where people make its volumes, the drivers of all of them. None where of one of these nobody can say any.
    async fn drivers_of_class(&self, name: Option<&str>) -> Result<BTreeSet<String>, AdmissionError> {
        let classes: Api<StorageClass> = Api::all(self.client.clone());
        let classes: Vec<StorageClass> = match name {
            Some("") => return self.drivers_by_hand("").await,
            Some(name) => self.get(classes, name).await?.into_iter().collect(),
            None => self.list(classes).await?.into_iter().filter(is_default).collect(),
        };
        let mut drivers = BTreeSet::new();
        for class in classes {
            let name = class.name_any();
            let of_class =
                if class.provisioner == BY_HAND { self.drivers_by_hand(&name).await? } else { [class.provisioner].into() };
            if of_class.is_empty() {
                return Ok(of_class);
            }
            drivers.extend(of_class);
        }
        Ok(drivers)
    }

    /// The drivers of the volumes that people have made for a class, or for none.
    async fn drivers_by_hand(&self, wanted: &str) -> Result<BTreeSet<String>, AdmissionError> {
        let is_of_it = |volume: &PersistentVolume| {
            let field = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
            class(Some(volume.annotations()), field).unwrap_or_default() == wanted
        };
        let volumes = self.list::<PersistentVolume>(Api::all(self.client.clone())).await?;
        let driver = |volume: &PersistentVolume| driver_of_volume(volume).unwrap_or_else(|| "unknown".to_owned());
        Ok(volumes.iter().filter(|volume| is_of_it(volume)).map(driver).collect())
    }

    async fn list<K>(&self, api: Api<K>) -> Result<Vec<K>, AdmissionError>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        let list = ListParams::default().match_any();
        Ok(api.list(&list).await.map_err(|problem| AdmissionError::Volumes(Box::new(problem)))?.items)
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

fn is_default(class: &StorageClass) -> bool {
    DEFAULT_CLASS.iter().any(|mark| class.annotations().get(*mark).is_some_and(|is| is == "true"))
}

/// The class that a claim or volume names.
fn class<'a>(annotations: Option<&'a BTreeMap<String, String>>, field: Option<&'a str>) -> Option<&'a str> {
    annotations.and_then(|annotations| annotations.get(CLASS)).map(String::as_str).or(field)
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
