//! What the kernel says of the sidecar's process, and what it says of itself.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::place::Place;
use crate::wait::within;

/// What a sidecar holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    /// Open descriptors.
    pub(crate) files: usize,
    /// Flows, by its own gauge.
    pub(crate) flows: u64,
}

impl Place {
    /// What the sidecar holds now.
    pub(crate) async fn holds(&self) -> Holds {
        Holds { flows: self.metric("shekara_live_flows").await, files: self.open_files() }
    }

    /// Waits until the sidecar holds no more than this: whatever was closed is let go.
    pub(crate) async fn holds_again(&self, before: Holds) {
        let again = async {
            loop {
                let now = self.holds().await;
                if now.files <= before.files && now.flows == before.flows {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        within(&format!("the sidecar to hold {before:?} again"), again).await;
    }

    /// A metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let said = self.curl(&["http://127.0.0.1:15020/metrics"]).await;
        let line = said.out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {said:?}"));
        line.trim().parse().unwrap()
    }

    /// Descriptors of the sidecar's process.
    pub(crate) fn open_files(&self) -> usize {
        self.descriptors().count()
    }

    fn descriptors(&self) -> impl Iterator<Item = usize> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.sidecar().id())).unwrap();
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap().parse().unwrap())
    }

    /// Leaves the sidecar's process, from now on, room for so many more descriptors.
    pub(crate) fn leave_open_files(&self, more: usize) {
        let open: HashSet<usize> = self.descriptors().collect();
        let free = (0..).filter(|number| !open.contains(number));
        self.limit_open_files(free.take(more + 1).last().unwrap());
    }

    /// Gives the sidecar's process, from now on, no more descriptors than these, as far as this process may have them.
    pub(crate) fn limit_open_files(&self, most: usize) {
        let process = Pid::from_raw(self.sidecar().id().try_into().unwrap());
        let maximum = getrlimit(Resource::Nofile).maximum;
        let most = maximum.map_or(most as u64, |maximum| maximum.min(most as u64));
        prlimit(process, Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
    }
}
