//! The configuration, from environment variables alone.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::ResourceRequirements;
use serde::de::DeserializeOwned;
use shekara_crds::injection::{Level, Wanted};
use shekara_policy::{HostName, Limits};

/// What the operator must know before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The namespace that the operator runs in (`POD_NAMESPACE`).
    pub namespace: String,
    /// The name of the operator's own pod (`POD_NAME`): names the instance in events.
    pub pod_name: String,
    /// The address of the operator's own pod (`POD_IP`): where other replicas reach this one.
    pub pod_address: IpAddr,
    /// The image of the injected containers (`SHEKARA_SIDECAR_IMAGE`).
    pub sidecar_image: String,
    /// When the node pulls it (`SHEKARA_SIDECAR_PULL_POLICY`): `Always`, `IfNotPresent` or `Never`.
    pub sidecar_pull_policy: String,
    /// What each injected container asks for and may use (`SHEKARA_SIDECAR_RESOURCES`), as JSON.
    pub sidecar_resources: ResourceRequirements,
    /// The level of the sidecars' own log (`SHEKARA_SIDECAR_LOG`).
    pub sidecar_log: String,
    /// What each sidecar holds at once (`SHEKARA_SIDECAR_LIMITS`), as JSON.
    pub sidecar_limits: Limits,
    /// Who sets packet filters (`SHEKARA_FILTER`): `Init`, `Node` or `Auto`.
    pub filter: Wanted,
    /// The level of PodSecurity of namespaces that do not say (`SHEKARA_POD_SECURITY`): `privileged`, `baseline` or `restricted`.
    pub pod_security: Level,
    /// The networks of pods, Services and nodes (`SHEKARA_CLUSTER_NETWORKS`), at least one.
    pub cluster_networks: Vec<IpNet>,
    /// The DNS domain of the cluster (`SHEKARA_CLUSTER_DOMAIN`).
    pub cluster_domain: HostName,
    /// The Service whose cluster addresses are the resolvers (`SHEKARA_DNS_SERVICE`), as `namespace/name`.
    pub dns_service: (String, String),
    /// The Service of the policy API, in the operator's namespace (`SHEKARA_POLICY_SERVICE`).
    pub policy_service: String,
    /// The Service of the webhook, in the operator's namespace (`SHEKARA_WEBHOOK_SERVICE`).
    pub webhook_service: String,
    /// The webhook configuration that gets the certificate authority (`SHEKARA_WEBHOOK_CONFIGURATION`).
    pub webhook_configuration: String,
    /// The Secret that keeps the certificate authority, in the operator's namespace (`SHEKARA_TLS_SECRET`).
    pub tls_secret: String,
    /// The Secret from which the certificate authority comes, in the operator's namespace (`SHEKARA_AUTHORITY_SECRET`). The operator
    /// makes it where none is named.
    pub authority_secret: Option<String>,
    /// The Secret that keeps the root key and the document keys, in the operator's namespace (`SHEKARA_KEYS_SECRET`).
    pub keys_secret: String,
    /// How old a document key becomes before it is replaced (`SHEKARA_DOCUMENT_KEY_AGE`, in seconds).
    pub document_key_age: Duration,
    /// How old the certificate authority becomes before it is replaced (`SHEKARA_AUTHORITY_AGE`, in seconds).
    pub authority_age: Duration,
    /// How long a key or an authority that was replaced still counts (`SHEKARA_KEY_OVERLAP`, in seconds).
    pub key_overlap: Duration,
    /// How often a sidecar sends a checkpoint, in seconds (`SHEKARA_CHECKPOINT_INTERVAL`).
    pub checkpoint_interval: u32,
}

