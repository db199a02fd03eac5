//! The country of an address: the standards' networks first, then every geo source.

use std::collections::BTreeSet;

use super::Judge;
use crate::address::Address;
use crate::country::Country;
use crate::document::StandardNetworks;
use crate::reason::Reason;

/// The country of an address, or why it counts as unknown.
///
/// Each standard that declares a network with the address names a country by its longest prefix; standards that differ, and geo
/// sources that differ, leave the country unknown, since to pick one would be a guess.
pub(super) fn locate(judge: Judge<'_>, address: Address) -> Result<Country, Reason> {
    let standards = || judge.documents.iter().flat_map(|document| &document.standards);
    let declared: BTreeSet<Country> = standards().filter_map(|standard| declared(standard, address)).collect();
    if !declared.is_empty() {
        return only(&declared);
    }
    let known: Vec<Country> = judge.geo.countries(address.ip()).into_iter().filter(|country| country.is_known()).collect();
    let needed = standards().map(|standard| usize::from(standard.min_sources)).max().unwrap_or(1).max(1);
    if known.len() < needed {
        return Err(Reason::UnknownCountry);
    }
    only(&known.into_iter().collect())
}

fn declared(standard: &StandardNetworks, address: Address) -> Option<Country> {
    standard
        .networks
        .iter()
        .filter(|network| network.cidr.contains(&address.ip()))
        .max_by_key(|network| network.cidr.prefix_len())
        .map(|network| network.country)
}

fn only(countries: &BTreeSet<Country>) -> Result<Country, Reason> {
    match countries.first() {
        Some(country) if countries.len() == 1 && country.is_known() => Ok(*country),
        Some(_) if countries.len() > 1 => Err(Reason::SourcesDisagree),
        _ => Err(Reason::UnknownCountry),
    }
}
