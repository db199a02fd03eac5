//! The certificate authority comes from a Secret of the platform's in place of the operator's own, is replaced there, and comes from
//! the operator again: the border stands all the while, new pods are covered and reach the policy API, what is replaced is trusted with
//! its successor and then no more, and the key of the Secret is copied nowhere.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::DeleteParams;
use serde_json::json;
use shekara_e2e::cluster::{OPERATOR_NAMESPACE, apply, program, within};
use shekara_e2e::pods::workload::Cover;
use shekara_e2e::release;
use shekara_e2e::rotation::AUTHORITY;
use shekara_e2e::scenario::{Border, Scenario};
use shekara_e2e::wait::{Seen, until};
use shekara_e2e::world::hosts::cast::CLINIC;

/// The Secret of the platform's.
const SECRET: &str = "platform-ca";

/// Longer than the overlap with which the chart is installed for tests twice over, and some looks of the operator at its Secrets: two
/// replicas with different values may replace one after the other.
const OVERLAP: Duration = Duration::from_secs(240);

/// How long a sidecar may take that hears of an authority by the file of its document alone.
const BY_FILE: Duration = Duration::from_secs(180);

/// The two kinds of keys that platforms use.
const EC: [&str; 3] = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: [&str; 1] = ["rsa:2048"];

pub(super) async fn run(scenario: &Scenario) -> Result<()> {
    let border = scenario.border(&[("clinic", json!([{"host": CLINIC, "ports": [443], "protocol": "TLS"}]))]).await?;
    let first = give(scenario, &EC).await?;
    let values = format!("authority.source=Secret,authority.secret={SECRET}");
    let outcome = release::while_set(&values, async || with_the_platforms(scenario, &border, &first).await).await;
    within::<Secret>(&scenario.kube, OPERATOR_NAMESPACE).delete(SECRET, &DeleteParams::default()).await?;
    let second = outcome?;
    goes_on(scenario, &border, "back", 5).await.context("with the operator's own again")?;
    let platforms = [first, second];
    let own = |counting: &[String]| counting.len() == 1 && !counting.iter().any(|pem| platforms.contains(pem));
    counting(scenario, "the operator's own alone", own).await.map(drop)
}

/// Has the platform's authority used and replaced. Gives the second one.
async fn with_the_platforms(scenario: &Scenario, border: &Border, first: &str) -> Result<String> {
    counting(scenario, "the platform's too", |counting| counting.iter().any(|pem| pem == first)).await?;
    goes_on(scenario, border, "first", 2).await.context("in place of the operator's own")?;
    counting(scenario, "the platform's alone", |counting| counting == [first]).await?;
    kept(scenario, first).await?;
    goes_on(scenario, border, "second", 3).await.context("with the platform's alone")?;

    let second = give(scenario, &RSA).await?;
    let both = counting(scenario, "its successor too", |counting| counting.contains(&second)).await?;
    ensure!(both == [second.as_str(), first], "what counts is {both:?}");
    border.stands(scenario.world()?).await.context("while both of the platform's count")?;
    scenario.enforcing(3).await.context("while both of the platform's count")?;
    counting(scenario, "the successor alone", |counting| counting == [second.as_str()]).await?;
    kept(scenario, &second).await?;
    goes_on(scenario, border, "third", 4).await.context("with the successor alone")?;
    Ok(second)
}

/// The border stands, and a pod that is made now is covered and confirmed, so that this many are.
async fn goes_on(scenario: &Scenario, border: &Border, name: &str, pods: i64) -> Result<()> {
    border.stands(scenario.world()?).await?;
    scenario.client_in_time(name, Cover::Covered).await?;
    until("every pod is confirmed by the operator", BY_FILE, async || {
        Ok(scenario.enforcing(pods).await.map_or_else(|error| Seen::NotYet(format!("{error:#}")), |_| Seen::Yes(())))
    })
    .await
}

/// Waits until the authorities that sidecars trust are such, and gives them.
async fn counting(scenario: &Scenario, what: &str, so: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
    until(&format!("sidecars trust {what}"), OVERLAP, async || {
        let (_, keys) = scenario.bundle().await?;
        Ok(Seen::some_or(so(&keys.authorities).then(|| keys.authorities.clone()), keys.authorities))
    })
    .await
}

/// The operator's own Secret has the certificate, and no key of an authority.
async fn kept(scenario: &Scenario, certificate: &str) -> Result<()> {
    let secret = within::<Secret>(&scenario.kube, OPERATOR_NAMESPACE).get(AUTHORITY).await?;
    let entries: Vec<String> =
        secret.data.iter().flatten().map(|(_, bytes)| String::from_utf8_lossy(&bytes.0).into_owned()).collect();
    ensure!(entries.iter().any(|entry| entry == certificate), "{AUTHORITY} does not have the certificate");
    ensure!(!entries.iter().any(|entry| entry.contains("PRIVATE KEY")), "{AUTHORITY} has a key");
    Ok(())
}

/// Puts a new authority with a key of this form into the Secret, and gives its certificate.
async fn give(scenario: &Scenario, key: &[&str]) -> Result<String> {
    let folder = std::env::temp_dir().join(format!("{}-authority", scenario.namespace));
    std::fs::create_dir_all(&folder)?;
    let (key_file, certificate_file) = (folder.join("tls.key"), folder.join("tls.crt"));
    let (key_path, certificate_path) = (key_file.to_string_lossy(), certificate_file.to_string_lossy());
    let mut arguments = vec!["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=Platform", "-newkey"];
    arguments.extend(key);
    arguments.extend(["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    arguments.extend(["-keyout", &key_path, "-out", &certificate_path]);
    program("openssl", &arguments).await?;
    let (certificate, key) = (std::fs::read_to_string(&certificate_file)?, std::fs::read_to_string(&key_file)?);
    std::fs::remove_dir_all(&folder)?;
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate, "tls.key": key}
    }))?;
    apply(&within(&scenario.kube, OPERATOR_NAMESPACE), &secret).await?;
    Ok(certificate)
}
