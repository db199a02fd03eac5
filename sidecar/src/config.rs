//! The configuration, from environment variables that admission sets.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use jiff::Timestamp;
use shekara_policy::ports;
use shekara_policy::probes::{PORT, Probes};
use shekara_policy::signed::{Fingerprint, Stamp};
use shekara_policy::{HostName, Limits};
use tracing::level_filters::LevelFilter;

use crate::carve_out::{self, CarveOut};
use crate::{datagrams, observe, probes};

/// What the proxy must know before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the policy API is (`SHEKARA_POLICY_API`, as `host:port`).
    pub policy_api: PolicyApi,
    /// The PEM form of the authority that signed its certificate (`SHEKARA_POLICY_CA`).
    pub policy_ca: String,
    /// The fingerprint of the root key, the one thing that the pod trusts for life (`SHEKARA_ROOT`).
    pub root: Fingerprint,
    /// The UID of the pod's namespace (`SHEKARA_NAMESPACE_UID`).
    pub namespace_uid: String,
    /// The pod's holdings with their lowest serials (`SHEKARA_DOCUMENTS`), at least one.
    pub stamps: Vec<Stamp>,
    /// The lowest version of a key set that is accepted (`SHEKARA_KEY_SET`).
    pub key_set: u64,
    /// The folder with the signed documents, as they were last written beside the holdings (`SHEKARA_FILES`).
    pub files: PathBuf,
    /// Who resolves its name before the first document (`SHEKARA_RESOLVERS`), at least one.
    pub resolvers: Vec<SocketAddr>,
    /// The file with the token that says which pod this is (`SHEKARA_TOKEN`).
    pub token: PathBuf,
    /// The folder with the geo table (`SHEKARA_GEO`).
    pub geo: PathBuf,
    /// `namespace/name` of the pod, for the log (`SHEKARA_POD`).
    pub pod: String,
    /// The first instant at which the pod enforces, whatever its documents say (`SHEKARA_OBSERVE_UNTIL`); absent where it does from
    /// the start.
    pub observe_until: Option<Timestamp>,
    /// The level of the sidecar's own log (`SHEKARA_LOG`).
    pub log: LevelFilter,
    /// What the sidecar holds at once (`SHEKARA_LIMITS`, as JSON).
    pub limits: Limits,
    /// The addresses and ports whose datagrams the packet filter leads to local ports of their own (`SHEKARA_UDP`).
    pub datagrams: Vec<SocketAddr>,
    /// What the application is asked in the kubelet's place (`SHEKARA_PROBES`, as JSON).
    pub probes: Probes,
    /// The addresses of the node, which alone may ask for lifecycle hooks (`SHEKARA_NODE`); its gateways count among them.
    pub node: BTreeSet<IpAddr>,
    /// By what the packet filter knows the sidecar (`SHEKARA_USER`; by its mark where it is absent).
    pub carve_out: CarveOut,
    /// The ports to listen on: fixed in a pod, free in tests.
    pub ports: Ports,
}

/// The policy API's name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyApi {
    /// The name, which its certificate must have.
    pub host: HostName,
    /// The port.
    pub port: u16,
}

/// The ports to listen on; 0 lets the kernel choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Redirected TCP.
    pub flow: u16,
    /// Redirected DNS, over UDP and TCP.
    pub dns: u16,
    /// All other UDP.
    pub sink: u16,
    /// TCP that comes in.
    pub inward: u16,
    /// Metrics and readiness.
    pub admin: u16,
    /// The first of those for datagrams to listed endpoints.
    pub datagrams: u16,
}

