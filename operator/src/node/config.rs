//! What the agent of a node must know, from environment variables alone.

use std::path::PathBuf;

use crate::config::ConfigError;

/// The configuration of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The namespace of the agents (`POD_NAMESPACE`).
    pub namespace: String,
    /// The `DaemonSet` of the agents (`SHEKARA_DAEMON_SET`).
    pub daemon_set: String,
    /// Where the node's folder with the configurations of networks is mounted (`SHEKARA_NETWORKS`).
    pub networks: PathBuf,
    /// Where the node's folder with plugins is mounted (`SHEKARA_PLUGINS`).
    pub plugins: PathBuf,
}

impl NodeConfig {
    /// Reads the configuration by a function that gives the value of a variable.
    ///
    /// # Errors
    /// When a required variable is absent; the error names it.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let read = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        Ok(Self {
            namespace: read("POD_NAMESPACE").ok_or(ConfigError::Missing("POD_NAMESPACE"))?,
            daemon_set: read("SHEKARA_DAEMON_SET").unwrap_or_else(|| "shekara-node".to_owned()),
            networks: read("SHEKARA_NETWORKS").unwrap_or_else(|| "/host/networks".to_owned()).into(),
            plugins: read("SHEKARA_PLUGINS").unwrap_or_else(|| "/host/plugins".to_owned()).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default_but_for_the_namespace() {
        assert_eq!(NodeConfig::read(|_| None), Err(ConfigError::Missing("POD_NAMESPACE")));
        let config = NodeConfig::read(|name| (name == "POD_NAMESPACE").then(|| "shekara-system".to_owned())).unwrap();
        assert_eq!((config.daemon_set.as_str(), config.networks.to_str()), ("shekara-node", Some("/host/networks")));
    }
}
