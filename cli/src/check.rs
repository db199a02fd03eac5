//! `kubectl shekara check`: would these manifests be admitted, and what would be changed in their pods? No cluster is asked.

mod judge;
mod view;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::arguments::Common;
use crate::objects::{Needs, Request, read};
use crate::output;
use view::Check;

/// What would be refused.
const REFUSED: u8 = 1;

/// Which manifests to check: workloads, with the namespaces and holdings that are there or come with them. The exit code is 0 where all
/// would be admitted, 1 where one would not.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let common = &arguments.common;
    if !common.is_offline() {
        bail!("-f names the files with the manifests, and with the holdings that are to cover them; - is standard input");
    }
    let needs = Needs { workloads: true, ..Needs::default() };
    let objects = read(common, &Request { needs, ..Request::default() })?;
    output::notes(&objects.notes);
    let check = Check::of(&objects, common)?;
    output::write(common.output, &check, |_| check.text())?;
    Ok(if check.is_admitted() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
}
