use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType, date_time_ymd,
};
use rstest::rstest;

use super::*;

fn now() -> Timestamp {
    "2026-06-01T10:00:00Z".parse().unwrap()
}

fn names() -> Vec<String> {
    vec!["shekara-policy.shekara-system.svc".into(), "shekara-policy".into()]
}

/// What is said of a sound authority.
fn sound() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Platform");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    (params.not_before, params.not_after) = (date_time_ymd(2026, 5, 1), date_time_ymd(2026, 7, 1));
    params
}

fn secret(certificate: &str, key: &str) -> BTreeMap<String, Vec<u8>> {
    [("tls.crt", certificate), ("tls.key", key), ("ca.crt", "")]
        .map(|(name, text)| (name.into(), text.as_bytes().to_vec()))
        .into()
}

fn of(params: &CertificateParams) -> Result<Authority, Unusable> {
    let key = KeyPair::generate().unwrap();
    read(&secret(&params.self_signed(&key).unwrap().pem(), &key.serialize_pem()), &names(), now())
}

fn problem(read: Result<Authority, Unusable>) -> String {
    read.err().map(|problem| problem.to_string()).unwrap_or_default()
}

#[test]
fn a_sound_one_is_taken_in_one_form_whatever_stands_around_it() {
    let key = KeyPair::generate().unwrap();
    let certificate = sound().self_signed(&key).unwrap();
    let said = format!("subject=CN = Platform\n{}", certificate.pem().replace('\n', "\r\n"));
    let authority = read(&secret(&said, &key.serialize_pem()), &names(), now()).unwrap();
    assert_eq!(authority.certificate_pem(), certificate.pem());
    assert_eq!(authority.ends(), "2026-07-01T00:00:00Z".parse().unwrap());
    let (served, _) = authority.issue(&names(), now()).unwrap();
    assert_eq!(served.cert.len(), 1, "a root is not shown");
}

#[rstest]
#[case(include_str!("../private_key/rsa-pkcs1.pem"))]
#[case(include_str!("../private_key/p256-sec1.pem"))]
#[case(include_str!("../private_key/p384-sec1.pem"))]
#[case(include_str!("../private_key/ed25519-pkcs8.pem"))]
fn what_it_issues_is_believed_whatever_its_key_is(#[case] pem: &str) {
    let key = private_key::read(pem.as_bytes()).unwrap();
    let read = read(&secret(&sound().self_signed(&key).unwrap().pem(), pem), &names(), now());
    assert_eq!(problem(read), "");
}

#[test]
fn one_that_another_vouches_for_is_trusted_alone_and_shows_who_does() {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut root = sound();
    root.distinguished_name.push(DnType::CommonName, "Root");
    let root_certificate = root.self_signed(&root_key).unwrap();
    let certificate = sound().signed_by(&key, &Issuer::new(root, &root_key)).unwrap();
    let chain = format!("{}{}", certificate.pem(), root_certificate.pem());
    let authority = read(&secret(&chain, &key.serialize_pem()), &names(), now()).unwrap();
    assert_eq!(authority.certificate_pem(), certificate.pem(), "the root vouches for others too");
    let (served, _) = authority.issue(&names(), now()).unwrap();
    assert_eq!(served.cert[1..], [certificate.der().clone()]);
}

#[test]
fn what_it_issues_ends_with_it() {
    let (served, _) = of(&sound()).unwrap().issue(&names(), now()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&served.cert[0]).unwrap();
    assert_eq!(leaf.validity().not_after.timestamp(), "2026-07-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second());
}

#[test]
fn what_it_may_not_do_is_named() {
    let says = |change: fn(&mut CertificateParams)| {
        let mut params = sound();
        change(&mut params);
        problem(of(&params))
    };
    let first = "tls.crt: the first certificate";
    assert_eq!(
        says(|params| params.is_ca = IsCa::ExplicitNoCa),
        format!("{first} is not that of an authority: its basic constraints do not say CA:TRUE")
    );
    let may_not_sign = format!("{first} may not sign others: its key usage does not say keyCertSign");
    assert_eq!(says(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]), may_not_sign);
    assert_eq!(says(|params| params.key_usages = vec![]), may_not_sign);
    let for_clients = says(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(
        for_clients,
        format!("{first} may not sign those of servers: it has an extended key usage that does not say serverAuth")
    );
    assert_eq!(says(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]), "");
    assert_eq!(
        says(|params| params.not_before = date_time_ymd(2026, 6, 2)),
        format!("{first} is not valid before 2026-06-02T00:00:00Z")
    );
    assert_eq!(
        says(|params| params.not_after = date_time_ymd(2026, 6, 1)),
        format!("{first} was valid until 2026-06-01T00:00:00Z")
    );
    let elsewhere = says(|params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.kz".into())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    });
    assert!(
        elsewhere.starts_with("tls.crt: what the first certificate signs for the Services of the operator would not be believed"),
        "{elsewhere}"
    );
}

#[test]
fn one_without_an_end_is_sound() {
    let mut params = sound();
    // its second is the last of the year that RFC 5280 means by it
    params.not_after = date_time_ymd(9999, 12, 31);
    assert_eq!(problem(of(&params)), "");
    assert_eq!(of(&params).unwrap().ends(), Timestamp::MAX);
}

#[test]
fn what_could_not_be_told_or_shown_is_too_long() {
    let key = KeyPair::generate().unwrap();
    let mut long = sound();
    long.subject_alt_names = (0..400).map(|n| SanType::DnsName(format!("name-{n}.example.kz").try_into().unwrap())).collect();
    let said = problem(of(&long));
    assert!(said.starts_with("tls.crt: the first certificate has ") && said.contains("at most 8192"), "{said}");
    let certificate = sound().self_signed(&key).unwrap().pem();
    let said = problem(read(&secret(&certificate.repeat(100), &key.serialize_pem()), &names(), now()));
    assert!(said.starts_with("tls.crt: its certificates have ") && said.contains("at most 32768"), "{said}");
}

#[test]
fn entries_that_are_absent_or_something_else_are_named() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = sound().self_signed(&key).unwrap().pem();
    let says = |certificate: &str, key: &str| problem(read(&secret(certificate, key), &names(), now()));
    assert_eq!(says(&certificate, &other.serialize_pem()), "tls.key: it is not the key of the first certificate of tls.crt");
    assert_eq!(says("nothing", &key.serialize_pem()), "tls.crt: it does not begin with a certificate in PEM");
    let unknown = says(&certificate, include_str!("../private_key/p521-sec1.pem"));
    assert!(unknown.starts_with("tls.key: it is no key that the operator can sign with: wanted is"), "{unknown}");
    for entry in ["tls.crt", "tls.key"] {
        let mut data = secret(&certificate, &key.serialize_pem());
        data.remove(entry);
        assert_eq!(problem(read(&data, &names(), now())), format!("{entry}: there is no such entry"));
    }
}
