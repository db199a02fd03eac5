//! What the test's own process may open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Gives this process as many descriptors as it may have, and at least so many.
pub(super) fn may_open(files: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < files) {
        let most = maximum.map(|maximum| maximum.max(files));
        setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })
            .unwrap_or_else(|error| panic!("this test opens {files} files, and the limit cannot be raised to that: {error}"));
    }
}
