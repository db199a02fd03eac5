//! The configuration of a network of pods (CNI specification 1.1.0, section 1), with the plugin and without.

use serde_json::{Value, json};

/// The plugin's name, which is that of its program.
pub(super) const PLUGIN: &str = "shekara";

/// By this a container runtime hands the plugin the annotations of pods (containerd from 1.5 on, CRI-O from 1.28 on).
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// The versions of the specification that the plugin speaks: with others no pod would start.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// A configuration in which the plugin has no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NetworkError {
    /// It is not JSON.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Its plugins hand on nothing, or in a form that is not known.
    #[error("its cniVersion {0:?} is none of {list}", list = VERSIONS.join(", "))]
    Version(String),
    /// It is the configuration of one plugin, and has no list for another.
    #[error("it has one plugin and no list of plugins: make a list of it (a .conflist with the entry \"plugins\")")]
    NoList,
}

/// The configuration with the plugin behind all others; none where it is there already.
pub(super) fn with_plugin(text: &str) -> Result<Option<String>, NetworkError> {
    let mut network = read(text)?;
    let version = network.get("cniVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
    let plugins = network.get_mut("plugins").and_then(Value::as_array_mut).ok_or(NetworkError::NoList)?;
    if !VERSIONS.contains(&version.as_str()) {
        return Err(NetworkError::Version(version));
    }
    let ours = json!({"type": PLUGIN, "capabilities": {ANNOTATIONS: true}});
    if plugins.last() == Some(&ours) && plugins.iter().filter(|plugin| is_ours(plugin)).count() == 1 {
        return Ok(None);
    }
    plugins.retain(|plugin| !is_ours(plugin));
    plugins.push(ours);
    Ok(Some(write(&network)))
}

/// The configuration without the plugin; none where it is not there.
pub(super) fn without_plugin(text: &str) -> Result<Option<String>, NetworkError> {
    let mut network = read(text)?;
    let Some(plugins) = network.get_mut("plugins").and_then(Value::as_array_mut) else { return Ok(None) };
    let before = plugins.len();
    plugins.retain(|plugin| !is_ours(plugin));
    let removed = plugins.len() < before;
    Ok(removed.then(|| write(&network)))
}

fn read(text: &str) -> Result<Value, NetworkError> {
    serde_json::from_str(text).map_err(|problem| NetworkError::Unreadable(problem.to_string()))
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").is_some_and(|kind| kind == PLUGIN)
}

fn write(network: &Value) -> String {
    format!("{network:#}\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const NETWORK: &str =
        r#"{"cniVersion": "0.3.1", "name": "kindnet", "plugins": [{"type": "ptp", "mtu": 1500}, {"type": "portmap"}]}"#;

    fn plugins(text: &str) -> Vec<String> {
        let network: Value = serde_json::from_str(text).unwrap();
        network["plugins"].as_array().unwrap().iter().map(|plugin| plugin["type"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn it_is_put_last_once_and_everything_else_stays() {
        let with = with_plugin(NETWORK).unwrap().unwrap();
        assert_eq!(plugins(&with), ["ptp", "portmap", PLUGIN]);
        assert_eq!(with_plugin(&with), Ok(None));
        let network: Value = serde_json::from_str(&with).unwrap();
        assert_eq!((&network["name"], &network["plugins"][0]["mtu"]), (&json!("kindnet"), &json!(1500)));
        // another one came behind it
        let behind = with.replace("\"portmap\"", "\"bandwidth\"").replacen("\"shekara\"", "\"portmap\"", 1);
        assert_eq!(plugins(&with_plugin(&behind).unwrap().unwrap()), ["ptp", "bandwidth", "portmap", PLUGIN]);
        let without = without_plugin(&with).unwrap().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&without).unwrap(), serde_json::from_str::<Value>(NETWORK).unwrap());
        assert_eq!(without_plugin(&without), Ok(None));
    }

    #[rstest]
    #[case("", NetworkError::Unreadable("EOF while parsing a value at line 1 column 0".into()))]
    #[case(r#"{"type": "bridge"}"#, NetworkError::NoList)]
    #[case(r#"{"plugins": []}"#, NetworkError::Version(String::new()))]
    #[case(r#"{"cniVersion": "0.2.0", "plugins": []}"#, NetworkError::Version("0.2.0".into()))]
    fn one_that_has_no_place_for_it_is_left_as_it_is(#[case] text: &str, #[case] expected: NetworkError) {
        assert_eq!(with_plugin(text), Err(expected));
    }
}
