//! The geo table, memory-mapped: the pods of a node share its pages, and none of it counts as a pod's own memory.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use shekara_policy::Country;
use shekara_policy::geo::{CountrySource, GeoError, GeoTable, NoSource};

/// The countries of addresses, as the image of the sidecar knows them.
#[derive(Debug)]
pub enum Geo {
    /// There is no table: every country is unknown, unless a standard declares it.
    Without,
    /// A checked table.
    Table(GeoTable<Mmap>),
}

/// A geo table that must not be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoFileError {
    /// The folder or the file cannot be read.
    #[error("{path}: {error}")]
    Unreadable {
        /// The folder or the file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// More than one table.
    #[error("{0} has more than one geo table, and nothing says which one counts")]
    Several(PathBuf),
    /// The file is not a whole table.
    #[error("{path}: {error}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: GeoError,
    },
}

impl Geo {
    /// Maps and checks the table of a folder: its one file `*.geo`.
    ///
    /// # Errors
    /// When there are several, or the one there is cannot be read or is not whole. No folder, or none in it, is no error.
    pub fn open(folder: &Path) -> Result<Self, GeoFileError> {
        let Some(path) = only_table(folder)? else { return Ok(Self::Without) };
        let map = map(&path).map_err(|error| GeoFileError::Unreadable { path: path.clone(), error })?;
        GeoTable::new(map).map(Self::Table).map_err(|error| GeoFileError::Invalid { path, error })
    }

    /// The digest of the table.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Without => None,
            Self::Table(table) => Some(table.digest()),
        }
    }
}

impl CountrySource for Geo {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        match self {
            Self::Without => NoSource.countries(address),
            Self::Table(table) => table.countries(address),
        }
    }
}

fn only_table(folder: &Path) -> Result<Option<PathBuf>, GeoFileError> {
    let unreadable = |error| GeoFileError::Unreadable { path: folder.to_owned(), error };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(unreadable)?,
    };
    let mut only = None;
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "geo") && only.replace(path).is_some() {
            return Err(GeoFileError::Several(folder.to_owned()));
        }
    }
    Ok(only)
}

#[allow(unsafe_code, reason = "the one place where a file is mapped")]
fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: the file lies in the read-only image of this container, so nobody changes or shortens it while it is mapped.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shekara_policy::geo::build::{SourceBuilder, table};

    use super::*;

    fn bytes() -> Vec<u8> {
        let mut source = SourceBuilder::new("test").unwrap();
        source.add_csv("192.0.2.0/24,KZ\n198.51.100.0/24,DE\n".as_bytes()).unwrap();
        table(&[source]).unwrap()
    }

    #[test]
    fn a_whole_table_is_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("README"), "not a table").unwrap();
        fs::write(folder.path().join("a.geo"), bytes()).unwrap();
        let geo = Geo::open(folder.path()).unwrap();
        assert_eq!(geo.countries("192.0.2.1".parse().unwrap()), ["KZ".parse().unwrap()]);
        assert!(geo.digest().unwrap().starts_with("sha256:"));
    }

    #[test]
    fn without_a_table_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        for folder in [folder.path(), &folder.path().join("absent")] {
            let geo = Geo::open(folder).unwrap();
            assert!(matches!(geo, Geo::Without));
            assert!(geo.countries("192.0.2.1".parse().unwrap()).is_empty());
        }
    }

    #[test]
    fn a_truncated_table_and_a_second_table_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = bytes();
        fs::write(folder.path().join("a.geo"), &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(Geo::open(folder.path()), Err(GeoFileError::Invalid { error: GeoError::Digest, .. })));
        fs::write(folder.path().join("b.geo"), &whole).unwrap();
        assert!(matches!(Geo::open(folder.path()), Err(GeoFileError::Several(_))));
    }
}
