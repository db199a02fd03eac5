//! The declaration of the test hosts.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The hosts, as the world's file declares them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hosts {
    hosts: Vec<Host>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its addresses.
    #[serde(default)]
    pub addresses: Vec<Placed>,
}

/// An address and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Placed {
    /// The address.
    pub address: IpAddr,
    /// The country that it is in (ISO 3166-1 alpha-2).
    pub country: String,
}

impl Hosts {
    /// Reads the declaration.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(yaml: &str) -> Result<Self> {
        serde_saphyr::from_str(yaml).context("the declaration of the hosts cannot be read")
    }

    /// The host of a name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<&Host> {
        self.hosts.iter().find(|host| host.name == name).with_context(|| format!("the world has no host {name}"))
    }

    /// Every address with its country, each once.
    #[must_use]
    pub fn places(&self) -> Vec<&Placed> {
        let mut places: Vec<&Placed> = self.hosts.iter().flat_map(|host| &host.addresses).collect();
        places.sort_by_key(|placed| placed.address);
        places.dedup_by_key(|placed| placed.address);
        places
    }
}

impl Host {
    /// Its IPv4 address in a country.
    ///
    /// # Errors
    /// When it has none there.
    pub fn v4(&self, country: &str) -> Result<IpAddr> {
        self.address(country, IpAddr::is_ipv4)
    }

    /// Its IPv6 address in a country.
    ///
    /// # Errors
    /// When it has none there.
    pub fn v6(&self, country: &str) -> Result<IpAddr> {
        self.address(country, IpAddr::is_ipv6)
    }

    fn address(&self, country: &str, is_wanted: fn(&IpAddr) -> bool) -> Result<IpAddr> {
        let mut there = self.addresses.iter().filter(|placed| placed.country == country && is_wanted(&placed.address));
        there.next().map(|placed| placed.address).with_context(|| format!("{} has no such address in {country}", self.name))
    }
}
