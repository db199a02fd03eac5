//! An authority that somebody else gives, in a Secret of the type kubernetes.io/tls: whether the operator can issue with it. No
//! input or output.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use pem::{EncodeConfig, LineEnding, Pem};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::authority::{Authority, AuthorityError, instant};
use super::private_key;

/// The entry with the certificate, and behind it those that vouch for it.
const CERTIFICATE: &str = "tls.crt";
/// The entry with its key.
const KEY: &str = "tls.key";
/// How many bytes the certificate may have (DER): every sidecar is told it, beside its predecessor, within the bounds of a key set.
const LONGEST_CERTIFICATE: usize = 8 << 10;
/// How many bytes those may have together that are shown to whoever connects: handshakes of TLS have bounds.
const LONGEST_CHAIN: usize = 32 << 10;

/// An entry of the Secret that cannot be used, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry}: {problem}")]
pub(super) struct Unusable {
    entry: &'static str,
    problem: Problem,
}

/// What is wrong with an entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("there is no such entry")]
    Absent,
    #[error("it does not begin with a certificate in PEM")]
    NoCertificate,
    #[error("the first certificate has {0} bytes; at most {LONGEST_CERTIFICATE} can be told to every sidecar")]
    LongCertificate(usize),
    #[error("its certificates have {0} bytes together; at most {LONGEST_CHAIN} can be shown to whoever connects")]
    LongChain(usize),
    #[error("the first certificate is not that of an authority: its basic constraints do not say CA:TRUE")]
    NoAuthority,
    #[error("the first certificate may not sign others: its key usage does not say keyCertSign")]
    MayNotSign,
    #[error("the first certificate may not sign those of servers: it has an extended key usage that does not say serverAuth")]
    NotForServers,
    #[error("the first certificate is not valid before {0}")]
    Early(Timestamp),
    #[error("the first certificate was valid until {0}")]
    Ended(Timestamp),
    #[error(
        "it is no key that the operator can sign with: wanted is, in PEM and not encrypted, RSA of 2048 to 4096 bits (PKCS#8 or \
         PKCS#1), ECDSA on P-256 or P-384 (PKCS#8 or SEC1), or Ed25519 (PKCS#8)"
    )]
    NoKey,
    #[error("it is not the key of the first certificate of tls.crt")]
    OtherKey,
    #[error("what the first certificate signs for the Services of the operator would not be believed: {0}")]
    NotBelieved(String),
}

impl Problem {
    fn of(self, entry: &'static str) -> Unusable {
        Unusable { entry, problem: self }
    }
}

/// Reads the authority, and sees whether a certificate that it issues for these names is believed by who trusts it alone: names
/// that it may not sign for, or algorithms that nobody here knows, are noticed before everybody is to trust it.
///
/// # Errors
/// When it cannot be used: the entry, and what is wrong with it.
pub(super) fn read(data: &BTreeMap<String, Vec<u8>>, names: &[String], now: Timestamp) -> Result<Authority, Unusable> {
    let entry = |name: &'static str| data.get(name).ok_or_else(|| Problem::Absent.of(name));
    let (certificates, key) = (certificates(entry(CERTIFICATE)?), entry(KEY)?);
    let first = certificates
        .as_ref()
        .and_then(|certificates| certificates.first())
        .ok_or_else(|| Problem::NoCertificate.of(CERTIFICATE))?;
    let (long, together) = (first.len(), certificates.iter().flatten().map(|certificate| certificate.len()).sum());
    if long > LONGEST_CERTIFICATE {
        return Err(Problem::LongCertificate(long).of(CERTIFICATE));
    }
    if together > LONGEST_CHAIN {
        return Err(Problem::LongChain(together).of(CERTIFICATE));
    }
    let (_, parsed) = X509Certificate::from_der(first).map_err(|_| Problem::NoCertificate.of(CERTIFICATE))?;
    may_issue(&parsed, now).map_err(|problem| problem.of(CERTIFICATE))?;
    let key = private_key::read(key).ok_or_else(|| Problem::NoKey.of(KEY))?;
    let chain = certificates.iter().flatten().filter(|certificate| !signs_itself(certificate)).cloned().collect();
    let authority = Authority::new(pem(first), key, chain).map_err(|problem| match problem {
        AuthorityError::KeyMismatch => Problem::OtherKey.of(KEY),
        other => Problem::NotBelieved(other.to_string()).of(CERTIFICATE),
    })?;
    is_believed(&authority, first, names, now).map_err(|problem| Problem::NotBelieved(problem).of(CERTIFICATE))?;
    Ok(authority)
}

/// What must be said of an authority by those who believe it: the API server asks for more than sidecars do.
fn may_issue(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), Problem> {
    if !certificate.is_ca() {
        return Err(Problem::NoAuthority);
    }
    if !certificate.key_usage().is_ok_and(|usage| usage.is_some_and(|usage| usage.value.key_cert_sign())) {
        return Err(Problem::MayNotSign);
    }
    if !certificate.extended_key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.any || usage.value.server_auth)) {
        return Err(Problem::NotForServers);
    }
    let (begins, ends) = (instant(certificate.validity().not_before), instant(certificate.validity().not_after));
    if now < begins {
        return Err(Problem::Early(begins));
    }
    if now > ends {
        return Err(Problem::Ended(ends));
    }
    Ok(())
}

fn is_believed(authority: &Authority, trusted: &CertificateDer<'_>, names: &[String], now: Timestamp) -> Result<(), String> {
    let said = |problem: &dyn std::fmt::Display| problem.to_string();
    let (served, _) = authority.issue(names, now).map_err(|problem| said(&problem))?;
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone().into_owned()).map_err(|problem| said(&problem))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().map_err(|problem| said(&problem))?;
    let (leaf, others) = served.cert.split_first().ok_or("nothing was issued")?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().unsigned_abs()));
    for name in names {
        let name = ServerName::try_from(name.as_str()).map_err(|problem| said(&problem))?;
        verifier.verify_server_cert(leaf, others, &name, &[], at).map_err(|problem| said(&problem))?;
    }
    Ok(())
}

/// All of them, or none where one cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()
}

/// Whoever trusts a root has it, so it is not shown.
fn signs_itself(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == parsed.issuer().as_raw())
}

/// One form for each certificate, whatever stood around it.
fn pem(certificate: &CertificateDer<'_>) -> String {
    let lines = EncodeConfig::new().set_line_ending(LineEnding::LF);
    pem::encode_config(&Pem::new("CERTIFICATE", certificate.as_ref()), lines)
}

#[cfg(test)]
mod tests;
