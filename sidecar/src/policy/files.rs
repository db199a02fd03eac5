//! The pod's files: the signed document of each holding as the operator wrote it last, mounted from the holding's ConfigMap. A
//! data owner may be able to write there, so nothing in a file counts before it is verified.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use shekara_policy::signed::{Accepted, Bundle, LONGEST_BUNDLE, Refusal, Trust};

/// Takes the documents of all holdings that admission stamped, or none.
///
/// # Errors
/// The first refusal that applies; a file that is not there is a document that is missing.
pub(super) fn take(folder: &Path, trust: &mut Trust, now: Timestamp) -> Result<Accepted, Refusal> {
    let bundles = trust.stamps().iter().map(|stamp| read(&folder.join(format!("{}.json", stamp.name))));
    let bundles: Vec<Bundle> = bundles.collect::<Result<_, _>>()?;
    for bundle in &bundles {
        match trust.take_keys(&bundle.keys) {
            // the kubelet may bring one file before the other; the newest key set counts for both
            Err(Refusal::KeySetRolledBack) if trust.keys().is_some() => {}
            taken => drop(taken?),
        }
    }
    let documents: Vec<_> = bundles.into_iter().map(|bundle| bundle.document).collect();
    trust.take(&documents, now)
}

fn read(path: &Path) -> Result<Bundle, Refusal> {
    let file = File::open(path).map_err(|_| Refusal::Missing)?;
    let mut json = Vec::new();
    // one byte more than the longest, so that a longer one is seen to be longer
    file.take(LONGEST_BUNDLE as u64 + 1).read_to_end(&mut json).map_err(|_| Refusal::Missing)?;
    Bundle::from_json(&json)
}