/// A configuration that cannot be used, with the variable that is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A variable without a default is absent or empty.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A value that means nothing.
    #[error("{variable} is {value:?}: {problem}")]
    Invalid {
        /// The name of the variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Config {
    /// Reads the configuration by a function that gives the value of a variable.
    ///
    /// # Errors
    /// When a required variable is absent or a value cannot be used; the error names the variable.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let required = |name: &'static str| read(name).ok_or(ConfigError::Missing(name));
        let or = |name: &'static str, default: &str| read(name).unwrap_or_else(|| default.to_owned());
        let (tls_secret, keys_secret) = (or("SHEKARA_TLS_SECRET", "shekara-tls"), or("SHEKARA_KEYS_SECRET", "shekara-keys"));
        Ok(Self {
            namespace: required("POD_NAMESPACE")?,
            pod_name: required("POD_NAME")?,
            pod_address: address(&required("POD_IP")?)?,
            sidecar_image: required("SHEKARA_SIDECAR_IMAGE")?,
            sidecar_pull_policy: pull_policy(or("SHEKARA_SIDECAR_PULL_POLICY", "IfNotPresent"))?,
            sidecar_resources: resources(or("SHEKARA_SIDECAR_RESOURCES", "{}"))?,
            sidecar_log: or("SHEKARA_SIDECAR_LOG", "info"),
            sidecar_limits: limits(&or("SHEKARA_SIDECAR_LIMITS", "{}"))?,
            filter: one_of("SHEKARA_FILTER", &or("SHEKARA_FILTER", "Init"), "Init, Node or Auto")?,
            pod_security: one_of(
                "SHEKARA_POD_SECURITY",
                &or("SHEKARA_POD_SECURITY", "privileged"),
                "privileged, baseline or restricted",
            )?,
            cluster_networks: networks(required("SHEKARA_CLUSTER_NETWORKS")?)?,
            cluster_domain: domain(or("SHEKARA_CLUSTER_DOMAIN", "cluster.local"))?,
            dns_service: service(or("SHEKARA_DNS_SERVICE", "kube-system/kube-dns"))?,
            policy_service: or("SHEKARA_POLICY_SERVICE", "shekara-policy"),
            webhook_service: or("SHEKARA_WEBHOOK_SERVICE", "shekara-webhook"),
            webhook_configuration: or("SHEKARA_WEBHOOK_CONFIGURATION", "zz-shekara-sidecar-injector"),
            authority_secret: authority_secret(read("SHEKARA_AUTHORITY_SECRET"), [&tls_secret, &keys_secret])?,
            tls_secret,
            keys_secret,
            document_key_age: seconds("SHEKARA_DOCUMENT_KEY_AGE", or("SHEKARA_DOCUMENT_KEY_AGE", "2592000"))?,
            authority_age: seconds("SHEKARA_AUTHORITY_AGE", or("SHEKARA_AUTHORITY_AGE", "31536000"))?,
            key_overlap: seconds("SHEKARA_KEY_OVERLAP", or("SHEKARA_KEY_OVERLAP", "3600"))?,
            checkpoint_interval: interval(or("SHEKARA_CHECKPOINT_INTERVAL", "10"))?,
        })
    }
}

fn invalid(variable: &'static str, value: &str, problem: impl ToString) -> ConfigError {
    ConfigError::Invalid { variable, value: value.to_owned(), problem: problem.to_string() }
}

fn one_of<T: DeserializeOwned>(variable: &'static str, value: &str, values: &str) -> Result<T, ConfigError> {
    serde_json::from_value(value.into()).map_err(|_| invalid(variable, value, format!("it is {values}")))
}

fn address(value: &str) -> Result<IpAddr, ConfigError> {
    value.parse().map_err(|_| invalid("POD_IP", value, "it is not an IP address"))
}

fn pull_policy(value: String) -> Result<String, ConfigError> {
    if ["Always", "IfNotPresent", "Never"].contains(&value.as_str()) {
        return Ok(value);
    }
    Err(invalid("SHEKARA_SIDECAR_PULL_POLICY", &value, "it is Always, IfNotPresent or Never"))
}

