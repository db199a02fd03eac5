//! An authority as it is kept among the entries of the operator's own Secret: with its key where the operator made it, and without
//! where the key lies in a Secret of somebody else. No input or output.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::authority::{Authority, AuthorityError, ends};

/// The entries of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entries {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    pub(super) path: &'static str,
}

/// An authority that counts, whether its key is known or not.
#[derive(Clone)]
pub(super) struct Generation {
    certificate: String,
    ends: Timestamp,
    path: String,
    authority: Option<Arc<Authority>>,
    /// Its key lies elsewhere, and is not copied.
    given: bool,
}

impl Generation {
    /// One that the operator made.
    pub(super) fn own(authority: Authority) -> Self {
        Self { given: false, ..Self::given(&Arc::new(authority)) }
    }

    /// One that comes from elsewhere.
    pub(super) fn given(authority: &Arc<Authority>) -> Self {
        Self {
            certificate: authority.certificate_pem().to_owned(),
            ends: authority.ends(),
            path: authority.webhook_path(),
            authority: Some(Arc::clone(authority)),
            given: true,
        }
    }

    /// Reads one; none where there is no entry of it.
    ///
    /// # Errors
    /// When there is only a part of it, since sidecars may trust what was there, or when what is there cannot be used.
    pub(super) fn read(data: &BTreeMap<String, Vec<u8>>, entries: Entries) -> Result<Option<Self>, AuthorityError> {
        let text = |name: &str| data.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match (text(entries.certificate), text(entries.key), text(entries.path)) {
            (None, None, None) => Ok(None),
            (Some(certificate), Some(key), _) => Ok(Some(Self::own(Authority::from_pem(certificate, &key)?))),
            (Some(certificate), None, Some(path)) => {
                Ok(Some(Self { ends: ends(&certificate)?, certificate, path, authority: None, given: true }))
            }
            _ => Err(AuthorityError::Incomplete),
        }
    }

    /// What of it is kept.
    pub(super) fn entries(&self, entries: Entries) -> Vec<(&'static str, String)> {
        let secret = match &self.authority {
            Some(authority) if !self.given => (entries.key, authority.key_pem()),
            _ => (entries.path, self.path.clone()),
        };
        vec![(entries.certificate, self.certificate.clone()), secret]
    }

    /// Takes the key where it is this one's.
    pub(super) fn learn(&mut self, authority: &Arc<Authority>) {
        if self.is(authority) && self.authority.is_none() {
            self.authority = Some(Arc::clone(authority));
        }
    }

    /// Whether it is this authority.
    pub(super) fn is(&self, authority: &Authority) -> bool {
        self.certificate == authority.certificate_pem()
    }

    /// Whether its key lies in a Secret of somebody else.
    pub(super) fn is_given(&self) -> bool {
        self.given
    }

    /// Whether it is no longer valid.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        now > self.ends
    }

    /// With its key, where that is known.
    pub(super) fn authority(&self) -> Option<&Arc<Authority>> {
        self.authority.as_ref()
    }

    /// Its certificate, in PEM.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The path of the webhook as long as it is the authority of the moment.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}
