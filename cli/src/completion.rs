//! `kubectl shekara completion`: scripts by which a shell completes arguments.

mod plugin;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, ValueEnum};
use clap_complete::Shell;

use crate::output;

/// For which shell.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Known,
}

/// The shells that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
}

/// Answers kubectl where it asks for candidates, which it says by the name under which it runs the program.
pub(crate) fn answer_kubectl() -> Option<Result<ExitCode>> {
    let mut arguments = std::env::args();
    let name = arguments.next()?;
    if Path::new(&name).file_name()? != plugin::NAME {
        return None;
    }
    let candidates = plugin::candidates(&crate::Arguments::command(), &arguments.collect::<Vec<_>>());
    Some(output::raw(&candidates).map(|()| ExitCode::SUCCESS))
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let shell = match arguments.shell {
        Known::Bash => Shell::Bash,
        Known::Zsh => Shell::Zsh,
        Known::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::Arguments::command().bin_name("kubectl-shekara"), "kubectl-shekara", &mut script);
    output::raw(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
