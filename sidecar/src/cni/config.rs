//! What the container runtime says to the plugin: as much of it as counts here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use shekara_policy::packet_filter::{ANNOTATION, PacketFilter, PacketFilterError};

/// The configuration of a network, as the runtime hands it to one of its plugins.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkConfig {
    /// The version of the specification that both speak.
    #[serde(default)]
    pub(super) cni_version: String,
    /// What the plugins before have made.
    #[serde(default)]
    pub(super) prev_result: Option<Value>,
    #[serde(default)]
    runtime_config: Option<RuntimeConfig>,
}

/// What the runtime adds because the network's configuration asks for it by the capabilities of the plugin.
#[derive(Debug, Default, Deserialize)]
struct RuntimeConfig {
    /// The annotations of the pod (containerd from 1.5 on, CRI-O from 1.28 on).
    #[serde(default, rename = "io.kubernetes.cri.pod-annotations")]
    annotations: Option<BTreeMap<String, String>>,
}

impl NetworkConfig {
    /// The packet filter that the pod is to have; none where its own containers set it, or nobody does.
    pub(super) fn packet_filter(&self) -> Result<Option<PacketFilter>, PacketFilterError> {
        let annotations = self.runtime_config.as_ref().and_then(|config| config.annotations.as_ref());
        annotations.and_then(|all| all.get(ANNOTATION)).map(|text| PacketFilter::from_json(text)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(more: Value) -> NetworkConfig {
        let mut config = json!({"cniVersion": "1.0.0", "name": "kindnet", "type": "shekara", "capabilities": {}});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(config).unwrap()
    }

    #[test]
    fn a_pod_without_the_annotation_is_none_of_its_concern() {
        for runtime_config in [
            json!({}),
            json!(null),
            json!({"io.kubernetes.cri.pod-annotations": null}),
            json!({"io.kubernetes.cri.pod-annotations": {"kubernetes.io/config.source": "api"}}),
        ] {
            assert!(read(json!({"runtimeConfig": runtime_config})).packet_filter().unwrap().is_none());
        }
        assert!(read(json!({})).packet_filter().unwrap().is_none());
    }

    #[test]
    fn the_annotation_says_what_the_filter_is_to_be() {
        let asked = |text: &str| {
            let annotations = json!({"io.kubernetes.cri.pod-annotations": {ANNOTATION: text}});
            read(json!({"runtimeConfig": annotations})).packet_filter()
        };
        assert_eq!(asked("{}").unwrap().unwrap(), PacketFilter::default());
        assert!(asked("").is_err());
    }
}
