//! The arguments that every command about objects takes, and the names of what it is asked about.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

/// Where objects are read and how the answer is written.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The namespace; that of the context when absent, and every one with --from
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Every namespace
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// The context of the kubeconfig
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The kubeconfig; that of KUBECONFIG or ~/.kube/config when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Read objects from YAML or JSON files, or folders of them, instead of a cluster; - is standard input
    #[arg(short = 'f', long, value_name = "FILE|DIR", conflicts_with_all = ["context", "kubeconfig"])]
    pub(crate) from: Vec<PathBuf>,
    /// How the answer is written; for people when absent
    #[arg(short, long, value_enum)]
    pub(crate) output: Option<Format>,
    /// How long one request may take, as 30s or 2m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) request_timeout: Duration,
    /// The time to judge at (RFC 3339); now when absent
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,
    /// The namespace of the operator, whose Deployment says what is inside the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "shekara-system")]
    pub(crate) operator_namespace: String,
}

impl Common {
    /// The time to judge at.
    pub(crate) fn now(&self) -> Timestamp {
        self.at.unwrap_or_else(Timestamp::now)
    }

    /// Whether objects are read from files.
    pub(crate) fn is_offline(&self) -> bool {
        !self.from.is_empty()
    }
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people, with more columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What a command is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A pod by name.
    Pod(String),
    /// A holding by name.
    Holding(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').unwrap_or(("", text));
        let name = Some(name).filter(|name| !name.is_empty() && !name.contains('/')).map(str::to_owned);
        match (kind.to_ascii_lowercase().as_str(), name) {
            ("pod" | "pods" | "po", Some(name)) => Ok(Self::Pod(name)),
            ("holding" | "holdings" | "dh" | "dataholding" | "dataholdings" | "dataholding.shekara.dev", Some(name)) => {
                Ok(Self::Holding(name))
            }
            _ => Err("it is written pod/NAME or holding/NAME".into()),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod(name) => write!(f, "pod/{name}"),
            Self::Holding(name) => write!(f, "holding/{name}"),
        }
    }
}

/// The name of a pod, with or without `pod/` before it.
pub(crate) fn pod(text: &str) -> Result<String, String> {
    let full = if text.contains('/') { text.to_owned() } else { format!("pod/{text}") };
    match full.parse() {
        Ok(Target::Pod(name)) => Ok(name),
        _ => Err("it is written pod/NAME".into()),
    }
}

/// The name of a holding, with or without `holding/` before it.
pub(crate) fn holding(text: &str) -> Result<String, String> {
    let full = if text.contains('/') { text.to_owned() } else { format!("holding/{text}") };
    match full.parse() {
        Ok(Target::Holding(name)) => Ok(name),
        _ => Err("it is written holding/NAME".into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration such as 30s or 2m is expected".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).ok().filter(|duration| !duration.is_zero()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_kubectl_names_them() {
        assert_eq!("pod/x".parse(), Ok(Target::Pod("x".into())));
        assert_eq!("po/x".parse(), Ok(Target::Pod("x".into())));
        assert_eq!("dh/x".parse(), Ok(Target::Holding("x".into())));
        assert_eq!("DataHolding/x".parse(), Ok(Target::Holding("x".into())));
        for wrong in ["x", "pod/", "deployment/x", "pod/x/y", "/x", ""] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
        assert_eq!(pod("x"), Ok("x".into()));
        assert!(pod("holding/x").is_err());
        assert_eq!(holding("holding/x"), Ok("x".into()));
    }

    #[test]
    fn durations_are_positive() {
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "0s", "-1s", "soon"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
