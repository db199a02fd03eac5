//! Declarations of a scenario: a standard, recipients, holdings.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use shekara_crds::{DataHolding, Recipient, SovereigntyStandard};

use crate::cluster::apply;
use crate::pods::workload::{APPLICATION, Cover};
use crate::scenario::{SCENARIO_LABEL, Scenario};
use crate::wait::{Seen, until};

/// How long a condition may take to come true once its cause is there.
pub const CONDITION: Duration = Duration::from_secs(60);

/// The one category that scenarios hold, where it does not matter which.
pub const FACE: &str = "biometric.face";

impl Scenario {
    /// Sets a standard for this namespace alone: data may go to Kazakhstan, and the addresses of the world are where the
    /// world's declaration says.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn standard(&self) -> Result<SovereigntyStandard> {
        self.standard_with(self.standard_spec()).await
    }

    /// The spec of [`Self::standard`].
    #[must_use]
    pub fn standard_spec(&self) -> Value {
        let places = self.world().map(|world| world.hosts.places()).unwrap_or_default();
        let networks = places.iter().map(|placed| {
            let bits = if placed.address.is_ipv4() { 32 } else { 128 };
            json!({"cidr": format!("{}/{bits}", placed.address), "country": placed.country})
        });
        json!({
            "title": "Scenario",
            "authority": {"name": "Regulator", "country": "KZ"},
            "appliesTo": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                "data": ["biometric.*", "vehicle.*"],
            },
            "homeCountries": ["KZ"],
            "networks": networks.collect::<Vec<_>>(),
            "transfers": [{"data": ["biometric.*", "vehicle.*"], "countries": ["KZ"], "grounds": ["Law", "Contract"]}],
        })
    }

    /// Sets a standard with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn standard_with(&self, spec: Value) -> Result<SovereigntyStandard> {
        let standard = self.object("SovereigntyStandard", &self.named("standard"), spec)?;
        apply(&Api::all(self.kube.clone()), &standard).await
    }

    /// Sets a recipient of Kazakhstan with a permit for [`FACE`] and these endpoints.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn recipient(&self, name: &str, endpoints: Value) -> Result<Recipient> {
        self.recipient_with(name, recipient_spec(endpoints)).await
    }

    /// Sets a recipient with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn recipient_with(&self, name: &str, spec: Value) -> Result<Recipient> {
        let recipient = self.object("Recipient", &self.named(name), spec)?;
        apply(&Api::all(self.kube.clone()), &recipient).await
    }

    /// Sets the holding `faces` of every covered pod, with transfers of [`FACE`] to these recipients, and waits until it is
    /// accepted.
    ///
    /// # Errors
    /// When it is not accepted.
    pub async fn holding(&self, recipients: &[&str]) -> Result<DataHolding> {
        let holding = self.holding_with("faces", self.holding_spec(recipients)).await?;
        self.condition(&holding.name_any(), "Accepted", "True").await?;
        Ok(holding)
    }

    /// The spec of [`Self::holding`].
    #[must_use]
    pub fn holding_spec(&self, recipients: &[&str]) -> Value {
        let transfer = |name: &&str| json!({"recipient": self.named(name), "data": [FACE]});
        json!({
            "title": "Scenario",
            "controller": {"name": "Controller", "country": "KZ"},
            "workloadSelector": {"matchLabels": {APPLICATION: Cover::Covered.label()}},
            "data": [{"category": FACE}],
            "transfers": recipients.iter().map(transfer).collect::<Vec<_>>(),
        })
    }

    /// Sets a holding with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn holding_with(&self, name: &str, spec: Value) -> Result<DataHolding> {
        let holding = self.object("DataHolding", name, spec)?;
        apply(&self.api::<DataHolding>(), &holding).await
    }

    /// Waits until a condition of a holding has this status, said of the present generation.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn condition(&self, holding: &str, kind: &str, status: &str) -> Result<Condition> {
        let api = self.api::<DataHolding>();
        until(&format!("{kind}={status} of the holding {holding}"), CONDITION, async || {
            let holding = api.get(holding).await?;
            let found = condition(&holding, kind)
                .filter(|condition| condition.status == status && condition.observed_generation == holding.metadata.generation);
            Ok(Seen::some_or(found.cloned(), holding.status.map(|status| status.conditions)))
        })
        .await
    }

    /// Waits until the holding `faces` is enforced in this many pods, which are all that there are.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn enforcing(&self, pods: i64) -> Result<DataHolding> {
        let api = self.api::<DataHolding>();
        let what = format!("the holding faces is enforced in {pods} pods");
        until(&what, CONDITION, async || {
            let holding = api.get("faces").await?;
            let covered = holding.status.as_ref().and_then(|status| status.coverage.as_ref());
            let all = covered.is_some_and(|coverage| coverage.in_scope == pods && coverage.covered == pods);
            let enforcing = condition(&holding, "Enforcing").is_some_and(|condition| condition.status == "True");
            Ok(Seen::some_or((all && enforcing).then(|| holding.clone()), holding.status))
        })
        .await
    }

    /// An object of the scenario, by kind, name and spec.
    ///
    /// # Errors
    /// When the spec is not of that kind.
    pub fn object<K: serde::de::DeserializeOwned>(&self, kind: &str, name: &str, spec: Value) -> Result<K> {
        let object = json!({
            "apiVersion": "shekara.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "labels": {SCENARIO_LABEL: self.namespace}},
            "spec": spec,
        });
        serde_json::from_value(object).with_context(|| format!("the spec of {name} is not of a {kind}"))
    }
}

