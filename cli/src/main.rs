//! `kubectl shekara`: a plugin of kubectl for holdings, and the builder of geo tables.

mod geo;
mod status;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Data holdings and the border of a cluster.
#[derive(Parser)]
#[command(name = "kubectl-shekara", bin_name = "kubectl shekara", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and read geo tables
    #[command(subcommand)]
    Geo(geo::Command),
    /// Show holdings with their coverage, conditions, transfers and denials
    Status(status::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Geo(command) => geo::run(command),
        Command::Status(arguments) => status::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
