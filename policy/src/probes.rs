//! What the sidecar asks the application in the kubelet's place: the probes and lifecycle hooks of a pod, as admission found them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The sidecar's port, at which the kubelet asks instead of the application's.
pub const PORT: u16 = 15020;

/// What the paths of probes begin with.
pub const PROBE: &str = "/probe/";

/// What the paths of lifecycle hooks begin with.
pub const HOOK: &str = "/hook/";

/// Probes and hooks of one pod.
pub const MOST: usize = 256;

/// Bytes of their JSON form.
pub const LONGEST: usize = 64 * 1024;

/// Seconds that one may take.
pub const MOST_SECONDS: u32 = 24 * 60 * 60;

/// What is asked, by the path at which the kubelet asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Probes(pub BTreeMap<String, Probe>);

/// One probe or hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// The application's port.
    pub port: u16,
    /// Seconds until the answer must be there.
    pub within: u32,
    /// How it is asked.
    pub ask: Ask,
}

/// How an application is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Ask {
    /// By an HTTP request.
    Http {
        /// Whether over TLS.
        #[serde(default)]
        tls: bool,
        /// The path, with its query.
        path: String,
        /// Headers, by name and value.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// By a connection, which is enough.
    Tcp {},
    /// By the health checking protocol of gRPC.
    Grpc {
        /// The name of the service that is asked after; empty for the server as a whole.
        #[serde(default)]
        service: String,
    },
}

/// Probes that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ProbesError {
    /// Not the JSON form.
    #[error("the probes cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// More than fits.
    #[error("there may be {MOST} probes and hooks in {LONGEST} bytes")]
    TooMany,
    /// A path at which none is asked for, a port that is none or the sidecar's own, or no time.
    #[error("{0} is no probe of an application")]
    Meaningless(String),
}

impl Probes {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// When it is no such form, or is beyond its bounds.
    pub fn from_json(json: &str) -> Result<Self, ProbesError> {
        if json.len() > LONGEST {
            return Err(ProbesError::TooMany);
        }
        let probes: Self = serde_json::from_str(json)?;
        probes.check()?;
        Ok(probes)
    }

    /// The JSON form, without a dollar sign, which means something in the environment of a container.
    ///
    /// # Errors
    /// When it would not be read.
    pub fn to_json(&self) -> Result<String, ProbesError> {
        self.check()?;
        // outside strings there is none
        let json = serde_json::to_string(self)?.replace('$', "\\u0024");
        if json.len() > LONGEST { Err(ProbesError::TooMany) } else { Ok(json) }
    }

    fn check(&self) -> Result<(), ProbesError> {
        if self.0.len() > MOST {
            return Err(ProbesError::TooMany);
        }
        let sound = |(path, probe): &(&String, &Probe)| {
            (path.starts_with(PROBE) || path.starts_with(HOOK))
                && ![0, PORT].contains(&probe.port)
                && (1..=MOST_SECONDS).contains(&probe.within)
        };
        let meaningless = self.0.iter().find(|entry| !sound(entry));
        meaningless.map_or(Ok(()), |(path, _)| Err(ProbesError::Meaningless(path.clone())))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn probe(ask: Ask) -> Probe {
        Probe { port: 8080, within: 1, ask }
    }

    #[test]
    fn what_is_written_is_read_and_has_no_dollar_sign() {
        let headers = vec![("Host".to_owned(), "$(POD_NAME)".to_owned())];
        let probes = Probes(BTreeMap::from([
            ("/probe/app/startup".to_owned(), probe(Ask::Http { tls: true, path: "/a?b=$$c".into(), headers })),
            ("/probe/app/liveness".to_owned(), probe(Ask::Tcp {})),
            ("/hook/app/preStop".to_owned(), probe(Ask::Grpc { service: "a.b".into() })),
        ]));
        let json = probes.to_json().unwrap();
        assert!(!json.contains('$'), "{json}");
        assert_eq!(Probes::from_json(&json).unwrap(), probes);
        let short = r#"{"/probe/a/readiness": {"port": 1, "within": 2, "ask": {"http": {"path": "/"}}}}"#;
        let Ask::Http { tls, headers, .. } = &Probes::from_json(short).unwrap().0["/probe/a/readiness"].ask else { panic!() };
        assert!(!tls && headers.is_empty());
    }

    #[rstest]
    #[case("", "cannot be read")]
    #[case(r#"{"/probe/a/b": {"port": 1, "within": 1, "ask": {"exec": {}}}}"#, "unknown variant")]
    #[case(r#"{"/probe/a/b": {"port": 1, "within": 1, "ask": {"tcp": {"host": "a"}}}}"#, "unknown field")]
    #[case(r#"{"/probe/a/b": {"port": 0, "within": 1, "ask": {"tcp": {}}}}"#, "/probe/a/b is no probe")]
    #[case(r#"{"/probe/a/b": {"port": 15020, "within": 1, "ask": {"tcp": {}}}}"#, "/probe/a/b is no probe")]
    #[case(r#"{"/probe/a/b": {"port": 1, "within": 0, "ask": {"tcp": {}}}}"#, "/probe/a/b is no probe")]
    #[case(r#"{"/metrics": {"port": 1, "within": 1, "ask": {"tcp": {}}}}"#, "/metrics is no probe")]
    fn what_cannot_be_asked_is_refused(#[case] json: &str, #[case] problem: &str) {
        let error = Probes::from_json(json).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let many = |count: usize| Probes((0..count).map(|n| (format!("{PROBE}{n}/startup"), probe(Ask::Tcp {}))).collect());
        many(MOST).to_json().unwrap();
        assert!(matches!(many(MOST + 1).to_json(), Err(ProbesError::TooMany)));
        let long = Ask::Http { tls: false, path: "$".repeat(LONGEST / 6), headers: vec![] };
        let long = Probes(BTreeMap::from([(format!("{PROBE}a/startup"), probe(long))]));
        assert!(matches!(long.to_json(), Err(ProbesError::TooMany)));
        assert!(matches!(Probes::from_json(&" ".repeat(LONGEST + 1)), Err(ProbesError::TooMany)));
    }
}