impl Default for Ports {
    fn default() -> Self {
        let (flow, dns, sink, inward) = (ports::FLOW, ports::DNS, ports::SINK, ports::INWARD);
        Self { flow, dns, sink, inward, admin: PORT, datagrams: ports::DATAGRAMS }
    }
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
        Ok(Self {
            policy_api: policy_api(&required("SHEKARA_POLICY_API")?)?,
            policy_ca: policy_ca(required("SHEKARA_POLICY_CA")?)?,
            root: root(&required("SHEKARA_ROOT")?)?,
            namespace_uid: required("SHEKARA_NAMESPACE_UID")?,
            stamps: stamps(&required("SHEKARA_DOCUMENTS")?)?,
            key_set: key_set(&or("SHEKARA_KEY_SET", "0"))?,
            files: or("SHEKARA_FILES", "/var/run/shekara.dev/policy").into(),
            resolvers: resolvers(&required("SHEKARA_RESOLVERS")?)?,
            token: or("SHEKARA_TOKEN", "/var/run/secrets/shekara.dev/token").into(),
            geo: or("SHEKARA_GEO", "/geo").into(),
            pod: or("SHEKARA_POD", ""),
            observe_until: observe::until(&variable)?,
            log: log(&or("SHEKARA_LOG", "info"))?,
            limits: limits(&or("SHEKARA_LIMITS", "{}"))?,
            datagrams: datagrams::endpoints(&variable)?,
            probes: probes::probes(&variable)?,
            node: probes::node(&variable)?,
            carve_out: carve_out::user(&variable)?.into(),
            ports: Ports::default(),
        })
    }
}

fn invalid(variable: &'static str, value: &str, problem: impl ToString) -> ConfigError {
    ConfigError::Invalid { variable, value: value.to_owned(), problem: problem.to_string() }
}

fn policy_api(value: &str) -> Result<PolicyApi, ConfigError> {
    const VARIABLE: &str = "SHEKARA_POLICY_API";
    let (host, port) = value.rsplit_once(':').ok_or_else(|| invalid(VARIABLE, value, "it is written host:port"))?;
    let host = host.parse().map_err(|error| invalid(VARIABLE, value, error))?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(|| invalid(VARIABLE, value, "it is written host:port"))?;
    Ok(PolicyApi { host, port })
}

fn policy_ca(value: String) -> Result<String, ConfigError> {
    if value.contains("-----BEGIN CERTIFICATE-----") {
        return Ok(value);
    }
    Err(invalid("SHEKARA_POLICY_CA", &value.chars().take(40).collect::<String>(), "it is a certificate in PEM form"))
}

fn root(value: &str) -> Result<Fingerprint, ConfigError> {
    value.parse().map_err(|error| invalid("SHEKARA_ROOT", value, error))
}

fn stamps(value: &str) -> Result<Vec<Stamp>, ConfigError> {
    let stamps = value.split(',').map(|stamp| stamp.trim().parse());
    stamps.collect::<Result<_, _>>().map_err(|error| invalid("SHEKARA_DOCUMENTS", value, error))
}

fn key_set(value: &str) -> Result<u64, ConfigError> {
    value.parse().map_err(|_| invalid("SHEKARA_KEY_SET", value, "it is the version of a key set, a number"))
}

fn resolvers(value: &str) -> Result<Vec<SocketAddr>, ConfigError> {
    const VARIABLE: &str = "SHEKARA_RESOLVERS";
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    let problem = |part| invalid(VARIABLE, value, format!("{part:?} is not address:port, as in 10.96.0.10:53 or [fd00::a]:53"));
    let resolvers: Vec<SocketAddr> = parts.map(|part| part.parse().map_err(|_| problem(part))).collect::<Result<_, _>>()?;
    if resolvers.is_empty() {
        return Err(ConfigError::Missing(VARIABLE));
    }
    Ok(resolvers)
}

fn limits(value: &str) -> Result<Limits, ConfigError> {
    Limits::from_json(value).map_err(|error| invalid("SHEKARA_LIMITS", value, error))
}

