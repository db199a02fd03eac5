//! Who watches which address.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Every watch, by address.
#[derive(Default)]
pub(super) struct Watching {
    next: AtomicU64,
    by_address: Mutex<HashMap<IpAddr, HashMap<u64, Arc<Touched>>>>,
}

/// The addresses of one watch at which something may be otherwise.
#[derive(Default)]
struct Touched {
    addresses: Mutex<BTreeSet<IpAddr>>,
    wake: Notify,
}

impl Watching {
    /// Wakes who watches one of these addresses.
    pub(super) fn touch(&self, addresses: &BTreeSet<IpAddr>) {
        let watching = self.by_address.lock();
        for address in addresses {
            for touched in watching.get(address).into_iter().flat_map(HashMap::values) {
                touched.addresses.lock().insert(*address);
                touched.wake.notify_one();
            }
        }
    }
}

/// A watch of some addresses, which ends when it is dropped.
pub(crate) struct Watch {
    watching: Arc<Watching>,
    number: u64,
    addresses: BTreeSet<IpAddr>,
    touched: Arc<Touched>,
}

impl Watch {
    pub(super) fn new(watching: Arc<Watching>) -> Self {
        let number = watching.next.fetch_add(1, Ordering::Relaxed);
        Self { watching, number, addresses: BTreeSet::new(), touched: Arc::default() }
    }

    /// Watches an address too.
    pub(crate) fn add(&mut self, address: IpAddr) {
        if self.addresses.insert(address) {
            self.watching.by_address.lock().entry(address).or_default().insert(self.number, Arc::clone(&self.touched));
        }
    }

    /// Watches an address no more.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        if self.addresses.remove(&address) {
            forget(&self.watching, self.number, address);
        }
    }

    /// The addresses at which something may be otherwise since the last time, as soon as there are any.
    pub(crate) async fn touched(&self) -> BTreeSet<IpAddr> {
        loop {
            let touched = std::mem::take(&mut *self.touched.addresses.lock());
            if !touched.is_empty() {
                return touched;
            }
            self.touched.wake.notified().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for address in &self.addresses {
            forget(&self.watching, self.number, *address);
        }
    }
}

fn forget(watching: &Watching, number: u64, address: IpAddr) {
    let mut by_address = watching.by_address.lock();
    if let Some(watches) = by_address.get_mut(&address) {
        watches.remove(&number);
        if watches.is_empty() {
            by_address.remove(&address);
        }
    }
}
