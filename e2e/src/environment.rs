//! What `e2e/cluster exec` says about the cluster, by environment variables.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// Where the world's sniffer answers, and which hosts the world has; absent with a cluster that has no world beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldSettings {
    /// The HTTP base of the sniffer (`SHEKARA_WORLD_URL`).
    pub sniffer: String,
    /// The declaration of the hosts (`SHEKARA_WORLD_FILE`).
    pub hosts: PathBuf,
    /// The certificate of the authority that signed the hosts' certificates, PEM (`SHEKARA_TEST_CA`).
    pub authority: PathBuf,
}

/// Reads the settings of the world; `None` where there is no world.
///
/// # Errors
/// When only some of the variables are set.
pub fn world() -> Result<Option<WorldSettings>> {
    let Ok(sniffer) = env::var("SHEKARA_WORLD_URL") else { return Ok(None) };
    Ok(Some(WorldSettings {
        sniffer,
        hosts: variable("SHEKARA_WORLD_FILE")?.into(),
        authority: variable("SHEKARA_TEST_CA")?.into(),
    }))
}

/// The images by the names of their variables, as `CLIENTS_IMAGE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images(BTreeMap<String, String>);

impl Images {
    /// Reads the file that `SHEKARA_IMAGES` names.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read() -> Result<Self> {
        let path = variable("SHEKARA_IMAGES")?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let pairs = text.lines().filter_map(|line| line.trim().trim_start_matches("export ").split_once('='));
        Self(pairs.map(|(name, image)| (name.trim().to_owned(), image.trim().trim_matches(['"', '\'']).to_owned())).collect())
    }

    /// The image of a name, as `nginx` for `NGINX_IMAGE`.
    ///
    /// # Errors
    /// When the file does not name it.
    pub fn get(&self, name: &str) -> Result<&str> {
        let variable = format!("{}_IMAGE", name.to_uppercase());
        let known = || self.0.keys().cloned().collect::<Vec<_>>().join(", ");
        self.0.get(&variable).map(String::as_str).with_context(|| format!("{variable} is not among the images: {}", known()))
    }

    /// Every image by its variable.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, image)| (name.as_str(), image.as_str()))
    }
}

/// Whether the cluster is whatever KUBECONFIG names, and not one of the tests' own.
#[must_use]
pub fn is_current() -> bool {
    env::var("CLUSTER").is_ok_and(|name| name == "current")
}

/// The top folder of the source tree that the program runs in, for the chart and the examples. It is looked for when the program
/// runs and not when it is built: checkouts share what is built.
///
/// # Errors
/// When the program runs somewhere else.
pub fn source_tree() -> Result<PathBuf> {
    let here = env::current_dir().context("the current folder cannot be read")?;
    let top = here.ancestors().find(|folder| folder.join("charts/shekara").is_dir());
    top.map(PathBuf::from).with_context(|| format!("{} is not in the source tree", here.display()))
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: scenarios run under `e2e/cluster exec`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read_from_shell_assignments() {
        let images =
            Images::parse("# built\nCLIENTS_IMAGE=shekara.local/clients:1\nexport NGINX_IMAGE=\"shekara.local/nginx:2\"\n\n");
        assert_eq!(images.get("clients").unwrap(), "shekara.local/clients:1");
        assert_eq!(images.get("nginx").unwrap(), "shekara.local/nginx:2");
        let error = images.get("redis").unwrap_err().to_string();
        assert!(error.contains("REDIS_IMAGE") && error.contains("CLIENTS_IMAGE, NGINX_IMAGE"), "{error}");
    }
}
