//! The country of an address: the standards' networks first, then every geo source.

use std::collections::BTreeSet;

use super::Judge;
use crate::address::Address;
use crate::country::Country;
use crate::document::StandardNetworks;
use crate::reason::Reason;

/// Where an address is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its country, or why it counts as unknown.
    pub(super) located: Result<Country, Reason>,
    /// The same for an endpoint that serves many customers.
    shared: Result<Country, Reason>,
}

impl Place {
    /// The country for an endpoint; `shared` says that it serves many customers.
    pub(super) fn of(self, shared: bool) -> Result<Country, Reason> {
        if shared { self.shared } else { self.located }
    }
}

/// The country of an address, or why it counts as unknown.
///
/// Each standard that declares a network with the address names a country by its longest prefix; standards that differ, and geo
/// sources that differ, leave the country unknown, since to pick one would be a guess. Where many customers are served, geo
/// sources count only if every standard says so.
pub(super) fn locate(judge: Judge<'_>, address: Address) -> Place {
    let standards = || judge.documents.iter().flat_map(|document| &document.standards);
    let declared: BTreeSet<Country> = standards().filter_map(|standard| declared(standard, address)).collect();
    if !declared.is_empty() {
        let located = only(&declared);
        return Place { located, shared: located };
    }
    let located = by_sources(judge, address);
    let counts = standards().next().is_some() && standards().all(|standard| standard.locates_shared);
    Place { located, shared: if counts { located } else { Err(Reason::SharedTenancy) } }
}

fn by_sources(judge: Judge<'_>, address: Address) -> Result<Country, Reason> {
    let standards = judge.documents.iter().flat_map(|document| &document.standards);
    let said = judge.geo.countries(address.ip());
    if said.contains(&Country::MANY) {
        return Err(Reason::ManyPlaces);
    }
    let known: Vec<Country> = said.into_iter().filter(|country| country.is_known()).collect();
    let needed = standards.map(|standard| usize::from(standard.min_sources)).max().unwrap_or(1).max(1);
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
