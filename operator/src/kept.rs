//! A Secret of the operator's namespace in which something is kept that must outlive the process.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};

/// Who may update the Secret asks by this annotation that what lies in it is replaced now. It is taken away when that is done.
pub(crate) const ROTATE: &str = "shekara.dev/rotate";

/// The Secret cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the Secret {name} cannot be {action}: {source}")]
pub struct SecretError {
    name: String,
    action: &'static str,
    source: Box<kube::Error>,
}

/// A Secret by its name.
pub(crate) struct Kept {
    api: Api<Secret>,
    name: String,
}

/// What was there.
pub(crate) struct Present {
    pub(crate) data: BTreeMap<String, Vec<u8>>,
    /// Whether somebody asks that what is kept is replaced.
    pub(crate) rotate: bool,
    secret: Secret,
}

impl Kept {
    pub(crate) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) async fn read(&self) -> Result<Option<Present>, SecretError> {
        let secret = self.api.get_opt(&self.name).await.map_err(|source| self.failed("read", source))?;
        Ok(secret.map(|secret| Present {
            data: secret.data.iter().flatten().map(|(name, bytes)| (name.clone(), bytes.0.clone())).collect(),
            rotate: secret.annotations().contains_key(ROTATE),
            secret,
        }))
    }

    /// Writes the entries over what was there, and takes the wish to replace them away. False where somebody else wrote meanwhile.
    pub(crate) async fn write(&self, data: &BTreeMap<String, Vec<u8>>, present: Option<&Present>) -> Result<bool, SecretError> {
        let new = || Secret {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            type_: Some("Opaque".into()),
            ..Secret::default()
        };
        let mut secret = present.map_or_else(new, |present| present.secret.clone());
        secret.data = Some(data.iter().map(|(name, bytes)| (name.clone(), ByteString(bytes.clone()))).collect());
        secret.annotations_mut().remove(ROTATE);
        let written = match present {
            None => self.api.create(&PostParams::default(), &secret).await,
            Some(_) => self.api.replace(&self.name, &PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(source) => Err(self.failed("written", source)),
        }
    }

    fn failed(&self, action: &'static str, source: kube::Error) -> SecretError {
        SecretError { name: self.name.clone(), action, source: Box::new(source) }
    }
}
