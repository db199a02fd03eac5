//! The declaration of the test hosts.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The hosts, as the world's file declares them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Hosts {
    hosts: Vec<Host>,
    /// The addresses of the world's DNS servers.
    resolvers: Vec<IpAddr>,
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

    /// The world's DNS server over IPv4.
    ///
    /// # Errors
    /// When there is none.
    pub fn resolver(&self) -> Result<IpAddr> {
        self.resolvers.iter().copied().find(IpAddr::is_ipv4).context("the world has no DNS server over IPv4")
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

    /// An IPv4 address of it, wherever it is.
    ///
    /// # Errors
    /// When it has none.
    pub fn any_v4(&self) -> Result<IpAddr> {
        self.any(IpAddr::is_ipv4).with_context(|| format!("{} has no IPv4 address", self.name))
    }

    /// An IPv6 address of it, wherever it is.
    ///
    /// # Errors
    /// When it has none.
    pub fn any_v6(&self) -> Result<IpAddr> {
        self.any(IpAddr::is_ipv6).with_context(|| format!("{} has no IPv6 address", self.name))
    }

    fn any(&self, is_wanted: fn(&IpAddr) -> bool) -> Option<IpAddr> {
        self.addresses.iter().map(|placed| placed.address).find(is_wanted)
    }

    fn address(&self, country: &str, is_wanted: fn(&IpAddr) -> bool) -> Result<IpAddr> {
        let mut there = self.addresses.iter().filter(|placed| placed.country == country && is_wanted(&placed.address));
        there.next().map(|placed| placed.address).with_context(|| format!("{} has no such address in {country}", self.name))
    }
}

/// The hosts that scenarios speak of, by the part that they play.
pub mod cast {
    /// A clinic at home: TLS and HTTP, both families.
    pub const CLINIC: &str = "api.clinic.example.kz";
    /// An advertiser whom nobody lists.
    pub const ADS: &str = "ads.example.com";
    /// Maps from abroad.
    pub const MAPS: &str = "maps.example.de";
    /// A name of the country that leads to the maps abroad.
    pub const MAPS_ALIAS: &str = "maps.example.kz";
    /// One address at home and one abroad.
    pub const SPLIT: &str = "cdn.example.kz";
    /// A message broker at home.
    pub const BROKER: &str = "mqtt.telematics.example.kz";
    /// The vendor's message broker abroad.
    pub const VENDOR: &str = "mqtt.vendor.example.de";
    /// A database at home.
    pub const DATABASE: &str = "db.example.kz";
    /// Answers what it is sent, over TCP and UDP.
    pub const ECHO: &str = "echo.example.com";
    /// Everything that ordinary programs talk to, at home.
    pub const SERVICES: &str = "services.example.kz";
    /// The same abroad, at a party that nobody lists.
    pub const UNLISTED_SERVICES: &str = "services.example.com";
    /// Another name of the unlisted one, for clients that know its address without a DNS question.
    pub const KNOWN_SERVICES: &str = "known.services.example.com";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_has_the_whole_cast() {
        let hosts = Hosts::parse(include_str!("../../world/hosts.yaml")).unwrap();
        for (name, country) in [
            (cast::CLINIC, "KZ"),
            (cast::ADS, "US"),
            (cast::MAPS, "DE"),
            (cast::SPLIT, "KZ"),
            (cast::SPLIT, "DE"),
            (cast::BROKER, "KZ"),
            (cast::VENDOR, "DE"),
            (cast::DATABASE, "KZ"),
            (cast::ECHO, "KZ"),
            (cast::SERVICES, "KZ"),
            (cast::UNLISTED_SERVICES, "US"),
        ] {
            hosts.get(name).unwrap().v4(country).unwrap();
        }
        hosts.get(cast::MAPS_ALIAS).unwrap();
        hosts.get(cast::KNOWN_SERVICES).unwrap();
        hosts.resolver().unwrap();
    }
}