/// Not one of those that the operator writes.
fn authority_secret(value: Option<String>, own: [&String; 2]) -> Result<Option<String>, ConfigError> {
    match value {
        Some(value) if own.contains(&&value) => {
            Err(invalid("SHEKARA_AUTHORITY_SECRET", &value, "it is a Secret that the operator itself keeps"))
        }
        value => Ok(value),
    }
}

fn resources(value: String) -> Result<ResourceRequirements, ConfigError> {
    // a field that is misspelt would be dropped in silence, so what was read must say all that was written
    let read: ResourceRequirements =
        serde_json::from_str(&value).map_err(|error| invalid("SHEKARA_SIDECAR_RESOURCES", &value, error))?;
    let said: Option<serde_json::Value> = serde_json::from_str(&value).ok();
    if serde_json::to_value(&read).ok() == said {
        return Ok(read);
    }
    Err(invalid("SHEKARA_SIDECAR_RESOURCES", &value, "it is an object with requests and limits, quantities written as texts"))
}

fn limits(value: &str) -> Result<Limits, ConfigError> {
    Limits::from_json(value).map_err(|error| invalid("SHEKARA_SIDECAR_LIMITS", value, error))
}

fn interval(value: String) -> Result<u32, ConfigError> {
    let seconds = value.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or_else(|| invalid("SHEKARA_CHECKPOINT_INTERVAL", &value, "it is a number of seconds from 1 to 3600"))
}

/// Not less than a minute: the kubelet takes about as long to bring a changed file to a pod.
fn seconds(variable: &'static str, value: String) -> Result<Duration, ConfigError> {
    let seconds = value.parse().ok().filter(|seconds| (60..=10 * 365 * 86_400).contains(seconds)).map(Duration::from_secs);
    seconds.ok_or_else(|| invalid(variable, &value, "it is a number of seconds from 60 to ten years"))
}

fn networks(value: String) -> Result<Vec<IpNet>, ConfigError> {
    const VARIABLE: &str = "SHEKARA_CLUSTER_NETWORKS";
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let networks: Vec<IpNet> = parts
        .map(|part| part.parse().map_err(|_| invalid(VARIABLE, &value, format!("{part:?} is not a CIDR, as in 10.244.0.0/16"))))
        .collect::<Result<_, _>>()?;
    if networks.is_empty() {
        return Err(ConfigError::Missing(VARIABLE));
    }
    Ok(networks)
}

fn domain(value: String) -> Result<HostName, ConfigError> {
    value.parse().map_err(|error| invalid("SHEKARA_CLUSTER_DOMAIN", &value, error))
}

