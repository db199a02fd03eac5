//! The certificate authority in the webhook configuration, so that the API server trusts the webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::{debug, info};

/// Under this name the operator owns the field.
const FIELD_MANAGER: &str = "shekara-operator";

/// The configuration that is to have it.
pub(super) struct Bundle {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
}

impl Bundle {
    pub(super) fn new(client: Client, name: &str) -> Self {
        Self { api: Api::all(client), name: name.to_owned() }
    }

    /// Writes the certificates where they are missing. A configuration that does not exist is nothing to wait for.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn write(&self, certificates: &str) -> Result<(), kube::Error> {
        let Some(present) = self.api.get_opt(&self.name).await? else {
            debug!(name = self.name, "there is no webhook configuration");
            return Ok(());
        };
        let Some(patch) = patch(&present, &self.name, certificates) else { return Ok(()) };
        self.api.patch(&self.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await?;
        info!(name = self.name, "the webhook configuration has the certificate authority");
        Ok(())
    }
}

/// The fields that the operator owns, or nothing where all of them are right already.
fn patch(present: &MutatingWebhookConfiguration, name: &str, certificate: &str) -> Option<Value> {
    let webhooks = present.webhooks.as_deref().unwrap_or_default();
    let right = |bundle: Option<&k8s_openapi::ByteString>| bundle.is_some_and(|bundle| bundle.0 == certificate.as_bytes());
    if webhooks.iter().all(|webhook| right(webhook.client_config.ca_bundle.as_ref())) {
        return None;
    }
    let bundle = STANDARD.encode(certificate);
    let webhooks: Vec<Value> =
        webhooks.iter().map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}})).collect();
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": webhooks
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: [Option<&str>; 2]) -> MutatingWebhookConfiguration {
        let webhook = |(name, bundle): (&str, Option<&str>)| {
            let mut webhook = json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"service": {"namespace": "s", "name": "w"}}});
            if let Some(bundle) = bundle {
                webhook["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
            }
            webhook
        };
        let webhooks: Vec<Value> = ["a.shekara.dev", "b.shekara.dev"].into_iter().zip(bundles).map(webhook).collect();
        serde_json::from_value(json!({"metadata": {"name": "c"}, "webhooks": webhooks})).unwrap()
    }

    #[test]
    fn only_what_differs_is_written_and_only_the_bundle_is_owned() {
        assert_eq!(patch(&configuration([Some("pem"), Some("pem")]), "c", "pem"), None);
        for bundles in [[None, None], [Some("pem"), None], [Some("old"), Some("pem")]] {
            let patch = patch(&configuration(bundles), "c", "pem").unwrap();
            let owned = json!({"caBundle": STANDARD.encode("pem")});
            assert_eq!(
                patch["webhooks"],
                json!([{"name": "a.shekara.dev", "clientConfig": owned}, {"name": "b.shekara.dev", "clientConfig": owned}])
            );
        }
    }
}
