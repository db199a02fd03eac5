//! What must hold whatever the bytes are: the bodies of the fuzz targets of `fuzz/`. Each panics where it does not hold. The seeds
//! of each target, and with them everything that was ever found, also run in an ordinary test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what does not hold is a failed test"
)]

mod address;
mod geo_table;
mod host_name;
mod policy_document;
mod signed_bundle;

pub use address::address;
pub use geo_table::geo_table;
pub use host_name::host_name;
pub use policy_document::policy_document;
pub use signed_bundle::signed_bundle;

/// A whole document, which is also a seed.
pub const DOCUMENT: &[u8] = include_bytes!("../../fuzz/seeds/policy_document/whole.json");

/// Runs the seeds of a target, found from the folder of a crate.
pub fn run_seeds(crate_folder: &str, target: &str, body: fn(&[u8])) {
    let folder = format!("{crate_folder}/../fuzz/seeds/{target}");
    let seeds = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut count = 0;
    for seed in seeds {
        let path = seed.unwrap().path();
        // said before, since what fails in it may not say which one it was
        println!("{}", path.display());
        body(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{folder} has no seeds");
}

#[cfg(test)]
mod tests;
