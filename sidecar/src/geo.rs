//! The geo table, memory-mapped: the pods of a node share its pages, and none of it counts as a pod's own memory.
//!
//! Another table may be put in its place, by a rename as Kubernetes does with the files of volumes. It is looked for now and then,
//! checked as a whole, and refused where it is not whole: then the earlier one stays.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use memmap2::Mmap;
use parking_lot::Mutex;
use shekara_policy::Country;
use shekara_policy::geo::{CountrySource, GeoError, GeoTable, NoSource};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::context::Context;

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
    /// The table is not there any more.
    #[error("{0} has no geo table any more")]
    Gone(PathBuf),
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

/// Between two looks for another table.
const LOOK: Duration = Duration::from_secs(30);

/// The countries of addresses by the table of the moment.
#[derive(Debug)]
pub struct Countries {
    folder: PathBuf,
    /// The file that was looked at last, whether it was taken or not.
    seen: Mutex<Option<Seen>>,
    table: watch::Sender<Arc<Geo>>,
}

/// Which file it was, and in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    device: u64,
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Countries {
    /// Takes the table of a folder.
    ///
    /// # Errors
    /// As [`Geo::open`]: a sidecar that starts must not do so with a table that is not whole.
    pub fn open(folder: &Path) -> Result<Self, GeoFileError> {
        let seen = seen(folder).ok().flatten();
        let table = watch::Sender::new(Arc::new(Geo::open(folder)?));
        Ok(Self { folder: folder.to_owned(), seen: Mutex::new(seen), table })
    }

    /// The digest of the table.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        self.table.borrow().digest().map(str::to_owned)
    }

    /// Hears of every other table from now on.
    #[must_use]
    pub fn tables(&self) -> watch::Receiver<Arc<Geo>> {
        self.table.subscribe()
    }

    /// Takes another table, if one has been put into the folder.
    ///
    /// # Errors
    /// When it must not be used, or none is there any more: then the earlier one stays.
    pub fn look(&self) -> Result<(), GeoFileError> {
        let found = seen(&self.folder)?;
        let mut seen = self.seen.lock();
        if found == *seen {
            return Ok(());
        }
        seen.clone_from(&found);
        if found.is_none() {
            return Err(GeoFileError::Gone(self.folder.clone()));
        }
        let next = Geo::open(&self.folder)?;
        if next.digest() != self.table.borrow().digest() {
            self.table.send_replace(Arc::new(next));
        }
        Ok(())
    }
}

impl CountrySource for Countries {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        self.table.borrow().countries(address)
    }
}

/// Looks for another table for as long as it is polled. Living flows are judged again by each.
pub async fn keep_looking(context: Arc<Context>) -> Infallible {
    loop {
        sleep(LOOK).await;
        let before = context.geo.digest();
        match context.geo.look() {
            Ok(()) if context.geo.digest() != before => {
                tracing::info!(geo = context.geo.digest(), "another table of countries is in use")
            }
            Ok(()) => {}
            Err(error) => {
                context.metrics.geo_refused.inc();
                tracing::error!("{error}; the table that was in use stays in use");
            }
        }
    }
}

/// The one table of a folder as it is now, if there is one.
fn seen(folder: &Path) -> Result<Option<Seen>, GeoFileError> {
    let Some(path) = only_table(folder)? else { return Ok(None) };
    let file = std::fs::metadata(&path).map_err(|error| GeoFileError::Unreadable { path: path.clone(), error })?;
    let (device, inode, length, changed) = (file.dev(), file.ino(), file.len(), (file.mtime(), file.mtime_nsec()));
    Ok(Some(Seen { path, device, inode, length, changed }))
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
    // SAFETY: the file lies in the read-only image of this container or in a volume whose files are replaced by renaming, so nobody
    // changes or shortens it while it is mapped.
    unsafe { Mmap::map(&file) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use shekara_policy::geo::build::{SourceBuilder, table};

    use super::*;

    fn bytes(country: &str) -> Vec<u8> {
        let mut source = SourceBuilder::new("test").unwrap();
        source.add_csv(format!("192.0.2.0/24,{country}\n198.51.100.0/24,DE\n").as_bytes()).unwrap();
        table(&[source]).unwrap()
    }

    #[test]
    fn a_whole_table_is_used() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("README"), "not a table").unwrap();
        fs::write(folder.path().join("a.geo"), bytes("KZ")).unwrap();
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
        let whole = bytes("KZ");
        fs::write(folder.path().join("a.geo"), &whole[..whole.len() - 1]).unwrap();
        assert!(matches!(Geo::open(folder.path()), Err(GeoFileError::Invalid { error: GeoError::Digest, .. })));
        fs::write(folder.path().join("b.geo"), &whole).unwrap();
        assert!(matches!(Geo::open(folder.path()), Err(GeoFileError::Several(_))));
    }

    /// Puts a file into the place of the table, as volumes do it.
    fn put(folder: &Path, bytes: &[u8]) {
        fs::write(folder.join("next"), bytes).unwrap();
        fs::rename(folder.join("next"), folder.join("a.geo")).unwrap();
    }

    #[test]
    fn another_table_is_taken_and_one_that_is_not_whole_leaves_the_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), &bytes("KZ"));
        let countries = Countries::open(folder.path()).unwrap();
        let mut tables = countries.tables();
        let country = || countries.countries("192.0.2.1".parse().unwrap())[0].to_string();
        countries.look().unwrap();
        assert!(!tables.has_changed().unwrap(), "the same table is no news");
        let whole = bytes("DE");
        let mut altered = whole.clone();
        *altered.last_mut().unwrap() ^= 1;
        for broken in [&whole[..whole.len() - 1], &altered[..], &b""[..]] {
            put(folder.path(), broken);
            assert!(matches!(countries.look(), Err(GeoFileError::Invalid { .. })));
            assert_eq!((country().as_str(), tables.has_changed().unwrap()), ("KZ", false));
            countries.look().unwrap();
        }
        put(folder.path(), &whole);
        countries.look().unwrap();
        assert_eq!((country().as_str(), tables.has_changed().unwrap()), ("DE", true));
        tables.borrow_and_update();
        fs::remove_file(folder.path().join("a.geo")).unwrap();
        assert!(matches!(countries.look(), Err(GeoFileError::Gone(_))));
        assert_eq!((country().as_str(), tables.has_changed().unwrap()), ("DE", false));
    }
}
