//! A destination as it is written on the command line.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use shekara_policy::HostName;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A host, by name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(HostName),
    Address(IpAddr),
}

impl HostPort {
    /// The Service that a name of the cluster leads to, as namespace and name: `NAME.NAMESPACE.svc` and what may follow.
    pub(super) fn service(&self) -> Option<(String, String)> {
        let Host::Name(name) = &self.host else { return None };
        let mut labels = name.as_str().split('.');
        match (labels.next(), labels.next(), labels.next()) {
            (Some(service), Some(namespace), Some("svc")) => Some((namespace.to_owned(), service.to_owned())),
            _ => None,
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "HOST:PORT is expected, as api.example.kz:443, 192.0.2.1:443 or [2001:db8::1]:443";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or("a port is a number from 1 to 65535")?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match (bare.unwrap_or(host).parse::<IpAddr>(), bare) {
            (Ok(IpAddr::V6(_)), None) => return Err("an IPv6 address is written in brackets, as [2001:db8::1]:443".into()),
            (Ok(address), _) => Host::Address(address),
            (Err(_), Some(_)) => return Err("what is in brackets is no IPv6 address".into()),
            (Err(_), None) => {
                Host::Name(host.parse().map_err(|error: shekara_policy::host_name::HostNameError| error.to_string())?)
            }
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}:{}", self.port),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        for text in ["api.example.kz:443", "192.0.2.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for wrong in ["", "api.example.kz", "a:0", "a:65536", "2001:db8::1:443", "[a]:1", "[2001:db8::1", "a b:1", ":443"] {
            assert!(wrong.parse::<HostPort>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn services_are_known_by_their_names() {
        let service = |text: &str| text.parse::<HostPort>().unwrap().service();
        assert_eq!(service("vectors.archive.svc.cluster.local:5432"), Some(("archive".into(), "vectors".into())));
        assert_eq!(service("vectors.archive.svc:5432"), Some(("archive".into(), "vectors".into())));
        assert_eq!(service("vectors.archive.example:5432"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_and_read_again(text in "\\PC{0,40}", port in any::<u16>()) {
            for text in [text.clone(), format!("{text}:{port}"), format!("[{text}]:{port}")] {
                if let Ok(read) = text.parse::<HostPort>() {
                    prop_assert_eq!(read.to_string().parse::<HostPort>().unwrap(), read);
                }
            }
        }
    }
}
