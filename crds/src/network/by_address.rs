//! Keys of objects by address.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::Key;

/// Keys by address, and back. Most addresses have one key and most keys one address, and there are a hundred thousand of them: short
/// lists take a fifth of what sets would.
#[derive(Debug, Default)]
pub(super) struct ByAddress {
    keys: HashMap<IpAddr, Vec<Arc<Key>>>,
    addresses: HashMap<Arc<Key>, Box<[IpAddr]>>,
}

impl ByAddress {
    /// Sets the addresses of a key, and gives those that it had and those that it has.
    pub(super) fn set(&mut self, key: &Key, addresses: BTreeSet<IpAddr>) -> BTreeSet<IpAddr> {
        let (known, before) = match self.addresses.remove_entry(key) {
            Some((known, before)) => (known, before.iter().copied().collect()),
            None => (Arc::new(key.clone()), BTreeSet::new()),
        };
        for address in before.difference(&addresses) {
            if let Some(keys) = self.keys.get_mut(address) {
                keys.retain(|other| **other != *key);
                if keys.is_empty() {
                    self.keys.remove(address);
                }
            }
        }
        for address in addresses.difference(&before) {
            let keys = self.keys.entry(*address).or_insert_with(|| Vec::with_capacity(1));
            keys.push(Arc::clone(&known));
        }
        let touched = before.union(&addresses).copied().collect();
        if !addresses.is_empty() {
            self.addresses.insert(known, addresses.into_iter().collect());
        }
        touched
    }

    pub(super) fn at(&self, address: IpAddr) -> impl Iterator<Item = &Key> {
        self.keys.get(&address).into_iter().flatten().map(|key| &**key)
    }

    pub(super) fn of(&self, key: &Key) -> impl Iterator<Item = IpAddr> {
        self.addresses.get(key).into_iter().flatten().copied()
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.keys.keys().copied()
    }
}
