//! The geo table: built, altered, cut off, and asked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest as _, Sha256};

use crate::country::Country;
use crate::geo::build::{SourceBuilder, table};
use crate::geo::table::{INDEX_ENTRIES, NAME_BYTES};
use crate::geo::{CountrySource as _, GeoTable};

/// Where the digest lies.
const DIGEST: std::ops::Range<usize> = 8..40;

/// A table says what its ranges say; an altered one is refused, and one whose digest was made to fit is refused or says what its
/// own bytes say. Text is read as CSV; what begins with a zero byte is a recipe for ranges and alterations, and anything behind a
/// byte of one is a file but for its digest.
pub fn geo_table(bytes: &[u8]) {
    match bytes {
        [0, recipe @ ..] => cooked(recipe),
        [1, content @ ..] => {
            let file = [b"SHKGEO01".as_slice(), &Sha256::digest(content), content].concat();
            says_what_it_holds(&file);
            says_what_it_holds(bytes);
        }
        _ => {
            if let Ok(mut builder) = SourceBuilder::new("csv")
                && builder.add_csv(bytes).is_ok()
            {
                says_what_it_holds(&table(&[builder]).unwrap());
            }
        }
    }
}

/// A recipe: a count of ranges, the ranges, and what is left alters the file.
fn cooked(mut recipe: &[u8]) {
    let mut next = |length: usize| -> Vec<u8> {
        let (taken, rest) = recipe.split_at(length.min(recipe.len()));
        recipe = rest;
        taken.iter().copied().chain(std::iter::repeat(0)).take(length).collect()
    };
    let mut builder = SourceBuilder::new("fuzz").unwrap();
    let mut known: Vec<(IpAddr, IpAddr, Country)> = Vec::new();
    for _ in 0..next(1)[0] % 16 {
        let (first, last, country) = range(&next(8));
        if builder.add(first, last, country).is_ok() {
            known.push((first, last, country));
        }
    }
    let file = table(&[builder]).unwrap();
    let read = GeoTable::new(file.as_slice()).expect("what was built is not taken");
    for (first, last, _) in &known {
        for probe in [before(*first), Some(*first), Some(*last), after(*last)].into_iter().flatten() {
            let found =
                known.iter().find(|(first, last, _)| (*first..=*last).contains(&probe) && probe.is_ipv4() == first.is_ipv4());
            assert_eq!(read.countries(probe), [found.map_or(Country::UNKNOWN, |(_, _, country)| *country)], "{probe}");
        }
    }
    altered(file, &next(9));
}

fn altered(mut file: Vec<u8>, how: &[u8]) {
    let whole = file.clone();
    // the interesting bytes are at both ends: between them lies the index
    let place = |bytes: &[u8]| {
        let at = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        if at & 1 == 0 { at / 2 % file.len() } else { file.len() - 1 - at / 2 % file.len() }
    };
    let (first, second, end) = (place(&how[..2]), place(&how[2..4]), place(&how[4..6]));
    file[first] ^= how[6];
    file[second] = file[second].wrapping_add(how[7]);
    if how[8] & 1 == 1 {
        file.truncate(end);
    }
    if file != whole {
        assert!(GeoTable::new(file.as_slice()).is_err(), "an altered table is taken");
    }
    if file.len() > DIGEST.end {
        let digest = Sha256::digest(&file[DIGEST.end..]);
        file[DIGEST].copy_from_slice(&digest);
        says_what_it_holds(&file);
    }
}

/// A range of one family, from eight bytes: the country's by the last one.
fn range(bytes: &[u8]) -> (IpAddr, IpAddr, Country) {
    let country = ["KZ", "DE", "US", "ZZ"][usize::from(bytes[7] % 4)].parse().unwrap();
    let number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let length = u32::from(u16::from_be_bytes([bytes[4], bytes[5]])) << (bytes[6] % 17);
    let last = number.saturating_add(length);
    if bytes[7] & 4 == 0 {
        return (Ipv4Addr::from(number).into(), Ipv4Addr::from(last).into(), country);
    }
    let wide = |number: u32| u128::from(number) << (u32::from(bytes[6] >> 5) * 12) | u128::from(bytes[6]);
    (Ipv6Addr::from(wide(number)).into(), Ipv6Addr::from(wide(last)).into(), country)
}

fn before(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from(bits).into()),
    }
}

fn after(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from(bits).into()),
    }
}

/// Where the file is taken, each answer is what a walk along its ranges finds.
fn says_what_it_holds(file: &[u8]) {
    let Ok(table) = GeoTable::new(file) else { return };
    let sources = walk(file);
    assert_eq!(table.sources().count(), sources.len());
    let firsts = sources.iter().flat_map(|source| source.v4.iter().map(|(first, _)| IpAddr::from(*first)).take(32));
    let firsts = firsts.chain(sources.iter().flat_map(|source| source.v6.iter().map(|(first, _)| IpAddr::from(*first)).take(32)));
    let ends = ["0.0.0.0", "255.255.255.255", "192.0.2.1", "::", "2001:db8::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    let probes: Vec<IpAddr> = firsts
        .flat_map(|first| [before(first), Some(first), after(first)])
        .flatten()
        .chain(ends.map(|end| end.parse().unwrap()))
        .collect();
    for probe in probes {
        let expected: Vec<Country> = sources.iter().map(|source| source.country(probe)).collect();
        assert_eq!(table.countries(probe), expected, "{probe}");
    }
}

struct Walked {
    v4: Vec<([u8; 4], Option<Country>)>,
    v6: Vec<([u8; 16], Option<Country>)>,
}

impl Walked {
    fn country(&self, ip: IpAddr) -> Country {
        let country = match ip {
            IpAddr::V4(v4) => self.v4.iter().rev().find(|(first, _)| *first <= v4.octets()).and_then(|(_, country)| *country),
            IpAddr::V6(v6) => self.v6.iter().rev().find(|(first, _)| *first <= v6.octets()).and_then(|(_, country)| *country),
        };
        country.unwrap_or(Country::UNKNOWN)
    }
}

/// The ranges of a file that was taken, read one after the other.
fn walk(file: &[u8]) -> Vec<Walked> {
    let mut rest = &file[DIGEST.end..];
    let mut take = |length: usize| {
        let (taken, behind) = rest.split_at(length);
        rest = behind;
        taken
    };
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    let count = number(take(4));
    let mut sources = Vec::new();
    for _ in 0..count {
        take(NAME_BYTES);
        let (n4, n6) = (number(take(4)), number(take(4)));
        take(4 * INDEX_ENTRIES);
        let (firsts4, countries4, firsts6, countries6) = (take(4 * n4), take(2 * n4), take(16 * n6), take(2 * n6));
        sources.push(Walked { v4: ranges(firsts4, countries4), v6: ranges(firsts6, countries6) });
    }
    sources
}

fn ranges<const N: usize>(firsts: &[u8], countries: &[u8]) -> Vec<([u8; N], Option<Country>)> {
    let first = |bytes: &[u8]| {
        let mut first = <[u8; N]>::try_from(bytes).unwrap();
        first.reverse();
        first
    };
    let country = |bytes: &[u8]| Country::from_bytes([bytes[0], bytes[1]]);
    firsts.chunks_exact(N).map(first).zip(countries.chunks_exact(2).map(country)).collect()
}
