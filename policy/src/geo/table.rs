//! The geo table: a compact file that is used where it lies, without being read into memory.
//!
//! All integers are little-endian.
//!
//! ```text
//! 8 bytes   "SHKGEO01"
//! 32 bytes  SHA-256 of everything behind it; also the name of the file
//! 4 bytes   number of sources
//! for each source:
//!   32 bytes  its name, filled with zeros
//!   4 bytes   n4, number of IPv4 ranges; 4 bytes  n6, number of IPv6 ranges
//!   65537 x 4 bytes  for each /16 the number of ranges that begin before it, and n4 at the end
//!   n4 x 4 bytes   first addresses of the IPv4 ranges, ascending; n4 x 2 bytes  their countries
//!   n6 x 16 bytes  first addresses of the IPv6 ranges, ascending; n6 x 2 bytes  their countries
//! ```
//! A range ends where the next begins; a gap is a range of the country `ZZ`.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::CountrySource;
use crate::country::Country;

pub(crate) const MAGIC: &[u8; 8] = b"SHKGEO01";
pub(crate) const NAME_BYTES: usize = 32;
pub(crate) const INDEX_ENTRIES: usize = 65_537;
const HEADER: usize = 8 + 32 + 4;

/// A geo table over the bytes of its file, usually memory-mapped.
#[derive(Debug)]
pub struct GeoTable<B> {
    bytes: B,
    sources: Vec<Source>,
    digest: String,
}

#[derive(Debug)]
struct Source {
    name: String,
    index: usize,
    v4: Ranges<4>,
    v6: Ranges<16>,
}

/// Where the ranges of one family lie in the file.
#[derive(Debug)]
struct Ranges<const N: usize> {
    firsts: usize,
    countries: usize,
    count: usize,
}

/// A file that is not a geo table, or not the whole of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GeoError {
    /// The first bytes are not those of a geo table of this version.
    #[error("the file is not a geo table of this version")]
    Magic,
    /// The bytes do not have the digest that the file states: it is truncated or altered.
    #[error("the geo table is truncated or altered: its content does not have the digest that it states")]
    Digest,
    /// The sections do not fill the file.
    #[error("the sections of the geo table do not fit its length")]
    Length,
    /// The ranges are not in ascending order, or the index does not match them.
    #[error("the ranges of the geo table are not in order")]
    Order,
}

impl<B: AsRef<[u8]>> GeoTable<B> {
    /// Checks the whole file and makes it usable.
    ///
    /// # Errors
    /// When the file is not a geo table, is truncated, altered or out of order. Nothing of it is used then.
    pub fn new(bytes: B) -> Result<Self, GeoError> {
        let file = bytes.as_ref();
        if file.get(..8) != Some(MAGIC.as_slice()) {
            return Err(GeoError::Magic);
        }
        let stated = file.get(8..40).ok_or(GeoError::Length)?;
        let content = file.get(40..).ok_or(GeoError::Length)?;
        let actual = Sha256::digest(content);
        if actual.as_slice() != stated {
            return Err(GeoError::Digest);
        }
        let digest = actual.iter().fold(String::from("sha256:"), |text, byte| text + &format!("{byte:02x}"));
        let sources = sections(file)?;
        for source in &sources {
            source.check(file)?;
        }
        Ok(Self { bytes, sources, digest })
    }

    /// `sha256:` and 64 hexadecimal digits: the name of the table.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The names of the sources, in the order of their answers.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(|source| source.name.as_str())
    }
}

impl<B: AsRef<[u8]>> CountrySource for GeoTable<B> {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        let file = self.bytes.as_ref();
        self.sources.iter().map(|source| source.country(file, address).unwrap_or(Country::UNKNOWN)).collect()
    }
}

fn sections(file: &[u8]) -> Result<Vec<Source>, GeoError> {
    let count = read_u32(file, 40).ok_or(GeoError::Length)?;
    let mut at = HEADER;
    let mut sources = Vec::new();
    for _ in 0..count {
        let name = file.get(at..at + NAME_BYTES).ok_or(GeoError::Length)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        at += NAME_BYTES;
        let n4 = read_u32(file, at).ok_or(GeoError::Length)? as usize;
        let n6 = read_u32(file, at + 4).ok_or(GeoError::Length)? as usize;
        at += 8;
        let index = at;
        at += INDEX_ENTRIES * 4;
        let (v4, end4) = Ranges::at(at, n4);
        let (v6, end6) = Ranges::at(end4, n6);
        at = end6;
        if at > file.len() {
            return Err(GeoError::Length);
        }
        sources.push(Source { name: String::from_utf8_lossy(name).into_owned(), index, v4, v6 });
    }
    if at == file.len() { Ok(sources) } else { Err(GeoError::Length) }
}

impl Source {
    fn country(&self, file: &[u8], address: IpAddr) -> Option<Country> {
        match address {
            IpAddr::V4(v4) => {
                let bits = v4.to_bits();
                let slot = self.index + 4 * (bits >> 16) as usize;
                let (begin, end) = (read_u32(file, slot)? as usize, read_u32(file, slot + 4)? as usize);
                // the range that holds the address may begin before its /16
                self.v4.country(file, begin.saturating_sub(1), end, &bits.to_be_bytes())
            }
            IpAddr::V6(v6) => self.v6.country(file, 0, self.v6.count, &v6.octets()),
        }
    }

    fn check(&self, file: &[u8]) -> Result<(), GeoError> {
        self.v4.check_order(file)?;
        self.v6.check_order(file)?;
        let mut begun = 0;
        for block in 0..=u32::from(u16::MAX) + 1 {
            while begun < self.v4.count
                && self.v4.first(file, begun).is_some_and(|first| u64::from(u32::from_be_bytes(first)) < u64::from(block) << 16)
            {
                begun += 1;
            }
            if read_u32(file, self.index + 4 * block as usize).ok_or(GeoError::Length)? as usize != begun {
                return Err(GeoError::Order);
            }
        }
        Ok(())
    }
}

impl<const N: usize> Ranges<N> {
    fn at(firsts: usize, count: usize) -> (Self, usize) {
        let countries = firsts.saturating_add(count.saturating_mul(N));
        (Self { firsts, countries, count }, countries.saturating_add(count.saturating_mul(2)))
    }

    /// The first address of a range in network byte order, so that bytes compare as addresses do.
    fn first(&self, file: &[u8], index: usize) -> Option<[u8; N]> {
        let at = self.firsts + index * N;
        let mut first: [u8; N] = file.get(at..at + N)?.try_into().ok()?;
        first.reverse();
        Some(first)
    }

    fn country(&self, file: &[u8], mut low: usize, mut high: usize, address: &[u8; N]) -> Option<Country> {
        while low < high {
            let middle = low + (high - low) / 2;
            if self.first(file, middle)? <= *address { low = middle + 1 } else { high = middle }
        }
        let at = self.countries + 2 * low.checked_sub(1)?;
        Country::from_bytes(file.get(at..at + 2)?.try_into().ok()?)
    }

    fn check_order(&self, file: &[u8]) -> Result<(), GeoError> {
        let mut before: Option<[u8; N]> = None;
        for index in 0..self.count {
            let first = self.first(file, index).ok_or(GeoError::Length)?;
            if before.is_some_and(|before| before >= first) {
                return Err(GeoError::Order);
            }
            before = Some(first);
        }
        Ok(())
    }
}

fn read_u32(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?))
}
