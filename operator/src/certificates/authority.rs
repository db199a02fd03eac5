//! The certificate authority: made, read, and issuing serving certificates. No input or output.

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::time::ASN1Time;

/// How long the authority lasts: longer than any pod that pins it.
const AUTHORITY_YEARS: i64 = 10;
/// How many days a serving certificate lasts.
const SERVING_DAYS: i64 = 90;
/// After how many days it is renewed.
const RENEW_DAYS: i64 = 30;

/// A certificate authority that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// rcgen cannot make or read it.
    #[error("the certificate authority cannot be made or used: {0}")]
    Unusable(#[from] rcgen::Error),
    /// What is kept is no certificate.
    #[error("the certificate of the authority cannot be read")]
    Unreadable,
    /// The key is another one's.
    #[error("the key of the authority does not belong to its certificate")]
    KeyMismatch,
    /// A certificate without a key or a path, or one of these without it.
    #[error("the Secret of the certificate authority has a part of an authority without the others")]
    Incomplete,
    /// There is no key of an authority that counts.
    #[error("no key of an authority that counts is known")]
    NoKey,
    /// rustls cannot use the serving certificate.
    #[error("the serving certificate cannot be used: {0}")]
    Serving(#[from] rustls::Error),
    /// The clock is out of the range of dates.
    #[error("the present time cannot be used for a certificate: {0}")]
    Clock(#[from] jiff::Error),
}

/// A certificate authority with its key.
pub(super) struct Authority {
    certificate: String,
    ends: Timestamp,
    /// What is shown with each certificate that it issues: itself and those that vouch for it, where there are such.
    chain: Vec<CertificateDer<'static>>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one.
    pub(super) fn create(now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Shekara");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, Span::new().years(AUTHORITY_YEARS))?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { ends: ends(&certificate)?, certificate, chain: vec![], issuer: Issuer::new(params, key) })
    }

    /// Reads one.
    pub(super) fn from_pem(certificate: String, key: &str) -> Result<Self, AuthorityError> {
        Self::new(certificate, KeyPair::from_pem(key)?, vec![])
    }

    /// One that comes from elsewhere, with what is shown with each certificate that it issues.
    pub(super) fn new(certificate: String, key: KeyPair, chain: Vec<CertificateDer<'static>>) -> Result<Self, AuthorityError> {
        if !of_certificate(&certificate, |parsed| parsed.public_key().raw == key.subject_public_key_info())? {
            return Err(AuthorityError::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)?;
        Ok(Self { ends: ends(&certificate)?, certificate, chain, issuer })
    }

    /// The last instant at which it is valid.
    pub(super) fn ends(&self) -> Timestamp {
        self.ends
    }

    /// The certificate, in PEM.
    pub(super) fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The key, in PEM.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The path of the webhook, which nobody can tell who has neither the key nor the webhook's configuration. The API server shows no
    /// certificate to webhooks unless whoever runs it says so: by the path it is told from everybody else who reaches the port.
    pub(super) fn webhook_path(&self) -> String {
        let digest = Sha256::new().chain_update("shekara webhook\n").chain_update(self.key_pem()).finalize();
        let secret: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("/mutate/{secret}")
    }

    /// A serving certificate for these names, and when it is to be renewed.
    pub(super) fn issue(&self, names: &[String], now: Timestamp) -> Result<(Arc<CertifiedKey>, Timestamp), AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = name("shekara-operator");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        set_validity(&mut params, now, Span::new().days(SERVING_DAYS))?;
        // nobody accepts it for longer than its authority: those who trust that do not all look at its end
        params.not_after =
            of_certificate(&self.certificate, |issuer| params.not_after.min(issuer.validity().not_after.to_datetime()))?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let signing = rustls::crypto::ring::sign::any_supported_type(&private)?;
        let renew = now.to_zoned(TimeZone::UTC).checked_add(Span::new().days(RENEW_DAYS))?.timestamp();
        let shown = std::iter::once(certificate.der()).chain(&self.chain).cloned().collect();
        Ok((Arc::new(CertifiedKey::new(shown, signing)), renew))
    }
}

/// The last instant at which a certificate in PEM is valid. One without an end has one that is no instant here (RFC 5280, 4.1.2.5).
pub(super) fn ends(certificate: &str) -> Result<Timestamp, AuthorityError> {
    of_certificate(certificate, |parsed| instant(parsed.validity().not_after))
}

/// An instant that a certificate names. What is beyond the calendar is its end: years of certificates go as far as 9999.
pub(super) fn instant(named: ASN1Time) -> Timestamp {
    Timestamp::from_second(named.timestamp()).unwrap_or(Timestamp::MAX)
}

/// What a certificate in PEM says.
fn of_certificate<T>(certificate: &str, read: impl FnOnce(&X509Certificate<'_>) -> T) -> Result<T, AuthorityError> {
    let (_, pem) = parse_x509_pem(certificate.as_bytes()).map_err(|_| AuthorityError::Unreadable)?;
    let parsed = pem.parse_x509().map_err(|_| AuthorityError::Unreadable)?;
    Ok(read(&parsed))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// The day that is this far from now, as year, month and day: rcgen has a type of its own for instants, of a crate that only it
/// names.
fn day(now: Timestamp, span: Span) -> Result<(i32, u8, u8), AuthorityError> {
    let day = now.to_zoned(TimeZone::UTC).date().checked_add(span)?;
    Ok((i32::from(day.year()), day.month().unsigned_abs(), day.day().unsigned_abs()))
}

/// Sets from which day to which day a certificate is valid; it begins a day before now, for clocks that are slow.
fn set_validity(params: &mut CertificateParams, now: Timestamp, lasts: Span) -> Result<(), AuthorityError> {
    let (year, month, begins) = day(now, Span::new().days(-1))?;
    params.not_before = date_time_ymd(year, month, begins);
    let (year, month, ends) = day(now, lasts)?;
    params.not_after = date_time_ymd(year, month, ends);
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{UnixTime, pem::PemObject as _};

    use super::*;

    fn now() -> Timestamp {
        "2026-06-01T10:00:00Z".parse().unwrap()
    }

    fn accepts(authority: &Authority, key: &CertifiedKey, name: &str, at: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(at.as_second().try_into().unwrap()));
        verifier.verify_server_cert(&key.cert[0], &[], &name.to_owned().try_into().unwrap(), &[], at).is_ok()
    }

    #[test]
    fn what_it_issues_is_accepted_by_who_pins_it_for_its_names_and_time_alone() {
        let authority = Authority::create(now()).unwrap();
        let (key, renew) = authority.issue(&["shekara-policy.shekara-system.svc".into()], now()).unwrap();
        assert!(accepts(&authority, &key, "shekara-policy.shekara-system.svc", now()));
        assert!(accepts(&authority, &key, "shekara-policy.shekara-system.svc", renew));
        assert!(!accepts(&authority, &key, "shekara-policy.other.svc", now()));
        assert!(!accepts(&authority, &key, "shekara-policy.shekara-system.svc", "2026-09-01T00:00:00Z".parse().unwrap()));
        let stranger = Authority::create(now()).unwrap();
        assert!(!accepts(&stranger, &key, "shekara-policy.shekara-system.svc", now()));
    }

    #[test]
    fn one_that_is_read_again_is_the_same_to_who_pins_it() {
        let authority = Authority::create(now()).unwrap();
        let again = Authority::from_pem(authority.certificate_pem().into(), &authority.key_pem()).unwrap();
        let (key, _) = again.issue(&["a.b.svc".into()], now()).unwrap();
        assert!(accepts(&authority, &key, "a.b.svc", now()));
    }

    #[test]
    fn a_key_of_another_is_refused() {
        let (one, other) = (Authority::create(now()).unwrap(), Authority::create(now()).unwrap());
        assert!(matches!(Authority::from_pem(one.certificate_pem().into(), &other.key_pem()), Err(AuthorityError::KeyMismatch)));
        assert!(matches!(Authority::from_pem("nothing".into(), &one.key_pem()), Err(AuthorityError::Unreadable)));
    }
}
