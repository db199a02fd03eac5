//! The country of an address, from tables of networks.

#[cfg(feature = "geo-build")]
pub mod build;
pub mod table;

use std::net::IpAddr;

pub use table::{GeoError, GeoTable};

use crate::country::Country;

/// Something that knows the countries of addresses.
pub trait CountrySource {
    /// What each source says about the address, one item a source; [`Country::UNKNOWN`] where a source does not know it.
    fn countries(&self, address: IpAddr) -> Vec<Country>;
}

/// No source at all: every address is unknown.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSource;

impl CountrySource for NoSource {
    fn countries(&self, _address: IpAddr) -> Vec<Country> {
        Vec::new()
    }
}
