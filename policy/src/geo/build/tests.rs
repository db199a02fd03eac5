use proptest::prelude::*;

use super::*;
use crate::geo::{CountrySource as _, GeoError, GeoTable};

fn source(csv: &str) -> SourceBuilder {
    let mut source = SourceBuilder::new("test").unwrap();
    source.add_csv(csv.as_bytes()).unwrap();
    source
}

fn country(table: &GeoTable<Vec<u8>>, ip: &str) -> String {
    table.countries(ip.parse().unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn ranges_networks_and_numbers_are_read_and_gaps_are_unknown() {
    let csv =
        "# comment\n192.0.2.0/24,KZ\n3325256704,3325256711,DE\n2001:db8::,2001:db8::ffff,kz\n203.0.113.0,203.0.113.255,??\n";
    let table = GeoTable::new(table(&[source(csv), source("192.0.2.0/25,KZ")]).unwrap()).unwrap();
    assert_eq!(country(&table, "192.0.2.255"), "KZ ZZ");
    assert_eq!(country(&table, "192.0.2.1"), "KZ KZ");
    assert_eq!(country(&table, "198.51.100.7"), "DE ZZ");
    assert_eq!(country(&table, "198.51.100.8"), "ZZ ZZ");
    assert_eq!(country(&table, "203.0.113.1"), "ZZ ZZ");
    assert_eq!(country(&table, "2001:db8::ffff"), "KZ ZZ");
    assert_eq!(country(&table, "2001:db8::1:0"), "ZZ ZZ");
    assert_eq!(country(&table, "255.255.255.255"), "ZZ ZZ");
    assert_eq!(table.sources().collect::<Vec<_>>(), ["test", "test"]);
}

#[test]
fn wrong_lines_are_named_by_number() {
    for (csv, line) in
        [("192.0.2.0/24,KZ\nnonsense,KZ", 2), ("192.0.2.9,192.0.2.1,KZ", 1), ("192.0.2.0/24,KZ\n192.0.2.128/25,DE", 2), ("KZ", 1)]
    {
        let error = SourceBuilder::new("test").unwrap().add_csv(csv.as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("line {line}: ")), "{error}");
    }
}

#[test]
fn every_truncation_and_every_altered_byte_is_refused() {
    let file = table(&[source("192.0.2.0/24,KZ")]).unwrap();
    for length in [0, 7, 8, 39, 43, 44, 100, file.len() - 1] {
        assert!(GeoTable::new(&file[..length]).is_err(), "{length}");
    }
    for at in [0, 8, 40, 44, 80, file.len() - 1] {
        let mut altered = file.clone();
        altered[at] ^= 1;
        assert!(matches!(GeoTable::new(altered), Err(GeoError::Digest | GeoError::Magic)), "{at}");
    }
}

proptest! {
    #[test]
    fn the_table_says_what_the_ranges_say(
        blocks in proptest::collection::btree_map(any::<u16>(), (any::<u16>(), 0u8..3), 0..20),
        probes in proptest::collection::vec(any::<u32>(), 50),
    ) {
        // ranges that never overlap: one within each /16
        let mut builder = SourceBuilder::new("p").unwrap();
        let countries: [Country; 3] = ["KZ".parse().unwrap(), "DE".parse().unwrap(), "US".parse().unwrap()];
        let ranges: Vec<(u32, u32, Country)> = blocks.iter().map(|(block, (end, country))| {
            let first = u32::from(*block) << 16;
            (first + u32::from(end / 2), first + u32::from(*end), countries[usize::from(*country)])
        }).collect();
        for (first, last, country) in &ranges {
            builder.add(Ipv4Addr::from(*first).into(), Ipv4Addr::from(*last).into(), *country).unwrap();
        }
        let table = GeoTable::new(table(&[builder]).unwrap()).unwrap();
        let edges = ranges.iter().flat_map(|(first, last, _)| [first.wrapping_sub(1), *first, *last, last.wrapping_add(1)]);
        for probe in probes.into_iter().chain(edges) {
            let expected = ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&probe)).map_or(Country::UNKNOWN, |range| range.2);
            prop_assert_eq!(table.countries(Ipv4Addr::from(probe).into()), vec![expected]);
        }
    }
}
