//! In which country an address is, as far as somebody says so: a geo table, or an assumption.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use shekara_policy::document::Target;
use shekara_policy::geo::{CountrySource, GeoTable};
use shekara_policy::{Country, PolicyDocument};

/// As many sources as a standard can ask for.
const SOURCES: usize = 8;

/// Who says where addresses are, where no standard does.
pub(super) enum Source {
    /// A table.
    Table(Box<GeoTable<Vec<u8>>>),
    /// An assumption.
    Assumed(Country),
    /// Nobody.
    Nobody,
}

impl Source {
    pub(super) fn new(table: Option<&Path>, assumed: Option<Country>) -> Result<Self> {
        match (table, assumed) {
            (Some(file), _) => {
                let bytes = std::fs::read(file).with_context(|| format!("the geo table {} cannot be read", file.display()))?;
                let table = GeoTable::new(bytes).with_context(|| format!("{} is not a geo table", file.display()))?;
                Ok(Self::Table(Box::new(table)))
            }
            (None, Some(country)) => Ok(Self::Assumed(country)),
            (None, None) => Ok(Self::Nobody),
        }
    }

    /// Who says in which country an address is, in words; none where nobody does.
    pub(super) fn says(&self, documents: &[PolicyDocument], address: IpAddr) -> Option<String> {
        let standards = documents.iter().flat_map(|document| &document.standards);
        let mut declaring = standards.filter(|standard| standard.networks.iter().any(|network| network.cidr.contains(&address)));
        if let Some(standard) = declaring.next() {
            return Some(format!("a network that the standard {} declares", standard.standard));
        }
        match self {
            Self::Table(table) => Some(format!("the geo table {}", table.digest())),
            Self::Assumed(_) => Some("assumed by --country".into()),
            Self::Nobody => None,
        }
    }
}

impl CountrySource for Source {
    fn countries(&self, address: IpAddr) -> Vec<Country> {
        match self {
            Self::Table(table) => table.countries(address),
            Self::Assumed(country) => vec![*country; SOURCES],
            Self::Nobody => vec![],
        }
    }
}

/// An address that stands for any other: of documentation, and in no network that a document names.
pub(super) fn anywhere(documents: &[PolicyDocument]) -> Result<IpAddr> {
    let endpoints = |document: &PolicyDocument| -> Vec<IpNet> {
        let endpoints = document.routes.iter().flat_map(|route| &route.endpoints);
        endpoints
            .filter_map(|endpoint| if let Target::Network(network) = endpoint.target { Some(network) } else { None })
            .collect()
    };
    let named: Vec<IpNet> = documents
        .iter()
        .flat_map(|document| {
            let declared = document.standards.iter().flat_map(|standard| &standard.networks).map(|network| network.cidr);
            document.cluster.networks.iter().copied().chain(declared).chain(endpoints(document)).collect::<Vec<_>>()
        })
        .collect();
    let candidate = |part: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, part, 0x5ba1, 0, 0, 0, 1));
    let free = |address: &IpAddr| !named.iter().any(|network| network.contains(address));
    match (0..=u16::MAX).rev().map(candidate).find(free) {
        Some(address) => Ok(address),
        None => bail!("every address is in a declared network: --address says which one is meant"),
    }
}

#[cfg(test)]
mod tests {
    use shekara_policy::geo::build::{SourceBuilder, table};

    use super::*;

    fn document(cidr: &str) -> PolicyDocument {
        let document = serde_json::json!({
            "version": 1, "holding": {"namespace": "n", "name": "h", "uid": "u"}, "data": [], "routes": [], "inCluster": [],
            "standards": [{"standard": "kz", "networks": [{"cidr": cidr, "country": "KZ"}], "minSources": 1}],
            "cluster": {"networks": ["10.0.0.0/8"], "domain": "cluster.local", "resolvers": []}
        });
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_table_is_read_and_a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = SourceBuilder::new("a").unwrap();
        source.add_csv("192.0.2.0/24,KZ\n".as_bytes()).unwrap();
        let (file, other) = (folder.path().join("table.geo"), folder.path().join("other.geo"));
        std::fs::write(&file, table(&[source]).unwrap()).unwrap();
        std::fs::write(&other, "nonsense").unwrap();
        let source = Source::new(Some(&file), None).unwrap();
        assert_eq!(source.countries("192.0.2.1".parse().unwrap())[0].as_str(), "KZ");
        let says = |address: &str| source.says(&[document("198.51.100.0/24")], address.parse().unwrap()).unwrap();
        assert_eq!(says("198.51.100.1"), "a network that the standard kz declares");
        assert!(says("192.0.2.1").starts_with("the geo table sha256:"));
        let error = format!("{:#}", Source::new(Some(&other), None).err().unwrap());
        assert!(error.contains("other.geo is not a geo table"), "{error}");
    }

    #[test]
    fn what_stands_for_any_address_is_in_no_declared_network() {
        let first = anywhere(&[document("192.0.2.0/24")]).unwrap();
        let second = anywhere(&[document("2001:db8:8000::/33")]).unwrap();
        assert_ne!(first, second);
        assert!(anywhere(&[document("2001:db8::/32")]).unwrap_err().to_string().contains("--address"));
    }
}
