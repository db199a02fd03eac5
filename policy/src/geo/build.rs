//! Building a geo table from what providers publish: CSV of ranges or networks, and MMDB.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use super::table::{INDEX_ENTRIES, MAGIC, NAME_BYTES};
use crate::address::Address;
use crate::country::Country;

/// The ranges of one source, collected before they are written.
#[derive(Debug, Clone, Default)]
pub struct SourceBuilder {
    name: String,
    v4: BTreeMap<u32, (u32, Country)>,
    v6: BTreeMap<u128, (u128, Country)>,
}

/// Data that cannot be made into a table.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A source's name is empty, too long for the table, or not plain.
    #[error("the source name {0:?} must have 1 to 31 letters, digits, dots or hyphens")]
    Name(String),
    /// A line that is neither `first,last,country` nor `network,country`.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        problem: LineProblem,
    },
    /// The CSV reader's own error.
    #[error("the CSV cannot be read: {0}")]
    Csv(#[from] csv::Error),
    /// The MMDB reader's own error.
    #[error("the MMDB file cannot be read: {0}")]
    Mmdb(#[from] maxminddb::MaxMindDbError),
    /// More ranges than the table can count.
    #[error("the source {0:?} has more than 4,294,967,295 ranges")]
    TooMany(String),
}

/// What is wrong about a line of CSV.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// Not two or three fields.
    #[error("two fields (network, country) or three (first address, last address, country) are expected")]
    Fields,
    /// Not an address, a number or a network.
    #[error("{0:?} is not an address or network")]
    Address(String),
    /// The last address is before the first, or of another family.
    #[error("the range does not end behind its beginning in the same family")]
    Range,
    /// The range overlaps one before it that has another country.
    #[error("the range overlaps another one of the same source")]
    Overlap,
}

impl SourceBuilder {
    /// An empty source.
    ///
    /// # Errors
    /// When the name is not plain or too long.
    pub fn new(name: &str) -> Result<Self, BuildError> {
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        if name.is_empty() || name.len() >= NAME_BYTES || !plain {
            return Err(BuildError::Name(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), ..Self::default() })
    }

    /// Adds the lines of a CSV: `network,country` or `first,last,country`; addresses in text or, for IPv4, as a number. Lines
    /// that begin with `#` are comments. A country that is not two letters (`??`, empty) leaves the range unknown.
    ///
    /// # Errors
    /// On the first line that cannot be read, with its number. Nothing is skipped in silence.
    pub fn add_csv(&mut self, data: impl std::io::Read) -> Result<(), BuildError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .comment(Some(b'#'))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(data);
        for record in reader.records() {
            let record = record?;
            let line = record.position().map_or(0, csv::Position::line);
            self.add_record(&record).map_err(|problem| BuildError::Line { line, problem })?;
        }
        Ok(())
    }

    fn add_record(&mut self, record: &csv::StringRecord) -> Result<(), LineProblem> {
        let fields: Vec<&str> = record.iter().collect();
        let (first, last, country) = match *fields.as_slice() {
            [network, country] => {
                let network: IpNet = network.parse().map_err(|_| LineProblem::Address(network.to_owned()))?;
                (network.network(), network.broadcast(), country)
            }
            [first, last, country, ..] => (address(first)?, address(last)?, country),
            _ => return Err(LineProblem::Fields),
        };
        self.add(first, last, country.parse().unwrap_or(Country::UNKNOWN))
    }

    /// Adds every network of an MMDB file that has `country.iso_code` (the form of most providers) or `country_code`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn add_mmdb(&mut self, file: Vec<u8>) -> Result<(), BuildError> {
        use maxminddb::PathElement::Key;
        let reader = maxminddb::Reader::from_source(file)?;
        for found in reader.networks(maxminddb::WithinOptions::default())? {
            let found = found?;
            let network = found.network()?;
            let nested: Option<&str> = found.decode_path(&[Key("country"), Key("iso_code")]).unwrap_or_default();
            let flat: Option<&str> = found.decode_path(&[Key("country_code")]).unwrap_or_default();
            let Some(country) = nested.or(flat) else { continue };
            let country = country.parse().unwrap_or(Country::UNKNOWN);
            let (first, last) = (network.network(), network.broadcast());
            // in an IPv6 tree IPv4 networks appear in mapped form too: the canonical form is the one that is looked up
            if Address::new(first).ip() == first {
                self.add(first, last, country).map_err(|problem| BuildError::Line { line: 0, problem })?;
            }
        }
        Ok(())
    }

    /// Adds one range, both ends included.
    ///
    /// # Errors
    /// When the ends do not belong together, or the range overlaps one with another country.
    pub fn add(&mut self, first: IpAddr, last: IpAddr, country: Country) -> Result<(), LineProblem> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => insert(&mut self.v4, first.to_bits(), last.to_bits(), country),
            (IpAddr::V6(first), IpAddr::V6(last)) => insert(&mut self.v6, first.to_bits(), last.to_bits(), country),
            _ => Err(LineProblem::Range),
        }
    }

    fn write(&self, out: &mut Vec<u8>) -> Result<(), BuildError> {
        let v4 = with_gaps(&self.v4, |last| last.checked_add(1));
        let v6 = with_gaps(&self.v6, |last| last.checked_add(1));
        let count = |n: usize| u32::try_from(n).map_err(|_| BuildError::TooMany(self.name.clone()));
        let mut name = self.name.clone().into_bytes();
        name.resize(NAME_BYTES, 0);
        out.extend(name);
        out.extend(count(v4.len())?.to_le_bytes());
        out.extend(count(v6.len())?.to_le_bytes());
        for block in 0..INDEX_ENTRIES as u64 {
            out.extend(count(v4.partition_point(|(first, _)| u64::from(*first) < block << 16))?.to_le_bytes());
        }
        out.extend(v4.iter().flat_map(|(first, _)| first.to_le_bytes()));
        out.extend(v4.iter().flat_map(|(_, country)| country.bytes()));
        out.extend(v6.iter().flat_map(|(first, _)| first.to_le_bytes()));
        out.extend(v6.iter().flat_map(|(_, country)| country.bytes()));
        Ok(())
    }
}