fn service(value: String) -> Result<(String, String), ConfigError> {
    match value.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err(invalid("SHEKARA_DNS_SERVICE", &value, "it is written namespace/name")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rstest::rstest;

    use super::*;

    fn sound() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("POD_NAMESPACE", "shekara-system"),
            ("POD_NAME", "shekara-operator-0"),
            ("POD_IP", "10.244.0.2"),
            ("SHEKARA_SIDECAR_IMAGE", "shekara/sidecar:test"),
            ("SHEKARA_CLUSTER_NETWORKS", "10.244.0.0/16, fd00:10:244::/56,"),
        ])
    }

    fn read(variables: &HashMap<&str, &str>) -> Result<Config, ConfigError> {
        Config::read(|name| variables.get(name).map(ToString::to_string))
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = read(&sound()).unwrap();
        assert_eq!(config.cluster_networks.len(), 2);
        assert_eq!(config.cluster_domain.as_str(), "cluster.local");
        assert_eq!(config.dns_service, ("kube-system".into(), "kube-dns".into()));
        assert_eq!(config.sidecar_pull_policy, "IfNotPresent");
        assert_eq!((config.tls_secret.as_str(), config.authority_secret), ("shekara-tls", None));
        assert_eq!(config.webhook_configuration, "zz-shekara-sidecar-injector");
        assert_eq!(config.checkpoint_interval, 10);
        assert_eq!(config.keys_secret, "shekara-keys");
        assert_eq!((config.document_key_age, config.key_overlap), (Duration::from_secs(30 * 86_400), Duration::from_secs(3600)));
        assert_eq!(config.sidecar_resources, ResourceRequirements::default());
        assert_eq!(config.sidecar_limits, Limits::default());
        assert_eq!((config.filter, config.pod_security), (Wanted::Init, Level::Privileged));
    }

    #[test]
    fn resources_are_read_as_kubernetes_writes_them() {
        let mut variables = sound();
        variables.insert("SHEKARA_SIDECAR_RESOURCES", r#"{"requests": {"cpu": "50m"}, "limits": {"memory": "48Mi"}}"#);
        let resources = read(&variables).unwrap().sidecar_resources;
        assert_eq!(resources.limits.unwrap()["memory"].0, "48Mi");
        assert_eq!(resources.requests.unwrap()["cpu"].0, "50m");
    }

    #[rstest]
    #[case("POD_NAMESPACE", "", "POD_NAMESPACE is not set")]
    #[case("POD_NAME", " ", "POD_NAME is not set")]
    #[case("POD_IP", "localhost", "POD_IP is \"localhost\": it is not an IP address")]
    #[case("SHEKARA_SIDECAR_IMAGE", "", "SHEKARA_SIDECAR_IMAGE is not set")]
    #[case("SHEKARA_CLUSTER_NETWORKS", ",", "SHEKARA_CLUSTER_NETWORKS is not set")]
    #[case(
        "SHEKARA_CLUSTER_NETWORKS",
        "10.0.0.0/8,x",
        "SHEKARA_CLUSTER_NETWORKS is \"10.0.0.0/8,x\": \"x\" is not a CIDR, as in 10.244.0.0/16"
    )]
    #[case("SHEKARA_FILTER", "init", "SHEKARA_FILTER is \"init\": it is Init, Node or Auto")]
    #[case("SHEKARA_POD_SECURITY", "open", "SHEKARA_POD_SECURITY is \"open\": it is privileged, baseline or restricted")]
    #[case(
        "SHEKARA_SIDECAR_PULL_POLICY",
        "never",
        "SHEKARA_SIDECAR_PULL_POLICY is \"never\": it is Always, IfNotPresent or Never"
    )]
    #[case(
        "SHEKARA_SIDECAR_RESOURCES",
        r#"{"limit":{}}"#,
        r#"SHEKARA_SIDECAR_RESOURCES is "{\"limit\":{}}": it is an object with requests and limits, quantities written as texts"#
    )]
    #[case(
        "SHEKARA_SIDECAR_LIMITS",
        r#"{"flows":0}"#,
        r#"SHEKARA_SIDECAR_LIMITS is "{\"flows\":0}": flows is not from 16 to 65536"#
    )]
    #[case("SHEKARA_CHECKPOINT_INTERVAL", "0", "SHEKARA_CHECKPOINT_INTERVAL is \"0\": it is a number of seconds from 1 to 3600")]
    #[case("SHEKARA_KEY_OVERLAP", "10", "SHEKARA_KEY_OVERLAP is \"10\": it is a number of seconds from 60 to ten years")]
    #[case(
        "SHEKARA_AUTHORITY_SECRET",
        "shekara-tls",
        "SHEKARA_AUTHORITY_SECRET is \"shekara-tls\": it is a Secret that the operator itself keeps"
    )]
    #[case("SHEKARA_DNS_SERVICE", "kube-dns", "SHEKARA_DNS_SERVICE is \"kube-dns\": it is written namespace/name")]
    fn each_fault_names_its_variable(#[case] variable: &'static str, #[case] value: &'static str, #[case] message: &str) {
        let mut variables = sound();
        variables.insert(variable, value);
        assert_eq!(read(&variables).unwrap_err().to_string(), message);
    }
}
