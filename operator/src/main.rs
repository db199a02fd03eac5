//! The operator of Shekara as a process: reads the configuration, begins the log, and runs until it is told to stop. With `node` it is the
//! agent of a node, and with `probe URL...` it only asks whether every URL answers.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use shekara_operator::config::ConfigError;
use shekara_operator::node::config::NodeConfig;
use shekara_operator::{Config, node, probe, run};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// The exit code for a configuration that cannot be used (`EX_USAGE` of sysexits.h).
const BAD_CONFIGURATION: u8 = 64;

/// What the operator is asked to do.
#[derive(clap::Parser)]
#[command(
    name = "shekara-operator",
    version,
    about = "The operator of Shekara. It takes its configuration from the environment."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Keep the plugin that sets packet filters behind those that make the networks of pods on this node
    Node,
    /// Ask each URL (plain HTTP) and succeed if every answer is 200.
    Probe {
        /// What to ask, as http://host:port/path.
        #[arg(required = true)]
        urls: Vec<String>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        None => process(Config::read, |config| {
            info!(version = env!("CARGO_PKG_VERSION"), namespace = config.namespace, "starting");
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
            runtime.block_on(run(config)).context("a part of the operator ended")
        }),
        Some(Command::Node) => process(NodeConfig::read, |config| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
            runtime.block_on(node::run(config))
        }),
        Some(Command::Probe { urls }) => match probe::all(&urls) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("{problem}");
                ExitCode::FAILURE
            }
        },
    }
}

/// A process with a log that reads its configuration from the environment and runs until it ends.
fn process<C>(
    read: impl Fn(fn(&str) -> Option<String>) -> Result<C, ConfigError>,
    run: impl FnOnce(C) -> anyhow::Result<()>,
) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).init();
    let config = match read(|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(problem) => {
            error!(%problem, "the configuration cannot be used");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    // an error only says that a provider is there already
    rustls::crypto::ring::default_provider().install_default().ok();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!(problem = format!("{problem:#}"), "ended");
            ExitCode::FAILURE
        }
    }
}
