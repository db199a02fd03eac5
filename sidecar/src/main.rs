//! The program of a covered pod's three containers: packet filter, proxy and proof; and of the node that sets packet filters.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shekara_sidecar::config::Config;
use shekara_sidecar::{app, cni, init, install, ready, verify};

/// What sysexits.h calls a configuration error in the wider sense: wrong usage. A restart does not help.
const BAD_CONFIGURATION: u8 = 64;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set the packet filter of the pod
    Init,
    /// Judge and carry the flows of the pod
    Run,
    /// Prove that the pod has no other way out
    Verify,
    /// Ask whether the proxy is ready
    Ready,
    /// Put the plugin that sets packet filters into a folder of the node
    Install {
        /// Where the container runtime looks for CNI plugins
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    // container runtimes call plugins by their name, without arguments
    if cni::is_called(std::env::args_os().next().as_deref().map(Path::new)) {
        return cni::run();
    }
    let Ok(arguments) = Arguments::try_parse().map_err(|error| error.print()) else { return BAD_CONFIGURATION.into() };
    let outcome = match arguments.command {
        Command::Init => init::run(),
        Command::Verify => verify::run(),
        Command::Ready => ready::run(),
        Command::Install { folder } => install::run(&folder),
        Command::Run => match Config::read(|name| std::env::var(name).ok()) {
            Ok(config) => app::run(config),
            Err(error) => {
                eprintln!("{error}");
                return BAD_CONFIGURATION.into();
            }
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