fn log(value: &str) -> Result<LevelFilter, ConfigError> {
    value.parse().map_err(|_| invalid("SHEKARA_LOG", value, "it is off, error, warn, info, debug or trace"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rstest::rstest;

    use super::*;

    fn sound() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("SHEKARA_POLICY_API", "shekara-policy.shekara-system.svc.cluster.local:8443"),
            ("SHEKARA_POLICY_CA", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
            ("SHEKARA_RESOLVERS", "10.96.0.10:53, [fd00::a]:53,"),
            ("SHEKARA_ROOT", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            ("SHEKARA_NAMESPACE_UID", "u"),
            ("SHEKARA_DOCUMENTS", "faces=u1:7, plates=u2:0"),
        ])
    }

    fn read(variables: &HashMap<&str, &str>) -> Result<Config, ConfigError> {
        Config::read(|name| variables.get(name).map(ToString::to_string))
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = read(&sound()).unwrap();
        assert_eq!(config.policy_api.host.as_str(), "shekara-policy.shekara-system.svc.cluster.local");
        assert_eq!((config.policy_api.port, config.resolvers.len()), (8443, 2));
        assert_eq!((config.stamps.len(), config.stamps[0].serial, config.key_set), (2, 7, 0));
        assert_eq!(config.geo, PathBuf::from("/geo"));
        assert_eq!(config.files, PathBuf::from("/var/run/shekara.dev/policy"));
        assert_eq!(config.log, LevelFilter::INFO);
        let ports = Ports { flow: 15001, dns: 15053, sink: 15009, inward: 15006, admin: 15020, datagrams: 15100 };
        assert_eq!(config.ports, ports);
        assert_eq!((config.limits, config.datagrams), (Limits::default(), vec![]));
        assert!(config.probes.0.is_empty() && config.node.is_empty());
    }

    #[rstest]
    #[case("SHEKARA_POLICY_API", "", "SHEKARA_POLICY_API is not set")]
    #[case("SHEKARA_POLICY_API", "a.example", "SHEKARA_POLICY_API is \"a.example\": it is written host:port")]
    #[case("SHEKARA_POLICY_API", "a.example:0", "SHEKARA_POLICY_API is \"a.example:0\": it is written host:port")]
    #[case("SHEKARA_POLICY_CA", "x", "SHEKARA_POLICY_CA is \"x\": it is a certificate in PEM form")]
    #[case("SHEKARA_RESOLVERS", ",", "SHEKARA_RESOLVERS is not set")]
    #[case(
        "SHEKARA_RESOLVERS",
        "10.0.0.1",
        "SHEKARA_RESOLVERS is \"10.0.0.1\": \"10.0.0.1\" is not address:port, as in 10.96.0.10:53 or [fd00::a]:53"
    )]
    #[case("SHEKARA_ROOT", "", "SHEKARA_ROOT is not set")]
    #[case("SHEKARA_ROOT", "ab", "SHEKARA_ROOT is \"ab\": it is not 64 lower-case hexadecimal digits")]
    #[case("SHEKARA_NAMESPACE_UID", "", "SHEKARA_NAMESPACE_UID is not set")]
    #[case("SHEKARA_DOCUMENTS", "faces", "SHEKARA_DOCUMENTS is \"faces\": \"faces\" is not written name=uid:serial")]
    #[case("SHEKARA_KEY_SET", "-1", "SHEKARA_KEY_SET is \"-1\": it is the version of a key set, a number")]
    #[case("SHEKARA_LIMITS", r#"{"flows":1}"#, r#"SHEKARA_LIMITS is "{\"flows\":1}": flows is not from 16 to 65536"#)]
    #[case(
        "SHEKARA_UDP",
        "192.0.2.1",
        "SHEKARA_UDP is \"192.0.2.1\": it is a list of address:port, 256 at most, joined by commas"
    )]
    #[case(
        "SHEKARA_PROBES",
        "[]",
        "SHEKARA_PROBES is \"[]\": the probes cannot be read: invalid type: sequence, expected a map at line 1 column 0"
    )]
    #[case("SHEKARA_NODE", "192.0.2.1,node-1", "SHEKARA_NODE is \"192.0.2.1,node-1\": it has addresses, joined by commas")]
    #[case("SHEKARA_USER", "root", "SHEKARA_USER is \"root\": it is the number of a user, and not of root")]
    #[case("SHEKARA_LOG", "loud", "SHEKARA_LOG is \"loud\": it is off, error, warn, info, debug or trace")]
    fn each_fault_names_its_variable(#[case] variable: &'static str, #[case] value: &'static str, #[case] message: &str) {
        let mut variables = sound();
        variables.insert(variable, value);
        assert_eq!(read(&variables).unwrap_err().to_string(), message);
    }
}