/// The bytes of a table of these sources.
///
/// # Errors
/// When a source has more ranges than the table can count.
pub fn table(sources: &[SourceBuilder]) -> Result<Vec<u8>, BuildError> {
    let mut content = Vec::new();
    content.extend(u32::try_from(sources.len()).map_err(|_| BuildError::TooMany(String::new()))?.to_le_bytes());
    for source in sources {
        source.write(&mut content)?;
    }
    let mut file = MAGIC.to_vec();
    file.extend(Sha256::digest(&content));
    file.extend(content);
    Ok(file)
}

fn insert<T: Ord + Copy>(ranges: &mut BTreeMap<T, (T, Country)>, first: T, last: T, country: Country) -> Result<(), LineProblem> {
    if last < first {
        return Err(LineProblem::Range);
    }
    let neighbour = ranges.range(..=last).next_back();
    if neighbour.is_some_and(|(_, (end, _))| *end >= first) {
        return Err(LineProblem::Overlap);
    }
    ranges.insert(first, (last, country));
    Ok(())
}

/// The first addresses with their countries, with a range of `ZZ` where nothing is known, and neighbours of one country joined.
fn with_gaps<T: Ord + Copy + Default>(ranges: &BTreeMap<T, (T, Country)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, Country)> {
    let mut out: Vec<(T, Country)> = Vec::with_capacity(ranges.len());
    let mut push = |first: T, country: Country| {
        if out.last().is_none_or(|(_, before)| *before != country) {
            out.push((first, country));
        }
    };
    let mut free = Some(T::default());
    for (first, (last, country)) in ranges {
        if free.is_some_and(|free| free < *first) {
            push(free.unwrap_or_default(), Country::UNKNOWN);
        }
        push(*first, *country);
        free = next(*last);
    }
    if let Some(free) = free {
        push(free, Country::UNKNOWN);
    }
    out
}

fn address(text: &str) -> Result<IpAddr, LineProblem> {
    let number = || text.parse::<u32>().map(|bits| IpAddr::V4(Ipv4Addr::from(bits)));
    text.parse::<Ipv6Addr>()
        .map(IpAddr::V6)
        .or_else(|_| text.parse())
        .or_else(|_| number())
        .map_err(|_| LineProblem::Address(text.to_owned()))
}

#[cfg(test)]
mod tests;
