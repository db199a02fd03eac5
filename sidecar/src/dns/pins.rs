//! Pins: which names this pod was answered an address for. They are this pod's alone and end by the clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shekara_policy::HostName;
use tokio::time::Instant;

/// A pin lasts at least this long: applications dial a little after the answer's own time.
const FLOOR: Duration = Duration::from_secs(30);

/// A pin lasts at most this long, whatever the answer says.
const CEILING: Duration = Duration::from_secs(3600);

/// Pins that are kept; the one that ends first makes room.
const MOST: usize = 4096;

/// The pins of the pod.
#[derive(Debug, Default)]
pub struct Pins {
    ends: Mutex<BTreeMap<(IpAddr, HostName), Instant>>,
}

impl Pins {
    /// Pins a name to the addresses that it was answered with.
    pub fn pin(&self, name: &HostName, addresses: &[IpAddr], ttl: Duration, now: Instant) {
        let end = now + ttl.clamp(FLOOR, CEILING);
        let mut ends = self.lock();
        for address in addresses {
            let kept = ends.entry((*address, name.clone())).or_insert(end);
            *kept = end.max(*kept);
        }
        if ends.len() > MOST {
            make_room(&mut ends, now);
        }
    }

    /// The names that are pinned to an address now.
    #[must_use]
    pub fn names(&self, address: IpAddr, now: Instant) -> Vec<HostName> {
        let ends = self.lock();
        let all = ends.iter().filter(|((pinned, _), end)| *pinned == address && **end > now);
        all.map(|((_, name), _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(IpAddr, HostName), Instant>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(ends: &mut BTreeMap<(IpAddr, HostName), Instant>, now: Instant) {
    ends.retain(|_, end| *end > now);
    while ends.len() > MOST {
        let Some(first) = ends.iter().min_by_key(|(_, end)| **end).map(|(pin, _)| pin.clone()) else { return };
        ends.remove(&first);
    }
}