/// The spec of a recipient of Kazakhstan with a permit for [`FACE`].
#[must_use]
pub fn recipient_spec(endpoints: Value) -> Value {
    json!({
        "legalName": "Scenario", "country": "KZ", "role": "Processor", "endpoints": endpoints,
        "permits": [{"data": [FACE], "ground": "Contract", "document": {"number": "1"}}],
    })
}

/// The spec with another value at a JSON pointer, such as `/permits/0/validUntil`.
///
/// # Errors
/// When the pointer's parent is not there.
pub fn with(mut spec: Value, pointer: &str, value: Value) -> Result<Value> {
    let (parent, key) = pointer.rsplit_once('/').with_context(|| format!("{pointer} is not a pointer"))?;
    match spec.pointer_mut(parent).with_context(|| format!("there is no {parent}"))? {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        Value::Array(items) => *items.get_mut(key.parse::<usize>()?).with_context(|| format!("there is no {pointer}"))? = value,
        _ => bail!("{parent} has no fields"),
    }
    Ok(spec)
}

/// The object with one entry more in the list at a JSON pointer, such as `/spec/volumes`.
///
/// # Errors
/// When there is no such list.
pub fn with_entry(mut object: Value, pointer: &str, entry: Value) -> Result<Value> {
    let list = object.pointer_mut(pointer).and_then(Value::as_array_mut);
    list.with_context(|| format!("there is no list {pointer}"))?.push(entry);
    Ok(object)
}

/// A condition of a holding.
#[must_use]
pub fn condition<'a>(holding: &'a DataHolding, kind: &str) -> Option<&'a Condition> {
    holding.status.iter().flat_map(|status| &status.conditions).find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_is_changed_where_the_pointer_says() {
        let spec = recipient_spec(json!([{"host": "a.example"}]));
        let changed = with(spec.clone(), "/permits/0/validUntil", json!("2099-01-01T00:00:00Z")).unwrap();
        assert_eq!(changed["permits"][0]["validUntil"], "2099-01-01T00:00:00Z");
        let changed = with(spec.clone(), "/endpoints/0", json!({})).unwrap();
        assert_eq!(changed["endpoints"], json!([{}]));
        assert!(with(spec.clone(), "/endpoints/1", json!({})).is_err());
        assert!(with(spec, "/nothing/there", json!({})).is_err());
    }
}
