//! The plugin by which the node sets the packet filter of a pod, where its own containers may not (CNI specification 1.1.0).
//!
//! The container runtime calls it for each sandbox, behind the plugins that make the pod's network and before anything in the pod
//! starts. It needs nobody to be there: what it is to do stands in an annotation, which the runtime hands it. A pod without that
//! annotation passes without more than a look at it.

mod config;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use jiff::Timestamp;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use shekara_policy::packet_filter::PacketFilterError;

use self::config::NetworkConfig;
use crate::filter::{self, FilterError};

/// The name of the program as a plugin: the type in the network's configuration.
pub const NAME: &str = "shekara";

/// The versions of the specification whose results it hands on.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Bytes of a network's configuration with all that its plugins have made, at most.
const LONGEST: u64 = 4 * 1024 * 1024;

/// The call fails, and with it the sandbox: the kubelet tries again.
#[derive(Debug, thiserror::Error)]
enum PluginError {
    /// The runtime left out a variable.
    #[error("the variable {0} is not set: container runtimes call this program as a CNI plugin")]
    Variable(&'static str),
    /// The runtime's words cannot be read.
    #[error("the configuration of the network cannot be read: {0}")]
    Config(String),
    /// A version of the specification that came later.
    #[error("the version {0} of the CNI specification is not known")]
    Version(String),
    /// It does not make networks.
    #[error("the plugin {NAME} sets the packet filter of a network that another plugin has made: put it behind that one")]
    First,
    /// Admission did not write the annotation.
    #[error(transparent)]
    Annotation(#[from] PacketFilterError),
    /// The pod's network cannot be entered.
    #[error("the network namespace {0} cannot be entered: {1}")]
    Enter(PathBuf, #[source] std::io::Error),
    /// The packet filter was not set.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl PluginError {
    /// The error codes of the specification; those of the plugin's own begin at 100.
    fn code(&self) -> u32 {
        match self {
            Self::Version(_) => 1,
            Self::Variable(_) => 4,
            Self::Config(_) => 6,
            Self::First => 7,
            Self::Annotation(_) => 100,
            Self::Enter(..) => 101,
            Self::Filter(_) => 102,
        }
    }
}

/// Whether this process was started as the plugin.
#[must_use]
pub fn is_called(program: Option<&Path>) -> bool {
    program.and_then(Path::file_name).is_some_and(|name| name == NAME)
}

/// Does what the container runtime asks for, and answers on the standard output.
#[must_use]
pub fn run() -> ExitCode {
    let (answer, code) = match call() {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(error) => {
            let error = json!({"cniVersion": "1.0.0", "code": error.code(), "msg": format!("shekara: {error}")});
            (Some(error), ExitCode::FAILURE)
        }
    };
    let said = answer.map_or(Ok(()), |answer| std::io::stdout().write_all(answer.to_string().as_bytes()));
    if said.is_ok() { code } else { ExitCode::FAILURE }
}

fn call() -> Result<Option<Value>, PluginError> {
    let variable = |name: &'static str| std::env::var(name).map_err(|_| PluginError::Variable(name));
    match variable("CNI_COMMAND")?.as_str() {
        "VERSION" => Ok(Some(json!({"cniVersion": "1.1.0", "supportedVersions": VERSIONS}))),
        "ADD" => {
            let config = read()?;
            let made = config.prev_result.clone().ok_or(PluginError::First)?;
            // a pod that asks for nothing does not depend on what is understood here
            if let Some(asked) = config.packet_filter()? {
                known(&config)?;
                enter(variable("CNI_NETNS")?.into())?;
                // what is on the standard error goes to the log of the container runtime
                if let Some(warning) = filter::set(&asked, Timestamp::now())?.warning() {
                    eprintln!("shekara: {warning}");
                }
            }
            Ok(Some(made))
        }
        "CHECK" => {
            if let Some(asked) = read()?.packet_filter()? {
                enter(variable("CNI_NETNS")?.into())?;
                filter::look(&asked)?;
            }
            Ok(None)
        }
        // the filter goes with the network, and it needs nothing that could be missing
        _ => Ok(None),
    }
}

fn read() -> Result<NetworkConfig, PluginError> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| PluginError::Config(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| PluginError::Config(error.to_string()))
}

fn known(config: &NetworkConfig) -> Result<(), PluginError> {
    let is_known = VERSIONS.contains(&config.cni_version.as_str());
    if is_known { Ok(()) } else { Err(PluginError::Version(config.cni_version.clone())) }
}

/// Moves this thread, which is the only one, and the programs that it starts into the pod's network.
fn enter(namespace: PathBuf) -> Result<(), PluginError> {
    let entered =
        File::open(&namespace).and_then(|file| Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?));
    entered.map_err(|error| PluginError::Enter(namespace, error))
}
