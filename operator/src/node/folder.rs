//! The folders of the node: the configurations of its networks, and its plugins.

use std::fs;
use std::io::{self, Write as _};
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
        if !fs::metadata(self.plugins.join(PLUGIN)).is_ok_and(|plugin| plugin.is_file() && plugin.len() > 0) {
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

    /// Takes the plugin out of the networks, and what it needs from the node. Its own file stays: some runtimes call it once more at the end of
    /// each pod that it was there for, when it does nothing.
    pub(super) fn leave(&self) -> Result<(), FolderError> {
        self.unchain()?;
        let beside = self.plugins.join(BESIDE);
        match fs::remove_dir_all(&beside) {
            Err(problem) if problem.kind() != io::ErrorKind::NotFound => {
                Err(FolderError::File(beside.display().to_string(), problem))
            }
            _ => Ok(()),
        }
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

/// Replaces a file as a whole, with its mode and behind a link, and never by one of a name that a runtime reads.
fn write(file: &Path, text: &str) -> Result<(), FolderError> {
    let replace = || {
        let file = if file.exists() { file.canonicalize()? } else { file.to_owned() };
        let part = file.with_file_name(format!(".{}.part", name(&file)));
        let mut written = fs::File::create(&part)?;
        written.write_all(text.as_bytes())?;
        if let Ok(before) = fs::metadata(&file) {
            written.set_permissions(before.permissions())?;
        }
        // a node that loses power now must not find an empty file
        written.sync_all()?;
        fs::rename(&part, &file)
    };
    replace().map_err(|problem: io::Error| FolderError::File(file.display().to_string(), problem))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NETWORK: &str = "{\"name\":\"kindnet\",  \"cniVersion\":\"0.3.1\",\n\"plugins\":[{\"type\":\"ptp\"}]}\n";

    fn node() -> (tempfile::TempDir, Node) {
        let folder = tempfile::tempdir().unwrap();
        let node = Node { networks: folder.path().join("networks"), plugins: folder.path().join("plugins") };
        fs::create_dir(&node.networks).unwrap();
        fs::create_dir_all(node.plugins.join(BESIDE)).unwrap();
        fs::write(node.plugins.join(PLUGIN), "program").unwrap();
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
        assert!(node.plugins.join(PLUGIN).exists() && !node.plugins.join(BESIDE).exists());
        node.leave().unwrap();
    }

    #[test]
    fn modes_and_links_stay() {
        let (folder, node) = node();
        let (real, file) = (folder.path().join("real"), node.networks.join("10-kindnet.conflist"));
        fs::write(&real, NETWORK).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&real, &file).unwrap();
        node.keep().unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink() && read(&real).unwrap().contains(PLUGIN));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
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
