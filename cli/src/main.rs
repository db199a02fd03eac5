//! `kubectl shekara`: a plugin of kubectl for holdings, and the builder of geo tables.

mod access;
mod arguments;
mod check;
mod completion;
mod cover;
mod discover;
mod explain;
mod geo;
mod inventory;
mod network;
mod objects;
mod output;
mod place;
mod propose;
mod route;
mod simulate;
mod status;
mod text;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use text::{Cell, Text, Tone};

/// The exit code of an error, as that of arguments that cannot be read.
const ERROR: u8 = 2;

/// Data holdings and the border of a cluster.
#[derive(Parser)]
#[command(name = "kubectl-shekara", bin_name = "kubectl shekara", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show holdings with their coverage, conditions, transfers and denials
    Status(status::Arguments),
    /// List what is held where, by whom, and who answers for it
    Inventory(inventory::Arguments),
    /// Say who may come at what is held past the sidecars, and who may change what binds them
    Access(access::Arguments),
    /// Look for signs of systems that hold such data and that nobody has declared
    Discover(discover::Arguments),
    /// Say why a pod has the sidecar or not, and what may leave it now
    Explain(explain::Arguments),
    /// Say whether a flow would leave, and by which rule; nothing is sent
    Simulate(simulate::Arguments),
    /// Say whether manifests would be admitted, and what would be put into their pods; no cluster is needed
    Check(check::Arguments),
    /// Draft recipients and transfers from what was seen
    Propose(propose::Arguments),
    /// Build and read geo tables
    #[command(subcommand)]
    Geo(geo::Command),
    /// Print a script that completes arguments in a shell
    Completion(completion::Arguments),
}

fn main() -> ExitCode {
    let result = completion::answer_kubectl().unwrap_or_else(|| match Arguments::parse().command {
        Command::Status(arguments) => status::run(&arguments),
        Command::Inventory(arguments) => inventory::run(&arguments),
        Command::Access(arguments) => access::run(&arguments),
        Command::Discover(arguments) => discover::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Propose(arguments) => propose::run(&arguments),
        Command::Geo(command) => geo::run(command).map(|()| ExitCode::SUCCESS),
        Command::Completion(arguments) => completion::run(&arguments),
    });
    result.unwrap_or_else(|error| {
        let mut text = Text::default();
        text.say(Cell::new("error: ", Tone::Bad)).line(format!("{error:#}"));
        // there is no one left to tell where standard error is closed
        let _ = anstream::stderr().lock().write_all(text.styled().as_bytes());
        ExitCode::from(ERROR)
    })
}
