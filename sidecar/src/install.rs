//! `shekara-sidecar install`: puts the plugin where the container runtime of the node looks for plugins, with the program nft that it
//! needs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cni;
use crate::filter::NFT_FOLDER;

/// Who may read and run what is put there.
const EVERYBODY: u32 = 0o755;

/// Puts this program into a folder under the plugin's name, and what is beside this program beside that. What is there is replaced, and
/// never missing or half there in between.
///
/// # Errors
/// When something cannot be read or written.
pub fn run(folder: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let beside = program.parent().context("this program is in no folder")?.join(NFT_FOLDER);
    if !beside.is_dir() {
        bail!("{} is not there: the plugin could not run nft on the node", beside.display());
    }
    let there = folder.join(NFT_FOLDER);
    fs::create_dir_all(&there).with_context(|| format!("{} cannot be made", there.display()))?;
    for entry in fs::read_dir(&beside)? {
        let file = entry?;
        put(&file.path(), &there, &file.file_name().to_string_lossy())?;
    }
    // last: from here on it is called
    put(&program, folder, cni::NAME)?;
    println!("the plugin {} is in {}", cni::NAME, folder.display());
    Ok(())
}

fn put(from: &Path, folder: &Path, name: &str) -> anyhow::Result<()> {
    let (part, whole) = (folder.join(format!(".{name}.part")), folder.join(name));
    let put = fs::copy(from, &part)
        .and_then(|_| fs::set_permissions(&part, fs::Permissions::from_mode(EVERYBODY)))
        .and_then(|()| fs::File::open(&part)?.sync_all())
        .and_then(|()| fs::rename(&part, &whole));
    put.with_context(|| format!("{} cannot be put there", whole.display()))
}
