//! The certificate authority in the webhook configuration, so that the API server trusts the webhook, and the path by which the webhook
//! trusts the API server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use tracing::{debug, info};

/// Under this name the operator owns the fields.
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

    /// Writes certificates and path where they are missing. A configuration that does not exist is nothing to wait for.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn write(&self, certificates: &str, path: &str) -> Result<(), kube::Error> {
        let Some(present) = self.api.get_opt(&self.name).await? else {
            debug!(name = self.name, "there is no webhook configuration");
            return Ok(());
        };
        let Some(patch) = patch(&present, &self.name, certificates, path) else { return Ok(()) };
        self.api.patch(&self.name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await?;
        info!(name = self.name, "the webhook configuration has the certificate authority and the path");
        Ok(())
    }
}

/// The fields that the operator owns, or nothing where all of them are right already.
fn patch(present: &MutatingWebhookConfiguration, name: &str, certificate: &str, path: &str) -> Option<Value> {
    let webhooks = present.webhooks.as_deref().unwrap_or_default();
    let is_right = |client: &WebhookClientConfig| {
        client.ca_bundle.as_ref().is_some_and(|bundle| bundle.0 == certificate.as_bytes())
            && client.service.as_ref().is_none_or(|service| service.path.as_deref() == Some(path))
    };
    if webhooks.iter().all(|webhook| is_right(&webhook.client_config)) {
        return None;
    }
    let bundle = STANDARD.encode(certificate);
    let owned = |client: &WebhookClientConfig| {
        let service = client.service.as_ref();
        let service = service.map(|service| json!({"name": service.name, "namespace": service.namespace, "path": path}));
        json!({"caBundle": bundle, "service": service})
    };
    let webhooks: Vec<Value> =
        webhooks.iter().map(|webhook| json!({"name": webhook.name, "clientConfig": owned(&webhook.client_config)})).collect();
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": webhooks
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/mutate/secret";

    fn configuration(bundles: [Option<&str>; 2], path: Option<&str>) -> MutatingWebhookConfiguration {
        let webhook = |(name, bundle): (&str, Option<&str>)| {
            let mut service = json!({"namespace": "s", "name": "w", "port": 443});
            if let Some(path) = path {
                service["path"] = json!(path);
            }
            let mut webhook = json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": {"service": service}});
            if let Some(bundle) = bundle {
                webhook["clientConfig"]["caBundle"] = json!(STANDARD.encode(bundle));
            }
            webhook
        };
        let webhooks: Vec<Value> = ["a.shekara.dev", "b.shekara.dev"].into_iter().zip(bundles).map(webhook).collect();
        serde_json::from_value(json!({"metadata": {"name": "c"}, "webhooks": webhooks})).unwrap()
    }

    #[test]
    fn only_what_differs_is_written_and_only_bundle_and_path_are_owned() {
        let right = [Some("pem"), Some("pem")];
        assert_eq!(patch(&configuration(right, Some(PATH)), "c", "pem", PATH), None);
        let wrong = [([None, None], Some(PATH)), ([Some("pem"), None], Some(PATH)), ([Some("old"), Some("pem")], Some(PATH))];
        for (bundles, path) in wrong.into_iter().chain([(right, None), (right, Some("/mutate"))]) {
            let patch = patch(&configuration(bundles, path), "c", "pem", PATH).unwrap();
            // a part of a structure is applied with what the structure requires
            let service = json!({"name": "w", "namespace": "s", "path": PATH});
            let owned = json!({"caBundle": STANDARD.encode("pem"), "service": service});
            assert_eq!(
                patch["webhooks"],
                json!([{"name": "a.shekara.dev", "clientConfig": owned}, {"name": "b.shekara.dev", "clientConfig": owned}])
            );
        }
    }
}
