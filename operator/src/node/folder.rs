//! The folders of the node: the configurations of its networks, and its plugins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::config::NodeConfig;
use super::network::{NetworkError, PLUGIN, with_plugin, without_plugin};

/// What container runtimes read in the folder with networks: of all such files the first by name.
const EXTENSIONS: [&str; 3] = ["conf", "conflist", "json"];

/// The folder beside the plugin with the program that it needs.
const BESIDE: &str = "shekara.d";

/// In it, the configurations of networks as they were.
const BEFORE: &str = "before";

/// The folders of a node.
pub(super) struct Node {
    networks: PathBuf,
    plugins: PathBuf,
}

/// How the plugin came to be in its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It was there.
    There,
    /// It was put there, in this file.
    Put(String),
    /// Nobody has made a network yet.
    NoNetwork,
}

/// A file of the node that cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    /// It cannot be read or written.
    #[error("{0}: {1}")]
    File(String, #[source] io::Error),
    /// The runtime would look for it in vain, and no pod would start.
    #[error("the plugin is not in {0}: the container that installs it has to run again")]
    NoPlugin(String),
    /// The plugin has no place in it.
    #[error("the network {0}: {1}")]
    Network(String, #[source] NetworkError),
}

impl Node {
    pub(super) fn new(config: &NodeConfig) -> Self {
        Self { networks: config.networks.clone(), plugins: config.plugins.clone() }
    }

    /// Sees to it that the plugin is behind the others in the network that the runtime takes.
    pub(super) fn keep(&self) -> Result<Kept, FolderError> {
        if !self.plugins.join(PLUGIN).is_file() {
            self.unchain()?;
            return Err(FolderError::NoPlugin(self.plugins.display().to_string()));
        }
        let Some(file) = self.networks()?.into_iter().next() else { return Ok(Kept::NoNetwork) };
        let (name, text) = (name(&file), read(&file)?);
        let Some(with) = with_plugin(&text).map_err(|problem| FolderError::Network(name.clone(), problem))? else {
            return Ok(Kept::There);
        };
        // the runtime takes the new one as soon as it is there, and is then to be able to go back
        let before = self.before();
        fs::create_dir_all(&before).map_err(|problem| FolderError::File(before.display().to_string(), problem))?;
        write(&before.join(&name), &text)?;
        write(&file, &with)?;
        Ok(Kept::Put(name))
    }

    /// Takes the plugin away, first from the networks.
    pub(super) fn leave(&self) -> Result<(), FolderError> {
        self.unchain()?;
        for (path, gone) in [
            (self.plugins.join(PLUGIN), fs::remove_file(self.plugins.join(PLUGIN))),
            (self.plugins.join(BESIDE), fs::remove_dir_all(self.plugins.join(BESIDE))),
        ] {
            match gone {
                Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::File(path.display().to_string(), problem));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the plugin out of every network: each is then as it was, to the byte where nobody else has changed it.
    fn unchain(&self) -> Result<(), FolderError> {
        for file in self.networks()? {
            let (name, text) = (name(&file), read(&file)?);
            // what cannot be read has no place for it
            let Ok(Some(without)) = without_plugin(&text) else { continue };
            let before = fs::read_to_string(self.before().join(&name)).ok();
            let is_the_same =
                before.as_ref().is_some_and(|before| with_plugin(before).is_ok_and(|with| with.as_ref() == Some(&text)));
            write(&file, &before.filter(|_| is_the_same).unwrap_or(without))?;
        }
        Ok(())
    }

    fn before(&self) -> PathBuf {
        self.plugins.join(BESIDE).join(BEFORE)
    }

    /// The configurations of networks in the order in which the runtime looks at them.
    fn networks(&self) -> Result<Vec<PathBuf>, FolderError> {
        let problem = |problem| FolderError::File(self.networks.display().to_string(), problem);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.networks).map_err(problem)? {
            let file = entry.map_err(problem)?.path();
            if file.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(file: &Path) -> Result<String, FolderError> {
    fs::read_to_string(file).map_err(|problem| FolderError::File(file.display().to_string(), problem))
}

/// Replaces a file as a whole, and never by one of a name that a runtime reads.
fn write(file: &Path, text: &str) -> Result<(), FolderError> {
    let part = file.with_file_name(format!(".{}.part", name(file)));
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, file));
    written.map_err(|problem| FolderError::File(file.display().to_string(), problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: &str = "{\"name\":\"kindnet\",  \"cniVersion\":\"0.3.1\",\n\"plugins\":[{\"type\":\"ptp\"}]}\n";

    fn node() -> (tempfile::TempDir, Node) {
        let folder = tempfile::tempdir().unwrap();
        let node = Node { networks: folder.path().join("networks"), plugins: folder.path().join("plugins") };
        fs::create_dir(&node.networks).unwrap();
        fs::create_dir_all(node.plugins.join(BESIDE)).unwrap();
        fs::write(node.plugins.join(PLUGIN), "").unwrap();
        (folder, node)
    }

    #[test]
    fn the_node_is_left_as_it_was_to_the_byte() {
        let (_folder, node) = node();
        assert_eq!(node.keep().unwrap(), Kept::NoNetwork);
        let file = node.networks.join("10-kindnet.conflist");
        fs::write(&file, NETWORK).unwrap();
        fs::write(node.networks.join("README"), "").unwrap();
        assert_eq!(node.keep().unwrap(), Kept::Put("10-kindnet.conflist".into()));
        assert!(read(&file).unwrap().contains(PLUGIN));
        assert_eq!(node.keep().unwrap(), Kept::There);
        node.leave().unwrap();
        assert_eq!(read(&file).unwrap(), NETWORK);
        assert!(!node.plugins.join(PLUGIN).exists() && !node.plugins.join(BESIDE).exists());
        node.leave().unwrap();
    }

    #[test]
    fn what_others_have_written_since_stays_and_is_chained_again() {
        let (_folder, node) = node();
        let file = node.networks.join("10-kindnet.conflist");
        fs::write(&file, NETWORK).unwrap();
        node.keep().unwrap();
        let newer = NETWORK.replace("ptp", "bridge");
        fs::write(&file, &newer).unwrap();
        assert_eq!(node.keep().unwrap(), Kept::Put("10-kindnet.conflist".into()));
        let changed = read(&file).unwrap().replace("bridge", "macvlan");
        fs::write(&file, changed).unwrap();
        node.leave().unwrap();
        let left = read(&file).unwrap();
        assert!(left.contains("macvlan") && !left.contains(PLUGIN), "{left}");
    }

    #[test]
    fn without_the_plugin_no_network_asks_for_it() {
        let (_folder, node) = node();
        let file = node.networks.join("10-kindnet.conflist");
        fs::write(&file, NETWORK).unwrap();
        node.keep().unwrap();
        fs::remove_file(node.plugins.join(PLUGIN)).unwrap();
        assert!(matches!(node.keep(), Err(FolderError::NoPlugin(_))));
        assert_eq!(read(&file).unwrap(), NETWORK);
    }

    #[test]
    fn a_network_without_a_list_is_named() {
        let (_folder, node) = node();
        fs::write(node.networks.join("00-bridge.conf"), r#"{"type": "bridge"}"#).unwrap();
        let said = node.keep().unwrap_err().to_string();
        assert!(said.contains("00-bridge.conf") && said.contains("make a list of it"), "{said}");
    }
}
